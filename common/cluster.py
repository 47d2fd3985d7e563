"""Cells on a Dask cluster: workers run them and write them into the store on a folder that all share.

The client only hands them out. Because a worker writes each finished cell itself, killing the client loses nothing but
cells in flight, and starting it again goes on. A worker has one thread, as the processes of a run on one machine have,
so the numbers are the same.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import sys
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from common import jobs, outcomes, paths, pool, progress, provenance
from common.dispatch import dispatch
from common.errors import UserError, reason
from common.outcomes import FAILED, GO_ON, Outcome

LOCAL = "local"
CONNECT = 5.0  # seconds a scheduler has to answer
GPU = "GPU"  # the resource that a worker with a GPU is started with

# -- the cluster -------------------------------------------------------------------------------------------------------


def probe(address: str) -> None:
    """`UserError` unless a Dask scheduler answers at `address` within a few seconds; `local` always does."""
    if address == LOCAL:
        return
    try:
        asyncio.run(_reach(address))
    except (OSError, ValueError, TypeError) as error:  # the last two: not an address, no certificate for tls
        raise UserError(
            f"--scheduler {address}: no Dask scheduler answers ({reason(error)}); expected `local`, or an address such "
            "as tcp://host:8786, which `dask scheduler` prints"
        ) from error


async def _reach(address: str) -> None:
    """Connect and leave: a `Client` that cannot connect goes on trying for a while, and is loud about it."""
    from distributed import Security
    from distributed.comm import connect

    comm = await connect(address, timeout=CONNECT, **Security().get_connection_args("client"))
    await comm.close()


@contextmanager
def connected(address: str) -> Iterator:
    """A `distributed.Client` of the scheduler at `address`, or of a cluster made of this machine's cores (`local`)."""
    from distributed import Client, LocalCluster

    if address != LOCAL:
        with closing(Client(address, timeout=CONNECT)) as client:
            yield client
        return
    n = pool.cores()
    # Everything listens on 127.0.0.1: who can reach a scheduler or a worker can run code there.
    places = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0"}
    cluster = LocalCluster(n_workers=n, threads_per_worker=1, memory_limit=None, silence_logs=logging.ERROR, **places)
    with cluster, Client(cluster) as client:
        client.run(_leave_ctrl_c_to_the_client)
        print(f"cluster of {n} processes on this machine, dashboard {cluster.dashboard_link}", flush=True)
        yield client


def _leave_ctrl_c_to_the_client() -> None:
    """On a worker of this machine, which a terminal's Ctrl-C reaches too; the client ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def check(client, device: str, store: Path) -> None:
    """`UserError` unless the workers can do what this machine would do itself.

    They need the same code and versions, one thread each, the same folder under the store's name and, for ``cuda``, a
    GPU. While there is no worker at all, as in a batch system's queue, this waits.
    """
    if not _workers(client):
        print("no worker yet: waiting for the first (Ctrl-C to stop)", flush=True)
        client.wait_for_workers(1)
    workers = _workers(client)
    for address, worker in workers.items():
        if worker["nthreads"] != 1:
            raise UserError(f"worker {address} has {worker['nthreads']} threads: start workers with --nthreads 1, "
                            "as many as there are cores")  # fmt: skip
    if device == "cuda" and not _slots(client, device):
        raise UserError("--device cuda: no worker of this cluster has a GPU; start those that have one with "
                        f"--resources '{GPU}=1'")  # fmt: skip
    store.mkdir(parents=True, exist_ok=True)
    sign = store / f".shared-{uuid.uuid4().hex}"
    sign.touch()
    try:
        answers = client.run(_look, environment(), str(sign))
    except (ImportError, AttributeError) as error:
        raise UserError(f"the workers cannot load this project's code ({error}); start them in its folder, with that "
                        "folder in PYTHONPATH and the same environment") from error  # fmt: skip
    finally:
        sign.unlink()
    for address, trouble in answers.items():
        if trouble:
            raise UserError(f"worker {address}: {trouble}")


def environment() -> dict[str, str]:
    """What must be equal on client and workers: the source's digest, and the versions that decide numbers."""
    found = provenance.versions((*provenance.PACKAGES, "distributed"))
    # torch's 2.15.0+cpu is its 2.15.0.
    return {"source": provenance.code_version()} | {name: text.split("+")[0] for name, text in found.items()}


def _look(expected: dict[str, str], sign: str = "") -> str:
    """On a worker: what differs from the client, or ""."""
    here = environment()
    for name, version in expected.items():
        if here[name] != version:
            way = "restart the workers" if name == "source" else "install the same requirements.txt"
            return f"has {name} {here[name]} where this machine has {version}; {way}"
    if sign and not Path(sign).exists():
        return f"does not see the store {Path(sign).parent}; expected a folder that all machines share (--store DIR)"
    return ""


def _workers(client) -> dict[str, dict]:
    return client.scheduler_info(n_workers=-1).get("workers", {})  # none while the scheduler is gone


def _slots(client, device: str) -> int:
    return sum(1 for worker in _workers(client).values() if device == "cpu" or worker["resources"].get(GPU, 0) >= 1)


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
        units += [Unit(job, part) for part in _parts(missing, job, device, _slots(client, device))]
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
            self._asked, self._n = time.monotonic(), max(1, _slots(*self._ask))
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

    if trouble := _look(expected):  # this worker may have come after the others were asked
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
