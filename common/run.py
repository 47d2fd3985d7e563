"""The command line: ``python -m common.run [demo|reduced|paper|site|export|merge|clean] [options]``.

Everything is checked first (`cli`, `jobs`, `grids`); then it is run (`running`, `cluster`) and the outcomes are listed.
"""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

from common import cli, jobs, outcomes, paths, running
from common.errors import UserError
from common.options import parse_duration
from common.outcomes import GO_ON, shown
from common.replications import reports_root


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 done, 1 a run failed, 2 bad input, 130 interrupted)."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _interrupt)  # a batch system's way to say Ctrl-C
    try:
        return _main(sys.argv[1:] if argv is None else argv)
    except UserError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\ninterrupted; finished cells are kept, {GO_ON}", file=sys.stderr)
        return 130


def _interrupt(*_) -> None:
    raise KeyboardInterrupt


def _main(argv: list[str]) -> int:
    word, file, arguments = cli.parse(argv)
    if arguments.version:
        print(version())
        return 0
    if word == "clean":
        return clean()
    if word == "site":
        from common import ledger, readme, site

        found = ledger.everything()
        index = shown(site.site(demo=False, found=found))
        readme.update(found=found)
        print(f"wrote {index}, ledger, comparison and claims.csv beside it, and the results in README.md and docs/")
        return 0
    if word in ("export", "merge"):
        return carry(word, Path(file), arguments.store)

    budget = parse_duration(arguments.time_budget) if arguments.time_budget else math.inf
    if arguments.scheduler and not arguments.dry_run:
        from common import cluster_workers

        cluster_workers.probe(arguments.scheduler)  # before data are loaded, which can take long
    planned = jobs.plan(word, arguments)
    if arguments.dry_run:
        return dry_run(planned)
    found = run(planned, arguments, time.monotonic() + budget)
    print(outcomes.table(found))
    if not arguments.no_notebook:
        from common import site

        print(f"\n{shown(site.site())}")
    return int(any(outcome.status == outcomes.FAILED for outcome in found))


def run(planned: list[jobs.Job], arguments: argparse.Namespace, deadline: float) -> list[outcomes.Outcome]:
    """Run what was planned where and how the options say."""
    where = (arguments.scheduler, arguments.device)
    if arguments.no_notebook:
        return running.on_cluster(planned, deadline, *where) if arguments.scheduler else running.here(planned, deadline)
    if arguments.scheduler:
        return running.on_cluster_then_notebooks(planned, deadline, arguments.jobs, *where)
    return running.notebooks(planned, deadline, arguments.jobs)


# -- words -------------------------------------------------------------------------------------------------------------


def version() -> str:
    """Name and version, from pyproject.toml: right whether or not the project is installed."""
    import tomllib

    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"{project['name']} {project['version']}"


def clean() -> int:
    """Remove what a run makes again: executed notebooks, demo pages, decoded data. Never results.

    Of the store only checkpoints that nothing has gone on from for a long time (`checkpoints.OLD`), of the cache only
    what `data.load` put there: IMBALANCE_CACHE may name a folder that holds other things.
    """
    from common import checkpoints

    reports = reports_root()
    demo = reports / "demo"
    folders = [folder for folder in (reports / "runs", demo, paths.cache_root() / "data") if folder.is_dir()]
    for folder in folders:
        shutil.rmtree(folder)
    removed = [shown(folder) for folder in folders]
    if demo in folders and (reports / "index.html").is_file():
        from common import site

        site.site(demo=False)  # its links to the pages that are gone
    if old := checkpoints.remove_old(paths.store_root(None) / "checkpoints"):
        removed.append(f"{old} checkpoint{'s' * (old > 1)} older than {checkpoints.OLD} days")
    print(f"removed {', '.join(removed)}" if removed else "nothing to remove")
    return 0


def carry(word: str, file: Path, store: str | None) -> int:
    """Export measured results to `file`, or merge those of another machine from it."""
    from common import exchange
    from common.store import Store

    try:
        cells = getattr(exchange, word)(Store(paths.store_root(store)), file.expanduser())
    except OSError as error:
        raise UserError(
            f"{word} {file}: {error.strerror or error}; expected a place that can be read and written"
        ) from error
    if not cells:
        raise UserError(f"{word} {file}: no measured cells; run the reduced or the paper profile first")
    counts = {stem: found if word == "export" else found.new for stem, found in cells.items()}
    counted = ", ".join(f"{stem}: {count}" for stem, count in counts.items())
    print(f"{'exported to' if word == 'export' else 'merged from'} {file} ({counted})")
    if word == "merge" and (known := sum(found.known for found in cells.values())):
        differing = sum(found.differing for found in cells.values())
        print(f"known already: {known}, of which {differing} differ (yours kept)")
    return 0


def dry_run(planned: list[jobs.Job]) -> int:
    """Per run, how many cells are done and missing, and why."""
    for job in planned:
        if job.study is None:
            print(f"{job}: a notebook without cells, runs each time")
            continue
        plan = job.study.plan()
        states = plan.groupby(["state", "why"], sort=True).size() if len(plan) else {}
        parts = [f"{count} {state}" + (f" ({why})" if why else "") for (state, why), count in states.items()]
        print(f"{job}: {len(plan)} cells: {', '.join(parts) or 'none'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
