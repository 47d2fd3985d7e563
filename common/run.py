"""The command line: ``python -m common.run [demo|reduced|paper|site|export|merge|clean] [options]``.

Everything is checked first (`cli`, `jobs`, `grids`); then each run of each notebook is one process (`execution`), or
with ``--no-notebook`` its cells run right here, which needs neither papermill nor Jupyter.
"""

from __future__ import annotations

import math
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common import cli, execution, jobs, paths
from common.errors import UserError

POLL = 0.2  # seconds between looks at the children
STAGGER = 1.0  # seconds between two starts: kernels that start together race for ports
HEARTBEAT = 60.0  # seconds between status lines where they cannot be overwritten
GO_ON = "start again to go on"


@dataclass
class Outcome:
    """A line of the final table."""

    job: jobs.Job
    status: str
    seconds: float = math.nan
    report: Path | None = None


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
        from common import readme, site

        print(f"wrote {_shown(site.site(demo=False))}, claims.csv, and the results in README.md")
        readme.update()
        return 0
    if word in ("export", "merge"):
        return carry(word, Path(file), arguments.store)
    from common import study

    budget = study.parse_duration(arguments.time_budget) if arguments.time_budget else math.inf
    planned = jobs.plan(word, arguments)
    if arguments.dry_run:
        return dry_run(planned)
    deadline = time.monotonic() + budget
    run_all = run_here if arguments.no_notebook else run_notebooks
    outcomes = run_all(planned, deadline, arguments.jobs)
    print(table(outcomes))
    if not arguments.no_notebook:
        from common import site

        print(f"\n{_shown(site.site())}")
    return int(any(outcome.status == "failed" for outcome in outcomes))


# -- words -------------------------------------------------------------------------------------------------------------


def version() -> str:
    """Name and version, from pyproject.toml: right whether or not the project is installed."""
    import tomllib

    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"{project['name']} {project['version']}"


def clean() -> int:
    """Remove what a run makes again: executed notebooks, demo pages, decoded data. Never the store or results."""
    removed = []
    for folder in (jobs.reports_root() / "runs", jobs.reports_root() / "demo", paths.ROOT / ".cache"):
        if folder.is_dir():
            shutil.rmtree(folder)
            removed.append(_shown(folder))
    print(f"removed {', '.join(removed)}" if removed else "nothing to remove")
    return 0


def carry(word: str, file: Path, store: str | None) -> int:
    """Export measured results to `file`, or merge those of another machine from it."""
    from common.store import Store

    try:
        cells = getattr(Store(paths.store_root(store)), word)(file.expanduser())
    except OSError as error:
        raise UserError(
            f"{word} {file}: {error.strerror or error}; expected a place that can be read and written"
        ) from error
    if not cells:
        raise UserError(f"{word} {file}: no measured cells; run the reduced or the paper profile first")
    counted = ", ".join(f"{stem}: {count}" for stem, count in cells.items())
    print(f"{'exported to' if word == 'export' else 'merged from'} {file} ({counted})")
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


# -- runs --------------------------------------------------------------------------------------------------------------


def run_here(planned: list[jobs.Job], deadline: float, _slots: int = 1) -> list[Outcome]:
    """Run the cells of each job in this process, one job after the other."""
    from common import study

    outcomes = []
    for job in planned:
        started = time.monotonic()
        if deadline <= started:
            outcomes.append(Outcome(job, f"not started, {GO_ON}"))
            continue
        options = jobs.with_budget(job, deadline - started)
        try:
            run = study.Run(job.paper.module(), job.parameters, options)
            summary = run.execute(progress=_progress(str(job)))
        except Exception:
            traceback.print_exc()
            outcomes.append(Outcome(job, "failed", time.monotonic() - started))
            continue
        print(f"{job}: {summary}")
        status = f"{summary.left} cells left, {GO_ON}" if summary.left else "done"
        outcomes.append(Outcome(job, status, time.monotonic() - started))
    return outcomes


def _progress(label: str) -> Callable:
    """A wrapper of an iterator that shows how far it is; tqdm where there is one."""
    try:
        from tqdm import tqdm
    except ImportError:
        return lambda results, total=None: results
    # Into a file, a line now and then is enough.
    slow = {} if sys.stderr.isatty() else {"mininterval": HEARTBEAT, "maxinterval": HEARTBEAT}
    return lambda results, total=None: tqdm(results, total=total, desc=label, unit="cell", **slow)


