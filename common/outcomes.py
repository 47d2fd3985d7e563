"""What became of each run of a start, and the table that ends it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from common import jobs, paths

GO_ON = "start again to go on"
FAILED = "failed"
DONE = "done"


@dataclass
class Outcome:
    """A line of the final table."""

    job: jobs.Job
    status: str
    seconds: float = math.nan
    report: Path | None = None


def of(job: jobs.Job, left: int, seconds: float, report: Path | None = None) -> Outcome:
    """The outcome of a run that ended well, with so many of its cells left."""
    return Outcome(job, f"{left} cells left, {GO_ON}" if left else DONE, seconds, report)


def table(outcomes: list[Outcome]) -> str:
    """The final table: notebook, run, status, seconds, report."""
    rows = [("notebook", "run", "status", "seconds", "report")]
    for o in outcomes:
        seconds = "" if math.isnan(o.seconds) else f"{o.seconds:.0f}"
        rows.append((str(o.job.paper), o.job.run, o.status, seconds, shown(o.report) if o.report else ""))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n" + "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def shown(path: Path) -> str:
    """A path as short as it can be: from the project's root where it is inside."""
    return str(path.relative_to(paths.ROOT) if path.is_relative_to(paths.ROOT) else path)
