"""One notebook run in a process of its own: started, watched, stopped, and what went wrong in it.

The child, ``python -m common.execution JOB.yaml``, is papermill with an execution timeout, then the page. papermill
changes the directory of its process and a kernel's trouble must not reach other runs: so one process per run, and no
threads.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from common import jobs, paths, pool
from common.errors import UserError
from common.replications import reports_root

# Seconds a notebook cell may take: far more than any needs, so that a hanging kernel ends some day.
TIMEOUT = {"demo": 1800, "reduced": 3 * 86400, "paper": 14 * 86400}
GRACE = 3600  # after a time budget is used up, for what had begun
#: Options that reach a run by its environment: the page shows parameters, not whose files these are.
PRIVATE = {"data": "IMBALANCE_DATA", "weights": "IMBALANCE_WEIGHTS"}
_ANSI = re.compile("\x1b\\[[0-9;]*[A-Za-z]")


@dataclass
class Started:
    """A run in progress."""

    job: jobs.Job
    process: subprocess.Popen
    since: float

    @property
    def log(self) -> Path:
        return output(self.job).with_suffix(".log")


def output(job: jobs.Job) -> Path:
    """The executed notebook; beside it its log and the job file."""
    return reports_root() / "runs" / job.profile / f"{job}.ipynb"


def page(job: jobs.Job) -> Path:
    """The page that the stem's last run renders."""
    return reports_root() / job.profile / f"{job.paper}.html"


def settled(job: jobs.Job) -> bool:
    """Whether running the job again would change nothing.

    All its cells are in the store; and if it renders the page, that was made with the same parameters from images and
    files that are what they were then.
    """
    import yaml

    if job.study is None or job.options.get("refresh") or job.study.missing():
        return False
    if not job.last:
        return True
    try:
        before = yaml.safe_load(output(job).with_suffix(".yaml").read_text(encoding="utf-8"))
        parameters, images, shown = before["parameters"], before["images"], before["shown"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return False
    asked = {name: value for name, value in {**job.options, **job.parameters}.items() if name not in PRIVATE}
    parameters.pop("time_budget", None)
    same = parameters == asked and images and images == _images(job)
    return bool(same) and page(job).exists() and shown == _state(_shows(job))


def _images(job: jobs.Job) -> str:
    """A digest of the images that a page shows: its cells', and those of folders that parameters name; "" if unknown.

    Cells alone would not do: one's own images are run in a store of the notebook's own, which is gone with it.
    """
    from common import data

    try:
        folders = [data.state(name) for name in jobs.own_folders(job.parameters)]
    except UserError:
        return ""
    return hashlib.sha256(json.dumps([sorted(job.study.keys) if job.study else [], folders]).encode()).hexdigest()


def _shows(job: jobs.Job) -> list[str]:
    """The files and folders that what a page shows comes from."""
    source = (path for path in (paths.ROOT / "common").rglob("*") if path.is_file() and path.suffix != ".pyc")
    store = [job.study.store.root / job.paper.stem, *job.study.store.committed.glob("*.parquet")] if job.study else []
    return sorted(map(str, [job.paper.notebook, *source, *store]))


def _state(shows: list[str]) -> str:
    """A digest of when files changed: other than the times themselves it holds whichever way a clock was set."""
    times = [[name, Path(name).stat().st_mtime_ns] for name in shows if Path(name).exists()]
    return hashlib.sha256(json.dumps(times).encode()).hexdigest()


def start(job: jobs.Job, slots: int, seconds: float = math.inf) -> Started:
    """Start the child of a run; `slots` runs share the cores, `seconds` are left of the time budget."""
    import yaml

    executed = output(job)
    executed.parent.mkdir(parents=True, exist_ok=True)
    executed.unlink(missing_ok=True)  # else the traceback of an earlier run could be taken for this one's
    options = jobs.with_budget(job, seconds)
    environment = _environment(slots, {name: options.pop(name, "") for name in PRIVATE})
    content = {
        "notebook": str(job.paper.notebook),
        "executed": str(executed),
        "parameters": {**options, **job.parameters},
        "timeout": round(min(TIMEOUT[job.profile], seconds + GRACE)),
        "page": str(page(job)) if job.last else None,
        "images": _images(job) if job.last else "",  # before they are read: a later change is then noticed
        "shows": _shows(job) if job.last else [],
        "title": job.paper.title,
        "profile": job.profile,
    }
    job_file = executed.with_suffix(".yaml")
    # safe_dump refuses numpy values, which papermill would write into the notebook as broken source.
    job_file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    with executed.with_suffix(".log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "common.execution", str(job_file)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which stops its children in order
        )  # fmt: skip
    return Started(job, process, time.monotonic())


def _environment(slots: int, private: dict[str, str]) -> dict[str, str]:
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the debugger's warning about frozen modules in every log
        "JUPYTER_PREFER_ENV_PATH": "1",  # a kernel the user once installed must not replace this environment's
        **os.environ,
    }
    threads = str(max(1, pool.cores() // slots))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        environment.setdefault(name, threads)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(paths.ROOT), os.environ.get("PYTHONPATH"))))
    return environment | {PRIVATE[name]: value for name, value in private.items() if value}


def stop(started: list[Started], patience: float = 3.0) -> None:
    """End runs with all their processes.

    Kernels live in sessions of their own, so a signal to the child's group would miss them and the workers below them.
    Nothing is lost by ending them abruptly: the store writes whole cells or none.
    """
    import psutil

    family = []
    for one in started:
        try:
            child = psutil.Process(one.process.pid)
            family += [child, *child.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    for act in ("terminate", "kill"):
        for process in family:
            try:
                getattr(process, act)()
            except psutil.NoSuchProcess:
                continue
        _, family = psutil.wait_procs(family, timeout=patience)
    for one in started:
        one.process.wait()


def failure(started: Started) -> str:
    """Why a run failed: the traceback of the failing cell, else the end of the log."""
    try:
        cells = json.loads(output(started.job).read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):
        cells = []
    for cell in cells:
        for out in cell.get("outputs", ()):
            if out.get("output_type") == "error":
                where = f"cell [{cell.get('execution_count')}] of {started.job}:"
                return "\n".join([where, *(_ANSI.sub("", line) for line in out["traceback"])])
    return "\n".join([f"end of {started.log}:", *last_lines(started.log, 20)])


def last_lines(log: Path, n: int) -> list[str]:
    """The last non-empty lines of a log; what tqdm overwrote on one line counts as lines."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in (_ANSI.sub("", part).strip(" \t-") for part in re.split(r"[\r\n]+", text)) if line][-n:]


def main(job_file: str) -> int:
    """The child: execute, then render. It stays where the user is, so that a relative path in --set means theirs."""
    import logging

    # jsonschema's check of web addresses in formats that notebooks do not use: leaving it out saves a second a run.
    sys.modules.setdefault("rfc3987_syntax", None)
    import papermill
    import yaml

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    job = yaml.safe_load(Path(job_file).read_text(encoding="utf-8"))
    try:
        papermill.execute_notebook(
            job["notebook"], job["executed"], parameters=job["parameters"], kernel_name="python3", log_output=True,
            progress_bar=False, start_timeout=300, execution_timeout=job["timeout"],
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    if job["page"]:
        from common import report

        job["shown"] = _state(job["shows"])
        report.render(Path(job["executed"]), Path(job["page"]), title=job["title"], profile=job["profile"])
        Path(job_file).write_text(yaml.safe_dump(job, sort_keys=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
