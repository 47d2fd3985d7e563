"""How far a start is: a bar over cells, or a line over all notebook runs with what is left and for how long."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable, Sequence

from common import execution, jobs

HEARTBEAT = 60.0  # seconds between status lines where they cannot be overwritten
RECOUNT = 5.0  # seconds between looks into the store


def bar(label: str) -> Callable:
    """A wrapper of an iterator that shows how far it is; tqdm where there is one."""
    try:
        from tqdm import tqdm
    except ImportError:
        return lambda results, total=None: results
    # Into a file, a line now and then is enough.
    slow = {} if sys.stderr.isatty() else {"mininterval": HEARTBEAT, "maxinterval": HEARTBEAT}
    return lambda results, total=None: tqdm(results, total=total, desc=label, unit="cell", **slow)


class CellCount:
    """The cells of several runs, counted in the store, whichever process finishes them.

    Runs that were asked to do finished cells again (`refresh`) leave no trace that could be counted, and are left out.
    """

    def __init__(self, planned: Sequence[jobs.Job]):
        self._missing: dict[str, set[str]] = {}
        self._stores, everything = {}, set()
        for job in planned:
            if job.study is not None and not job.options.get("refresh"):
                stem = job.study.module.STEM
                self._stores[stem] = job.study.store
                self._missing.setdefault(stem, set()).update(job.study.keys)
                everything |= {(stem, key) for key in job.study.keys}
        self.total = len(everything)
        self._missing = {stem: keys - self._stores[stem].keys(stem) for stem, keys in self._missing.items()}
        self.left = self._first = sum(map(len, self._missing.values()))
        self._started = self._counted = time.monotonic()

    def look(self) -> None:
        """Count again, unless that was done a moment ago."""
        if time.monotonic() - self._counted < RECOUNT:
            return
        for stem, keys in self._missing.items():
            keys -= self._stores[stem].names(stem)
        self.left, self._counted = sum(map(len, self._missing.values())), time.monotonic()

    def __str__(self) -> str:
        """Cells, each the training of a network or another classifier; time left at the pace since the start."""
        if not self.total:
            return ""
        text = f"cells {self.total - self.left} of {self.total}, {self.left} trainings left"
        new = self._first - self.left
        pace = (self._counted - self._started) / new if new else math.inf
        return text + (f", about {clock(pace * self.left)}" if new and self.left else "")


class StatusLine:
    """How far all runs are and what runs now: one line overwritten on a terminal, a few lines a minute elsewhere."""

    def __init__(self, planned: Sequence[jobs.Job]):
        self.terminal = sys.stdout.isatty()
        self._last, self._shown = -math.inf if self.terminal else time.monotonic(), False
        self._runs, self._cells = len(planned), CellCount(planned)

    def clear(self) -> None:
        """Remove the line, if it can be removed."""
        if self._shown:
            print("\r\x1b[K", end="", flush=True)
            self._shown = False

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.clear()
        print(text, flush=True)

    def update(self, running: Sequence[execution.Started], ended: int) -> None:
        """Show how things stand, if it is time to."""
        now = time.monotonic()
        if not running or now - self._last < (1.0 if self.terminal else HEARTBEAT):
            return
        self._last = now
        self._cells.look()
        overall = ", ".join(filter(None, (f"runs {ended} of {self._runs}", str(self._cells))))
        parts = [f"{one.job} {clock(now - one.since)} {''.join(execution.last_lines(one.log, 1))}" for one in running]
        if not self.terminal:
            print("\n".join(part.rstrip() for part in (overall, *parts)), flush=True)
            return
        text = " | ".join([overall, *parts])[: shutil.get_terminal_size().columns - 1]
        print(f"\r\x1b[K{text}", end="", flush=True)
        self._shown = True


def clock(seconds: float) -> str:
    """A duration such as 2m05s or 3h20m."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m{seconds:02d}s"