def run_notebooks(planned: list[jobs.Job], deadline: float, slots: int) -> list[Outcome]:
    """Run each job in a process of its own, `slots` at once; a failed one does not stop the others."""
    waiting, running, outcomes = list(planned), [], {}
    line = _StatusLine()
    try:
        while waiting or running:
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                outcomes[one.job] = outcome = finished(one)
                line.say(f"{one.job}: {outcome.status} in {outcome.seconds:.0f} s")
                if outcome.status == "failed":
                    line.say(execution.failure(one))
            while waiting and len(running) < slots:
                job = next((job for job in waiting if _may_start(job, waiting, running)), None)
                if job is None:
                    break
                waiting.remove(job)
                if deadline <= time.monotonic():
                    outcomes[job] = Outcome(job, f"not started, {GO_ON}")
                    continue
                if execution.settled(job):
                    outcomes[job] = Outcome(job, "done before", report=execution.page(job) if job.last else None)
                    continue
                if running:
                    time.sleep(STAGGER)
                line.say(f"{job}: started ({len(planned) - len(waiting)} of {len(planned)})")
                running.append(execution.start(job, slots, deadline - time.monotonic()))
            line.update(running)
            time.sleep(POLL)
    except BaseException:
        line.clear()
        execution.stop(running)
        raise
    line.clear()
    return [outcomes[job] for job in planned]


def _may_start(job: jobs.Job, waiting: list[jobs.Job], running: list[execution.Started]) -> bool:
    """A stem's last run renders the page of all, so it waits for the others."""
    others = [*waiting, *(one.job for one in running)]
    return not job.last or not any(other.paper == job.paper and other is not job for other in others)


def finished(one: execution.Started) -> Outcome:
    """What became of a run whose process has ended."""
    job, seconds = one.job, time.monotonic() - one.since
    if one.process.returncode:
        return Outcome(job, "failed", seconds, one.log)
    report = execution.page(job) if job.last else execution.output(job)
    # With --refresh every cell counts as missing, so what was left cannot be told from here.
    left = 0 if job.study is None or job.options.get("refresh") else len(job.study.missing())
    return Outcome(job, f"{left} cells left, {GO_ON}" if left else "done", seconds, report)


class _StatusLine:
    """What runs now: one line overwritten on a terminal, a line a minute elsewhere."""

    def __init__(self):
        self.terminal = sys.stdout.isatty()
        self.last, self.shown = -math.inf if self.terminal else time.monotonic(), False

    def clear(self) -> None:
        if self.shown:
            print("\r\x1b[K", end="", flush=True)
            self.shown = False

    def say(self, text: str) -> None:
        self.clear()
        print(text, flush=True)

    def update(self, running: list[execution.Started]) -> None:
        now = time.monotonic()
        if not running or now - self.last < (1.0 if self.terminal else HEARTBEAT):
            return
        self.last = now
        parts = [f"{one.job} {_clock(now - one.since)} {''.join(execution.last_lines(one.log, 1))}" for one in running]
        if not self.terminal:
            print("\n".join(part.rstrip() for part in parts), flush=True)
            return
        text = " | ".join(parts)[: shutil.get_terminal_size().columns - 1]
        print(f"\r\x1b[K{text}", end="", flush=True)
        self.shown = True


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m{seconds:02d}s"


def _shown(path: Path) -> str:
    """A path as short as it can be: from the project's root where it is inside."""
    return str(path.relative_to(paths.ROOT) if path.is_relative_to(paths.ROOT) else path)


def table(outcomes: list[Outcome]) -> str:
    """The final table: notebook, run, status, seconds, report."""
    rows = [("notebook", "run", "status", "seconds", "report")]
    for o in outcomes:
        seconds = "" if math.isnan(o.seconds) else f"{o.seconds:.0f}"
        rows.append((str(o.job.paper), o.job.run, o.status, seconds, _shown(o.report) if o.report else ""))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n" + "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


if __name__ == "__main__":
    raise SystemExit(main())
