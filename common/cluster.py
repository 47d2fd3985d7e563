"""Cells on a Dask cluster: workers run them and write them into the store on a folder that all share.

The client only hands them out. Because a worker writes each finished cell itself, killing the client loses nothing but
cells in flight, and starting it again goes on. A worker has one thread, as the processes of a run on one machine have,
so the numbers are the same.
"""

from __future__ import annotations

import math
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from common import jobs, outcomes, paths, pool, progress
from common.cluster_workers import GPU, environment, look, slots
from common.dispatch import dispatch
from common.errors import UserError
from common.outcomes import FAILED, GO_ON, Outcome

# -- running -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Unit:
    """What a worker gets at once: a cell; on a GPU several, which train together."""

    job: jobs.Job
    cells: dict


@dataclass
class _Tally:
    """What is known of a job while its cells run."""

    missing: int
    ended: Counter = field(default_factory=Counter)  # by status
    failed: bool = False
    started: float = field(default_factory=time.monotonic)


def run(client, planned: list[jobs.Job], device: str, deadline: float) -> list[Outcome]:
    """Run the missing cells of all jobs on the cluster; a failing cell ends its job, and no other.

    Parameters
    ----------
    client : distributed.Client
    planned : list of jobs.Job
    device : str
        Where the workers train. The jobs' own options say cpu, so that a client needs no GPU.
    deadline : float
        On the monotonic clock, in seconds.
    """
    tallies, units, expected = {}, [], environment()
    for job in planned:
        missing = job.study.missing() if job.study else {}
        tallies[job] = _Tally(len(missing))
        units += [Unit(job, part) for part in _parts(missing, job, device, slots(client, device))]
    resources = {GPU: 1} if device == "cuda" else None

    def submit(unit: Unit) -> Future:
        study = unit.job.study
        options = {**asdict(study.options), **_places(study.options), "device": device}
        what = (study.module.__name__, asdict(study.parameters), options, unit.cells, expected)
        return _watched(client.submit(measure, *what, pure=False, resources=resources))

    def shares(unit: Unit):
        group = getattr(unit.job.study.module, "group", None)
        return None if group is None or len(unit.cells) > 1 else group(next(iter(unit.cells.values())))

    def wanted(unit: Unit) -> bool:
        return not tallies[unit.job].failed

    ended = _ended(dispatch(units, submit, _Slots(client, device), shares, wanted, deadline), tallies)
    for _ in progress.bar("cells")(ended, total=sum(tally.missing for tally in tallies.values())):
        pass
    return [_outcome(job, tally) for job, tally in tallies.items()]


def _watched(remote) -> Future:
    """A future of `concurrent.futures` that ends as a Dask future does, whatever happens to the scheduler."""
    here = Future()

    def pass_on(ended):
        try:
            here.set_result(ended.result())
        except BaseException as error:
            here.set_exception(error)

    remote.add_done_callback(pass_on)
    return here


class _Slots:
    """How many units may run at once: asked of the scheduler once a second, because workers come and go."""

    def __init__(self, client, device: str):
        self._ask, self._asked, self._n = (client, device), -math.inf, 1

    def __call__(self) -> int:
        if time.monotonic() - self._asked > 1.0:
            # One at least: what is submitted to a cluster without workers waits there for the first.
            self._asked, self._n = time.monotonic(), max(1, slots(*self._ask))
        return self._n


def _parts(missing: dict, job: jobs.Job, device: str, slots: int) -> Iterator[dict]:
    """Cells by the ones that run together: alone on a CPU, spread evenly over the GPUs up to what one takes at once."""
    size = 1 if device == "cpu" else min(getattr(job.study.module, "GROUP", 256), -(-len(missing) // max(1, slots)))
    items = list(missing.items())
    for start in range(0, len(items), max(1, size)):
        yield dict(items[start : start + size])


def _places(options) -> dict[str, str]:
    """Where things are, as any machine that shares the folders can find them."""
    weights = options.weights_path()
    return {
        "store": str(options.store_path()),
        "data": str(paths.data_root(options.data)),
        "weights": str(Path(weights).expanduser().resolve()) if weights else "",
    }


def _ended(ending, tallies: dict) -> Iterator[None]:
    """Count what has ended; one item a finished cell."""
    from distributed.comm import CommClosedError

    for unit, future in ending:
        tally = tallies[unit.job]
        try:
            found = future.result()
        except (CancelledError, CommClosedError):
            print(f"the scheduler is gone; finished cells are kept, {GO_ON}", file=sys.stderr)
            for other in tallies.values():
                other.failed |= other.ended.total() < other.missing
            return
        except UserError as error:
            tally.failed = True
            print(f"{unit.job}: {error}", file=sys.stderr)
        except Exception:
            tally.failed = True
            traceback.print_exc()
        else:
            for status in found:
                tally.ended[status] += 1
                yield


def _outcome(job: jobs.Job, tally: _Tally) -> Outcome:
    from common.study import Summary

    seconds = time.monotonic() - tally.started
    if job.study:
        total = len(job.study.keys)
        print(f"{job}: {Summary(total, total - tally.missing, tally.ended, seconds)}")
    left = tally.missing - tally.ended.total()
    return Outcome(job, FAILED, seconds) if tally.failed else outcomes.of(job, left, seconds)


# -- on a worker -------------------------------------------------------------------------------------------------------


def measure(module: str, parameters: dict, options: dict, cells: dict, expected: dict) -> list[str]:
    """Run cells, by their keys, on a worker, and keep each as soon as it is finished; their states.

    Raises
    ------
    UserError
        If this worker's code, versions or data are not the client's.
    """
    from common import study

    if trouble := look(expected):  # this worker may have come after the others were asked
        raise UserError(f"this worker {trouble}")
    if options["device"] == "cpu":
        pool.one_thread()
    run = study.Run(import_module(module), parameters, options)
    _leave_the_job_before(module, repr(run.parameters))
    for key, cell in cells.items():
        if cell.key(run.module.STEM, run.module.VERSION, run.fingerprint(cell)) != key:
            raise UserError(f"data set {cell.dataset!r}: this worker's images are not the client's; use one folder "
                            f"for all (--data DIR; here {options['data']})")  # fmt: skip
    names = {cell: key for key, cell in cells.items() if run.options.refresh or not run.store.has(run.module.STEM, key)}
    states = ["ok"] * (len(cells) - len(names))  # another run has finished them since
    for result in run.module.run(list(names), run.context) if names else ():
        run.keep(names[result.cell], result)
        states.append(result.status)
    return states


@lru_cache(maxsize=1)
def _leave_the_job_before(module: str, parameters: str) -> None:
    """Free its data: what is remembered is one job, so this is done once each time a worker comes to another."""
    from common import resident

    resident.release()
