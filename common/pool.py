"""Cells on a CPU: one process a core with one thread each, from which small networks gain more than from threads."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module

from common.dispatch import dispatch
from common.errors import UserError

UNGUARDED = 64  # exit status of a process that was about to run cells while its main module was being imported


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
    UserError
        If the script that asks for the cells is no file, which the processes could import; or if it runs them at its
        top level, where a process that imports it asks again.
    RuntimeError
        If one of the processes dies.
    """
    _check_main()
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
            processes = list(executor._processes.values())
            executor.shutdown()  # until then not all have an exit status
            if UNGUARDED in [process.exitcode for process in processes]:
                raise UserError(
                    "each process that runs cells imports the script that started it, and so would run them again: "
                    'put what the script does below `if __name__ == "__main__":`, or use one process (workers=1)'
                ) from None
            raise RuntimeError(
                "a process that ran a cell was killed, most likely because memory ran out; finished cells are kept: "
                "start again to go on, with fewer at once (--set workers=N)"
            ) from error
        except BaseException:
            for process in list(executor._processes.values()):
                process.terminate()
            raise


def _check_main() -> None:
    """Raise `UserError` where a process that is spawned could not import the script that started it."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)  # none in a notebook; of a module, which has a spec, the name is imported
    if file and getattr(main, "__spec__", None) is None and not os.path.isfile(file):
        raise UserError(
            f"each process that runs cells imports the script that started it, and {file} is no file: save the script "
            "as one, or use one process (workers=1)"
        )


def end_if_unguarded() -> None:
    """End this process, which another one has just begun, if it comes here while it imports the other's script.

    An error would only be printed, once by each process; the exit status tells the parent, which says it once.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(UNGUARDED)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
