"""Several notebooks at once: no more than memory allows, and how far all of them are."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import toy_study

from common import execution, memory, progress, running, study
from common.jobs import Job
from common.replications import Replication

GIB = 2**30


def job_of(tmp_path, numbers, **options):
    options = {"store": str(tmp_path / "store"), "workers": 1, **options}
    made = study.Run(toy_study, {"numbers": numbers}, options, committed=tmp_path / "committed")
    return Job(Replication(0, "toy", None, "toy_study"), f"run-{numbers}", "demo", {}, options, made)


@pytest.mark.reliability("Several notebooks", "--jobs 2 with too little memory for a second run, until some is free")
def test_another_run_waits_for_memory(tmp_path, monkeypatch, capsys, happened):
    """Runs are empty processes; what they hold and what is free is made up."""
    looks = iter([1 * GIB, 2.5 * GIB, 5 * GIB])
    monkeypatch.setattr(memory, "used", lambda pid: 3 * GIB)
    monkeypatch.setattr(memory, "free", lambda: next(looks, 9 * GIB))
    monkeypatch.setattr(running, "STAGGER", 0)
    monkeypatch.setattr(execution, "settled", lambda job: False)
    starts = []

    def start(job, slots, seconds):
        starts.append((job, next(looks, None)) if starts else (job, "at once"))
        return execution.Started(job, subprocess.Popen(["sleep", "2"]), 0.0)

    monkeypatch.setattr(execution, "start", start)
    monkeypatch.setattr(execution.Started, "log", tmp_path / "none")
    planned = [job_of(tmp_path, (n,)) for n in range(2)]
    outcomes = running.notebooks(planned, float("inf"), 2)
    assert [job for job, _ in starts] == planned and starts[1][1] is None, "the second began before there was room"
    waits = [line for line in capsys.readouterr().out.splitlines() if "waits" in line]
    assert waits == [f"{planned[1]}: waits, 1.0 GiB of memory are free and 3.0 GiB wanted"]
    assert [o.status for o in outcomes] == ["1 cells left, start again to go on"] * 2
    happened(f"'{waits[0].partition(': ')[2]}'; begun when 5.0 GiB were free")


def test_the_first_run_never_waits(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda: 0)
    assert running.Room().lack([]) == ""


HOLDER = """\
import subprocess, sys
held = bytearray(64 * 2**20)
below = subprocess.Popen([sys.executable, "-c", "held = bytearray(64 * 2**20); print(1, flush=True); input()"])
below.wait()
"""


def test_memory_that_a_process_and_those_below_it_hold():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", HOLDER], **pipes)
    process.stdout.readline()
    assert 128 * 2**20 < memory.used(process.pid) < 512 * 2**20
    process.communicate(b"\n")
    assert memory.used(process.pid) == 0
    assert 0 < memory.free() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(("limit", "free"), [("4294967296\n", 3 * GIB), ("max\n", 8 * GIB)])
def test_memory_that_a_container_or_batch_job_leaves(tmp_path, monkeypatch, limit, free):
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 * GIB))
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text(f"{2 * GIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon {GIB}\ninactive_file {GIB}\n")
    assert memory.free() == free


def test_how_far_all_runs_are(tmp_path, monkeypatch, capsys):
    """Cells that two runs ask for count once; time left goes by the pace since the start."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    planned = [job_of(tmp_path, (0, 1, 2, 3)), job_of(tmp_path, (3, 4)), job_of(tmp_path, (9,), refresh=True)]
    job_of(tmp_path, (0,)).study.execute()
    count = progress.CellCount(planned)
    assert str(count) == "cells 1 of 5, 4 trainings left"
    job_of(tmp_path, (1,)).study.execute()
    now[0] += 100
    count.look()
    assert str(count) == "cells 2 of 5, 3 trainings left, about 5m00s"

    monkeypatch.setattr(execution.Started, "log", tmp_path / "log")
    (tmp_path / "log").write_text("something\nExecuting cell 7\n")
    line = progress.StatusLine(planned)
    line.update([execution.Started(planned[0], None, now[0])], 1)
    assert capsys.readouterr().out == "", "too early"
    now[0] += 61
    line.update([execution.Started(planned[0], None, now[0] - 61)], 1)
    assert capsys.readouterr().out.splitlines() == [
        "runs 1 of 3, cells 2 of 5, 3 trainings left",
        f"{planned[0]} 1m01s Executing cell 7",
    ]
