"""Whatever happens to a run: nothing finished is lost, nothing is counted twice, and the results end up the same."""

import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from contextlib import contextmanager

import pandas as pd
import pytest
import toy_study
from processes import Starter, lines, measured, until
from test_run import notebook

from common import running, store, study
from common.jobs import Job
from common.paths import ROOT
from common.replications import Replication

AREA = "Processes and disks"
OPTIONS = {"workers": 1, "offline": True}


@pytest.fixture(scope="module")
def starter():
    made = Starter()
    yield made
    made.stop()


def made(tmp_path, parameters, where="store", **options):
    options = {**OPTIONS, "store": str(tmp_path / where), **options}
    return study.Run(toy_study, parameters, options, committed=tmp_path / "none")


def options_of(run):
    return {**OPTIONS, "store": str(run.store.root)}


def finish(starter, run, log):
    """A start that nothing disturbs."""
    assert starter.wait(starter.start(vars(run.parameters), options_of(run), log)) == 0, log.read_text()


def assert_as_undisturbed(run, tmp_path):
    """The final table is that of a run that nothing has disturbed, with each cell once."""
    undisturbed = made(tmp_path, {"numbers": run.parameters.numbers, "replicates": run.parameters.replicates}, "whole")
    undisturbed.execute()
    assert run.frame()["key"].is_unique
    pd.testing.assert_frame_equal(measured(run), measured(undisturbed))


@pytest.mark.reliability(AREA, "kill -9 of a run at 20 random moments, started again each time")
def test_killed_twenty_times(starter, tmp_path, happened):
    log, chance = tmp_path / "log", random.Random(20)
    # 200 pauses take longer than 20 times the longest wait, so no start can come to its end.
    run = made(tmp_path, {"log": str(log), "pause": 0.03, "numbers": tuple(range(200))})
    finished, kills = set(), 0
    while kills < 20:
        pid = starter.start(vars(run.parameters), options_of(run), tmp_path / "out")
        time.sleep(chance.uniform(0.02, 0.25))
        os.kill(pid, signal.SIGKILL)
        assert starter.wait(pid) == -signal.SIGKILL, "it had ended before"
        kills += 1
        now = run.store.sound("toy", set(run.keys))
        assert finished <= now and not list(run.store.root.rglob("*.damaged"))
        finished = now
    finish(starter, run, tmp_path / "out")
    ran = len(lines(log))
    assert ran <= 200 + kills, "more than the cells in flight ran twice"
    assert_as_undisturbed(run, tmp_path)
    happened(f"{len(finished)} of 200 cells finished before the last kill were kept; {ran - 200} in flight ran again")


@pytest.mark.reliability(AREA, "two runs of the same cells started at once on the same store")
def test_two_runs_on_one_store(starter, tmp_path, happened):
    log = tmp_path / "log"
    run = made(tmp_path, {"log": str(log), "pause": 0.01, "numbers": tuple(range(40))})
    both = [starter.start(vars(run.parameters), options_of(run), tmp_path / "out") for _ in range(2)]
    assert [starter.wait(pid) for pid in both] == [0, 0], (tmp_path / "out").read_text()
    assert len(list((run.store.root / "toy").iterdir())) == 40
    assert_as_undisturbed(run, tmp_path)
    happened(f"40 cells in the store, each once, by {len(lines(log))} trainings; both runs ended well")


