"""A Dask cluster: reaching it or making one of this machine's cores; whether its workers do what this machine would."""

from __future__ import annotations

import asyncio
import logging
import signal
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from common import pool, provenance
from common.errors import UserError, reason

LOCAL = "local"
CONNECT = 5.0  # seconds a scheduler has to answer
GPU = "GPU"  # the resource that a worker with a GPU is started with


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
    for address, worker in _workers(client).items():
        if worker["nthreads"] != 1:
            raise UserError(f"worker {address} has {worker['nthreads']} threads: start workers with --nthreads 1, "
                            "as many as there are cores")  # fmt: skip
    if device == "cuda" and not slots(client, device):
        raise UserError("--device cuda: no worker of this cluster has a GPU; start those that have one with "
                        f"--resources '{GPU}=1'")  # fmt: skip
    store.mkdir(parents=True, exist_ok=True)
    sign = store / f".shared-{uuid.uuid4().hex}"
    sign.touch()
    try:
        answers = client.run(look, environment(), str(sign))
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


def look(expected: dict[str, str], sign: str = "") -> str:
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


def slots(client, device: str) -> int:
    """How many workers there are that can train on `device`."""
    return sum(1 for worker in _workers(client).values() if device == "cpu" or worker["resources"].get(GPU, 0) >= 1)
