"""For tests that kill what runs: waiting, frames to compare, a Dask scheduler with workers as processes; no rights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

from common.paths import ROOT

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
}


def until(condition, seconds: float = 60.0):
    """Wait for a condition and give its value back."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value


def measured(run):
    """The rows of a toy run, without what depends on when and where it ran."""
    varies = "key log pause fail_at train_seconds created device code_version".split()
    frame = run.frame().drop(columns=varies).sort_values(["replicate", "number"], ignore_index=True)
    return frame.dropna(axis="columns", how="all")


def lines(log: Path) -> list[str]:
    """A line for every toy cell that was run, by whatever process."""
    return log.read_text().splitlines() if log.exists() else []


@contextmanager
def nobody():
    """Without the rights of root, where the tests have them."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)  # the real one as well: os.access asks for that
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


class Starter:
    """Runs of the toy study, each in a process of its own that starts in milliseconds.

    A small process that has loaded all libraries is forked for each run.
    """

    def __init__(self):
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(
            command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, parameters: dict, options: dict, log: Path) -> int:
        """Begin a run; its process number. Its output goes to `log`."""
        return self._ask([parameters, options, str(log)])

    def wait(self, pid: int) -> int:
        """Exit status of a run when it has ended, negative for a signal."""
        return self._ask(pid)

    def _ask(self, what) -> int:
        print(json.dumps(what), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.communicate()


def _serve() -> None:
    """What `Starter` talks to: a line is a run to start, or the number of one to wait for."""
    import toy_study

    from common import study

    study.Run(toy_study, {}, {"store": "/nowhere", "workers": 1}).missing()  # loads the images and their libraries
    import torch  # noqa: F401

    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, int):
            print(os.waitstatus_to_exitcode(os.waitpid(asked, 0)[1]), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _run(*asked)
        print(pid, flush=True)


def _run(parameters: dict, options: dict, log: str) -> None:
    import toy_study

    from common import study

    status = 1
    try:
        for stream in (1, 2):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), stream)
        made = study.Run(toy_study, parameters, options, committed=Path(options["store"]) / "none")
        print(made.execute(), flush=True)
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


class Cluster:
    """`scheduler` and `workers` are processes; `address` is the scheduler's."""

    def __init__(self, folder: Path):
        self.folder, self.workers = folder, []
        self.start_scheduler()

    def start_scheduler(self) -> None:
        file = self.folder / "scheduler.json"
        file.unlink(missing_ok=True)
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)

        def address() -> str:
            try:
                return json.loads(file.read_text())["address"]
            except (OSError, ValueError):
                return ""

        self.address = until(address)

    def start_worker(self, *options) -> subprocess.Popen:
        worker = self._start("worker", self.address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1", *options)
        self.workers.append(worker)
        return worker

    def _start(self, kind: str, *options) -> subprocess.Popen:
        log = (self.folder / f"{kind}-{time.monotonic_ns()}.log").open("w")
        command = [sys.executable, "-m", "dask", kind, *map(str, options), "--no-dashboard"]
        if kind == "worker":
            command += ["--local-directory", str(self.folder)]
        return subprocess.Popen(command, cwd=self.folder, env=ENVIRONMENT, stdout=log, stderr=log)

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@contextmanager
def cluster_of(folder: Path, n_workers: int):
    """A scheduler with so many workers of one thread, which need not have arrived yet."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder)
    try:
        for _ in range(n_workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.stop()


if __name__ == "__main__":
    _serve()