@contextmanager
def own_disk(folder, size):
    """A file system of its own in `folder`, which only root can mount."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs root, and leave to mount")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.reliability(AREA, "the disk full while results are written (a file system of 48 KiB)")
def test_disk_full(starter, tmp_path, happened):
    run = made(tmp_path, {"numbers": tuple(range(40))})
    with own_disk(run.store.root, "48k") as remount:
        pid = starter.start(vars(run.parameters), options_of(run), tmp_path / "out")
        assert starter.wait(pid) == 1
        said = (tmp_path / "out").read_text().splitlines()[-1]
        assert "takes no more (No space left on device)" in said and "start again to go on" in said
        kept = run.store.sound("toy", set(run.keys))
        assert 0 < len(kept) < 40
        there = {path.name for path in (run.store.root / "toy").iterdir()}
        assert there == {f"{key}.json" for key in kept}, "something half written"
        remount("size=4m")
        finish(starter, run, tmp_path / "out")
        assert_as_undisturbed(run, tmp_path)
    happened(f"'{said.partition(': ')[2]}'; {len(kept)} cells kept, the other {40 - len(kept)} run once there was room")


@pytest.mark.reliability(AREA, "a store that cannot be written (its file system mounted read-only)")
def test_read_only_store(starter, tmp_path, happened):
    run = made(tmp_path, {"numbers": tuple(range(6))})
    with own_disk(run.store.root, "4m") as remount:
        made(tmp_path, {"numbers": (0, 1)}).execute()
        remount("ro")
        assert starter.wait(starter.start(vars(run.parameters), options_of(run), tmp_path / "out")) == 1
        said = (tmp_path / "out").read_text().splitlines()[-1]
        assert "takes no more (Read-only file system)" in said
        assert len(run.frame()) == 2, "what is there can still be read"
        remount("rw")
        finish(starter, run, tmp_path / "out")
        assert_as_undisturbed(run, tmp_path)
    happened(f"'{said.partition(': ')[2]}'; the 2 finished cells could be read, the other 4 ran later")


@pytest.mark.reliability(AREA, "result files cut short, of random bytes, with a changed number, empty, of another cell")
def test_damaged_files(starter, tmp_path, happened):
    log = tmp_path / "log"
    run = made(tmp_path, {"log": str(log), "numbers": tuple(range(8))})
    finish(starter, run, tmp_path / "out")
    paths = [run.store.root / "toy" / f"{key}.json" for key in run.keys]
    paths[0].write_bytes(paths[0].read_bytes()[:-40])
    paths[1].write_bytes(random.Random(1).randbytes(2000))
    paths[2].write_text(re.sub(r'"value": 0\.', '"value": 1.', paths[2].read_text()))
    paths[3].write_bytes(b"")
    paths[4].write_bytes(paths[5].read_bytes())
    (tmp_path / "out").unlink()
    finish(starter, run, tmp_path / "out")
    said = (tmp_path / "out").read_text()
    for path in paths[:5]:
        assert f"{path.name} in the store is damaged; set aside as {path.stem}.damaged, its cell runs again" in said
        assert path.with_suffix(".damaged").exists()
    assert "8 cells: 3 already done, 5 run" in said and len(lines(log)) == 13
    assert_as_undisturbed(run, tmp_path)
    happened("all 5 noticed, named on stderr, set aside and run again at the next start; the 3 whole ones kept")


@pytest.mark.reliability(AREA, "the clock set back by a day between two starts")
def test_clock_going_backwards(tmp_path, monkeypatch, happened):
    """What a start finds then is a store whose files are from the future; and times in records are not in order."""
    log = tmp_path / "log"
    made(tmp_path, {"log": str(log), "numbers": (0, 1, 2)}).execute()
    tomorrow = time.time() + 86400
    for path in (tmp_path / "store").rglob("*"):
        os.utime(path, (tomorrow, tomorrow))
        if path.suffix == ".json":
            record = json.loads(path.read_text())
            record["common"]["created"] = "2100-01-01T00:00:00Z"
            record.pop("digest")
            store.Store(tmp_path / "store").put("toy", record)
    run = made(tmp_path, {"log": str(log), "numbers": (0, 1, 2, 3, 4)}, time_budget="60s")
    moments = iter(range(10**9, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: next(moments))  # and back again at every look during the second
    summary = run.execute()
    monkeypatch.undo()
    assert (summary.done, summary.new, summary.left) == (3, 2, 0) and len(lines(log)) == 5
    assert_as_undisturbed(run, tmp_path)
    happened(f"{summary.done} cells kept, {summary.new} run; nothing goes by the time of day")


@pytest.mark.reliability(AREA, "kill -9 of a process that runs a cell, as a system out of memory does")
def test_a_killed_process_of_a_run(tmp_path, happened):
    log = tmp_path / "log"
    run = made(tmp_path, {"log": str(log), "pause": 0.3, "numbers": tuple(range(8))}, workers=2)

    def kill_one(results, total):
        for n, result in enumerate(results):
            yield result
            if n == 1:
                os.kill(int(lines(log)[-1].split()[1]), signal.SIGKILL)

    with pytest.raises(RuntimeError, match="was killed, most likely because memory ran out") as error:
        run.execute(kill_one)
    kept = len(run.store.sound("toy", set(run.keys)))
    assert 2 <= kept < 8
    made(tmp_path, vars(run.parameters)).execute()
    assert_as_undisturbed(run, tmp_path)
    happened(f"'{error.value}'; {kept} cells kept, {8 - kept} run by the next start")


NOTEBOOK = """\
import os, sys
sys.path[:0] = [{tests!r}, {root!r}]
import toy_study
from common import study
run = study.Run.of(toy_study, globals())
with open({pid!r}, "w") as file:
    file.write(str(os.getpid()))
print(run.execute())
"""


@pytest.mark.reliability(AREA, "kill -9 of a notebook's kernel while it runs cells")
def test_a_killed_kernel(tmp_path, monkeypatch, capsys, happened):
    log, pid = tmp_path / "log", tmp_path / "pid"
    run = made(tmp_path, {"log": str(log), "pause": 0.2, "numbers": tuple(range(10))})
    parameters = {**vars(run.parameters), **options_of(run)}
    source = NOTEBOOK.format(tests=str(ROOT / "tests"), root=str(ROOT), pid=str(pid))
    notebook(tmp_path, "7_faulty", source, parameters="\n".join(f"{k} = {v!r}" for k, v in parameters.items()))
    monkeypatch.setenv("IMBALANCE_REPORTS", str(tmp_path / "reports"))
    job = Job(Replication(7, "faulty", tmp_path / "7_faulty.ipynb", None), "demo", "demo", {}, {})

    def kill():
        until(lambda: len(lines(log)) >= 3, 120)
        os.kill(int(pid.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    (outcome,) = running.notebooks([job], float("inf"), 1)
    killer.join()
    assert outcome.status == "failed" and "Kernel died" in capsys.readouterr().out
    kept = len(run.store.sound("toy", set(run.keys)))
    assert 2 <= kept < 10
    assert running.notebooks([job], float("inf"), 1)[0].status == "done"
    assert len(lines(log)) <= 11
    assert_as_undisturbed(run, tmp_path)
    happened(f"the run failed, 'Kernel died'; {kept} cells kept, {10 - kept} run by the next start")
