"""Cells on a CPU: one process a core with one thread each, from which small networks gain more than from threads."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module

from common.dispatch import dispatch


def results(module, cells: list, context, workers: int, still_missing: Callable, deadline: float) -> Iterator:
    """The results of cells as they finish; after a failure none begins, and those that run already end first.

    Parameters
    ----------
    module : module
        The study; its `group`, if it has one, says which cells share an artifact.
    cells : list of cells.Cell
        In the order they should begin.
    context : cells.Context
    workers : int
        Processes at once.
    still_missing : callable
        Whether a cell whose turn it is has still to be run.
    deadline : float
        See `dispatch.dispatch`.

    Yields
    ------
    cells.Result

    Raises
    ------
    RuntimeError
        If one of the processes dies.
    """
    group = getattr(module, "group", lambda cell: None)
    failures = []
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads in an undefined state
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin, initargs=(os.getpid(),)) as executor:

        def submit(cell):
            return executor.submit(_run, module.__name__, cell, context)

        def slots():
            return 0 if failures else workers

        try:
            for _, future in dispatch(cells, submit, slots, group, still_missing, deadline):
                if future.exception() is None:
                    yield from future.result()
                else:
                    failures.append(future.exception())
            if failures:
                raise failures[0]
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a process that ran a cell was killed, most likely because memory ran out; finished cells are kept: "
                "start again to go on, with fewer at once (--set workers=N)"
            ) from error
        except BaseException:
            for process in list(executor._processes.values()):
                process.terminate()
            raise


def one_thread() -> None:
    """Let torch use one thread, so that a cell's numbers do not depend on where it runs."""
    import torch

    torch.set_num_threads(1)


def _begin(parent: int) -> None:
    """One thread, deaf to Ctrl-C, which is the parent's to handle, and gone when the parent is, even by kill -9."""
    import signal
    import threading

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    one_thread()


def _run(module: str, cell, context) -> list:
    return list(import_module(module).run([cell], context))
