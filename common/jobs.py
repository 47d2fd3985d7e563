"""What a start asks for: papers, their runs and parameters, all checked before anything begins."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common import grids, paths, pool, typed
from common.errors import UserError
from common.options import Options
from common.replications import Replication, notebooks_root, replications, reports_root, select

# The command line's own: a grid or --set that changed them would contradict what the user asked for.
FLAGS = ("profile", "data", "store", "device", "weights", "time_budget", "offline", "refresh")


@dataclass(frozen=True, eq=False)
class Job:
    """One run of one paper.

    Attributes
    ----------
    parameters, options : dict
        What goes to the notebook, or to `study.Run`; plain Python values, only what differs from the defaults.
    study : common.study.Run or None
        The run's cells; None for a notebook without a study.
    last : bool
        The stem's last run, which renders its page.
    optional : bool
        Whether it is left out where its data set cannot be had.
    """

    paper: Replication
    run: str
    profile: str
    parameters: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    study: Any = None
    last: bool = False
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.paper}.{self.run}"


def plan(profile: str, arguments: argparse.Namespace) -> list[Job]:
    """All runs of a start, every name, type, value and data set checked; `UserError` for the first that is wrong."""
    overrides = [_split(text) for text in arguments.set]
    options = _options(profile, arguments)
    chosen = select(replications(not arguments.no_notebook), arguments.only)
    found = []
    types = {paper: parameter_types(paper) for paper in chosen}
    of_cells = {name for paper, kinds in types.items() if paper.study for name in kinds}
    for paper, kinds in types.items():
        # What is meant for cells passes by a notebook that has none.
        asked = [one for one in overrides if paper.study or one[0] in kinds or one[0] not in of_cells]
        for name, _ in asked if arguments.no_notebook else ():
            if name not in kinds and any(name in typed.notebook_types(p.notebook) for p in replications(True)):
                way = "; use dataset=folder:PATH" if name == "own_images" else ""
                raise UserError(f"--set {name}: a parameter of the notebooks, which --no-notebook leaves out{way}")
        for name, _ in asked:
            others = [str(other) for other, theirs in types.items() if name in theirs]
            if name not in kinds and others:
                raise UserError(
                    f"--set {name}: no parameter of {paper}; name those that have it with --only: {', '.join(others)}"
                )
        values = {name: typed.parse_value(text, kinds.get(name)) for name, text in asked}
        values = typed.check(values, kinds, f"--set: {paper}")
        runs = grids.expand(profile, paper.stem, values, notebooks_root())
        if not runs and profile == "demo":
            runs = [grids.GridRun("demo", values)]  # a notebook's own defaults are the demo
        if not runs and arguments.only:
            raise UserError(f"{paper}: no runs in profile {profile!r} of grids.yaml; add a block for it there")
        for run in runs:
            parameters = typed.check(run.parameters, kinds, f"grids.yaml: {profile}: {paper.stem}: {run.name}")
            found.append(replace(build(paper, run.name, profile, parameters, options), optional=run.optional))
    if not found:
        raise UserError(f"profile {profile!r}: no notebook in {notebooks_root()} has runs in it")
    _check_places(found, arguments)
    # Loading data comes last, because it can take long: all that is quick to tell has been told by now.
    for job in {(job.paper, job.parameters.get("own_images")): job for job in found}.values():
        check_own_images(job)
    found = [job for job in found if job.study is None or _has_data(job)]
    last = {job.paper.stem: job for job in found}
    return [replace(job, last=job is last[job.paper.stem]) for job in found]


def _check_places(found: list[Job], arguments: argparse.Namespace) -> None:
    """Whether the store's part of each study, and the folders of pages, can be read and written."""
    for job in {job.paper: job for job in found if job.study}.values():
        job.study.store.check(job.paper.stem, write=not arguments.dry_run)
    if arguments.no_notebook or arguments.dry_run:
        return
    root, profile = reports_root(), found[0].profile
    for folder in (root, root / profile, root / "runs" / profile):
        if not paths.writable(folder):
            raise UserError(
                f"{folder}: cannot be written; pages and executed notebooks go there, change its permissions"
            )


def _has_data(job: Job) -> bool:
    """Whether the job's data sets can be had; for a job that is not optional, `UserError` if not."""
    try:
        check_data(job.study)
    except UserError as error:
        if not job.optional:
            raise
        print(f"{job}: left out: {' '.join(str(error).split())}", file=sys.stderr)
        return False
    return True


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UserError(f"--set {text!r}: expected NAME=VALUE such as replicates=3")
    if name in FLAGS:
        raise UserError(f"--set {text!r}: use --{name.replace('_', '-')}" if name != "profile" else
                        f"--set {text!r}: the profile is the first word")  # fmt: skip
    return name, value


def _options(profile: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of `Options` that the command line decides, checked; only those that were asked for."""
    options: dict[str, Any] = {"profile": profile}
    if arguments.data:
        if not Path(arguments.data).expanduser().is_dir():
            raise UserError(f"--data {arguments.data}: no such folder; expected one with a subfolder per data set")
        options["data"] = str(paths.data_root(arguments.data))
    store = paths.store_root(arguments.store)
    if store.exists() and not store.is_dir():
        raise UserError(f"--store {store}: is a file; expected a folder")
    if not arguments.dry_run and not paths.writable(store):
        raise UserError(f"--store {store}: cannot be written; expected a folder where results can be kept")
    if arguments.store or os.environ.get("IMBALANCE_STORE"):
        # Inside the project a relative path: pages show their parameters, and no page should show whose home it was.
        options["store"] = str(store.relative_to(paths.ROOT) if store.is_relative_to(paths.ROOT) else store)
    if arguments.weights:
        if not Path(arguments.weights).expanduser().is_file():
            raise UserError(f"--weights {arguments.weights}: no such file")
        options["weights"] = str(Path(arguments.weights).expanduser().resolve())
    if arguments.device != "cpu" and not arguments.scheduler:  # the workers' device is not this machine's
        options["device"] = arguments.device
    if arguments.offline or arguments.dry_run:
        options["offline"] = True  # a dry run starts no download either
    if arguments.refresh:
        options["refresh"] = True
    if arguments.jobs > 1:
        options["workers"] = max(1, pool.cores() // arguments.jobs)
    return options


def parameter_types(paper: Replication) -> dict[str, Any]:
    """Type of each parameter that a grid or --set may change: the study's, and what the notebook has beside them.

    Raises
    ------
    UserError
        If the notebook lacks one of the study's: papermill would only warn, and run something else than was asked for.
    """
    cell = typed.notebook_types(paper.notebook) if paper.notebook else {}
    own = {name: kind for name, kind in cell.items() if name not in FLAGS}
    if not paper.study:
        return own

    parameters = typed.field_types(paper.module().Parameters)
    if paper.notebook:
        for name in (*typed.field_types(Options), *parameters):
            if name not in cell:
                raise UserError(f"{paper.notebook.name}: its cell tagged 'parameters' lacks {name!r}")
    return {**own, **parameters, "workers": int}


def build(paper: Replication, run: str, profile: str, parameters: dict, options: dict) -> Job:
    """The job of one run; `UserError` from the study for a value that cannot be run."""
    if not paper.study:
        cell = typed.notebook_types(paper.notebook)
        return Job(paper, run, profile, parameters, {k: v for k, v in options.items() if k in cell})
    from common import study

    if "workers" in parameters:
        options = {**options, "workers": parameters["workers"]}
        parameters = {name: value for name, value in parameters.items() if name != "workers"}
    module = paper.module()
    fields = typed.field_types(module.Parameters)
    cells = study.Run(module, {name: value for name, value in parameters.items() if name in fields}, options)
    return Job(paper, run, profile, parameters, options, cells)


def own_folders(parameters: dict[str, Any]) -> list[str]:
    """The folders of a reader's own images that parameters name, as `data.load` calls them."""
    from common import data

    named = [value for value in parameters.values() if isinstance(value, str) and data.is_folder(value)]
    return named + ([f"folder:{parameters['own_images']}"] if parameters.get("own_images") else [])


def unrefreshed(job: Job) -> Job:
    """The same job without --refresh: for what was measured anew just now."""
    options = {name: value for name, value in job.options.items() if name != "refresh"}
    same = build(job.paper, job.run, job.profile, job.parameters, options)
    return replace(same, last=job.last, optional=job.optional)


def check_data(run: Any) -> None:
    """Load the data sets of a `study.Run` (decoded once, then cached) and let the study look at them."""
    for dataset, size in dict.fromkeys((cell.dataset, getattr(cell, "image_size", 0)) for cell in run.cells):
        run.context.data(dataset, size)
    if run.cells and hasattr(run.module, "check"):
        first = run.cells[0].replicate  # replicates differ by chance alone, and there may be thousands of cells
        run.module.check([cell for cell in run.cells if cell.replicate == first], run.context)


def check_own_images(job: Job) -> None:
    """Load the reader's own images that a notebook shows at its end, and let the study look at them as it does then."""
    from common import study

    folder = job.parameters.get("own_images")
    if not folder or job.study is None:
        return
    if folder.startswith("folder:"):
        raise UserError(f"own_images {folder!r}: expected the path alone, without folder:")
    module = job.paper.module()
    parameters = {"dataset": f"folder:{folder}", **getattr(module, "OWN_IMAGES", {})}
    try:
        check_data(study.Run(module, parameters, job.options))
    except UserError as error:
        raise UserError(f"own_images {folder!r}: {error}") from None


def with_budget(job: Job, seconds: float) -> dict[str, Any]:
    """The job's options, with what is left of the time budget (infinite: none)."""
    options = dict(job.options)
    if seconds != float("inf") and (job.study is not None or "time_budget" in typed.notebook_types(job.paper.notebook)):
        options["time_budget"] = f"{max(1, round(seconds))}s"
    return options
