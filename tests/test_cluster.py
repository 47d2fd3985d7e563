"""Cells on a Dask cluster of real processes: the same numbers, and nothing lost when parts of it are killed."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest
import toy_study
from processes import ENVIRONMENT, cluster_of, lines, measured, until

from common import cluster, cluster_workers, pool, run, study
from common.errors import UserError
from common.jobs import Job
from common.paths import ROOT
from common.replications import Replication

DASK = pytest.mark.reliability


def job_of(tmp_path, parameters, module=toy_study, where="store", **options):
    options = {"store": str(tmp_path / where), "workers": 1, **options}
    made = study.Run(module, parameters, options, committed=tmp_path / "committed")
    return Job(Replication(0, module.STEM, None, module.__name__), "demo", "demo", parameters, options, made)


def run_cells(address, *planned, device="cpu", seconds=float("inf")):
    with cluster_workers.connected(address) as client:
        cluster_workers.check(client, device, planned[0].study.options.store_path())
        return cluster.run(client, list(planned), device, time.monotonic() + seconds)


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    with cluster_of(tmp_path_factory.mktemp("dask"), 2) as made:
        yield made


def test_cells_of_several_runs_are_filled_and_counted(dask, tmp_path):
    """A failing cell ends its own run; what is there is not run again; the time budget leaves the rest."""
    log = tmp_path / "log"
    good = job_of(tmp_path, {"log": str(log), "numbers": (0, 1, 2, 99)})
    bad = job_of(tmp_path, {"numbers": (4, 5, 6, 7), "fail_at": 5}, where="other")
    assert [o.status for o in run_cells(dask.address, bad, good)] == ["failed", "done"]
    assert sorted(int(line.split()[0]) for line in lines(log)) == [0, 1, 2, 99]
    assert not {line.split()[1] for line in lines(log)} & {str(os.getpid())}
    assert good.study.frame().set_index("number")["status"].to_dict() == {0: "ok", 1: "ok", 2: "ok", 99: "diverged"}
    assert [o.status for o in run_cells(dask.address, good)] == ["done"] and len(lines(log)) == 4

    (outcome,) = run_cells(dask.address, job_of(tmp_path, {"numbers": (20, 21)}), seconds=-1)
    assert outcome.status == "2 cells left, start again to go on"
    again = job_of(tmp_path, {"log": str(log), "numbers": (0, 1)}, refresh=True)
    run_cells(dask.address, again)
    assert len(lines(log)) == 6


@DASK("Dask", "the same trainings on this machine and on a cluster, bit for bit")
def test_numbers_equal_a_local_run(dask, tmp_path, happened):
    from common.studies import systematic_study

    parameters = {"dataset": "digits", "step_rhos": [10.0], "step_mus": [0.5], "samplers": ["none", "oversampling"],
                  "balanced": False, "iterations": 6, "replicates": 1}  # fmt: skip
    here, there = (job_of(tmp_path, parameters, systematic_study, where) for where in ("here", "there"))
    here.study.execute()
    assert run_cells(dask.address, there)[0].status == "done"
    columns = ["key", "method", "prior", "metric", "class_label", "value"]
    frames = [job.study.frame()[columns].sort_values(columns, ignore_index=True) for job in (here, there)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    happened(f"{len(frames[0])} numbers of {len(there.study.cells)} trainings equal")


@DASK("Dask", "the client killed (kill -9) while workers run its cells, then started again")
def test_a_killed_client_loses_and_repeats_nothing_finished(dask, tmp_path, happened):
    log, numbers = tmp_path / "log", tuple(range(12))
    parameters = {"log": str(log), "pause": 0.3, "numbers": numbers}
    script = (
        "import test_cluster as t, pathlib; \n"
        f"t.run_cells({dask.address!r}, t.job_of(pathlib.Path({str(tmp_path)!r}), {parameters!r}))"
    )
    client = subprocess.Popen([sys.executable, "-c", script], env=ENVIRONMENT, cwd=tmp_path)
    until(lambda: len(lines(log)) >= 4)
    client.send_signal(signal.SIGKILL)
    client.wait()
    job = job_of(tmp_path, parameters)
    time.sleep(1.0)  # what was submitted begins
    until(lambda: len(numbers) - len(job.study.missing()) == len(lines(log)))  # and ends, in the store
    kept = len(numbers) - len(job.study.missing())
    assert 4 <= kept < 12
    assert run_cells(dask.address, job)[0].status == "done"
    assert len(lines(log)) == 12, "a finished cell ran again"
    pd.testing.assert_frame_equal(measured(job.study), whole(tmp_path, numbers))
    happened(f"{kept} finished cells kept, {12 - kept} run by the second client, none twice")


def whole(tmp_path, numbers):
    """What an uninterrupted run on this machine measures."""
    job = job_of(tmp_path / "whole", {"numbers": numbers})
    job.study.execute()
    return measured(job.study)


# -- what is refused ---------------------------------------------------------------------------------------------------


@DASK("Dask", "a cluster whose machines are not like the client's")
@pytest.mark.parametrize(
    ("device", "differs", "message"),
    [
        ("cuda", {}, "no worker of this cluster has a GPU; start those that have one with --resources 'GPU=1'"),
        ("cpu", {"source": "other"}, "has source .* where this machine has other; restart the workers"),
        ("cpu", {"numpy": "0.1"}, "has numpy .* where this machine has 0.1; install the same requirements.txt"),
    ],
)
def test_workers_that_do_not_fit_are_refused_before_any_work(dask, tmp_path, monkeypatch, happened, device, differs,
                                                            message):  # fmt: skip
    mine = cluster_workers.environment()
    monkeypatch.setattr(cluster_workers, "environment", lambda: {**mine, **differs})
    with pytest.raises(UserError, match=message) as error:
        run_cells(dask.address, job_of(tmp_path, {}), device=device)
    assert not list(tmp_path.rglob("*.json")) and not list(tmp_path.rglob(".shared-*"))
    happened(re.sub(r"127.0.0.1:\d+|[0-9a-f]{12}", "...", str(error.value)))


def test_a_worker_that_comes_late_is_looked_at_too(tmp_path):
    job = job_of(tmp_path, {})
    options = {"store": str(tmp_path / "store"), "device": "cpu"}
    with pytest.raises(UserError, match="this worker has numpy"):
        cluster.measure("toy_study", {}, options, job.study.keys, {"numpy": "0.1"})
    other = dict(zip(["another key"], job.study.cells, strict=False))
    with pytest.raises(UserError, match="data set 'digits': this worker's images are not the client's"):
        cluster.measure("toy_study", {}, {**options, "data": "there"}, other, cluster_workers.environment())


def test_a_worker_that_comes_to_another_job_frees_the_data_of_the_one_before(monkeypatch):
    freed = []
    monkeypatch.setattr("common.resident.release", lambda: freed.append(1))
    cluster._leave_the_job_before.cache_clear()
    counts = []
    for job in ("a", "a", "b", "b", "a"):
        cluster._leave_the_job_before("module", job)
        counts.append(len(freed))
    assert counts == [1, 1, 2, 2, 3]


def test_a_store_that_workers_do_not_see(tmp_path):
    with pytest.raises(UserError, match="expected a folder that all machines share"):
        raise UserError(cluster_workers.look(cluster_workers.environment(), str(tmp_path / "none" / ".shared-1")))


def test_workers_with_several_threads(tmp_path):
    worker = {"nthreads": 4, "resources": {}}
    client = SimpleNamespace(scheduler_info=lambda n_workers: {"workers": {"tcp://host:1": worker}})
    with pytest.raises(UserError, match="worker tcp://host:1 has 4 threads: start workers with --nthreads 1"):
        cluster_workers.check(client, "cpu", tmp_path)


@DASK("Dask", "--scheduler with an address where nothing answers, and with one that is none")
def test_a_scheduler_that_does_not_answer(tmp_path, monkeypatch, capsys, happened):
    monkeypatch.setenv("IMBALANCE_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(cluster_workers, "CONNECT", 1.0)
    for address in ("tcp://127.0.0.1:1", "nonsense"):
        assert run.main(["--scheduler", address, "--no-notebook"]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith(f"error: --scheduler {address}: no Dask scheduler answers")
        happened(err.strip())
    assert not list(tmp_path.rglob("*"))


# -- on a GPU's workers ------------------------------------------------------------------------------------------------


def test_cells_for_gpus_travel_together(tmp_path):
    """As many at once as one GPU takes, spread over those there are."""
    job = job_of(tmp_path, {"numbers": tuple(range(10))})
    sizes = [[len(part) for part in cluster._parts(job.study.keys, job, device, 3)] for device in ("cuda", "cpu")]
    assert sizes == [[4, 4, 2], [1] * 10]
    assert sum(sizes[0]) == len({key for part in cluster._parts(job.study.keys, job, "cuda", 3) for key in part})


# -- SLURM -------------------------------------------------------------------------------------------------------------

SLURM = ROOT / "docs" / "slurm_cluster.py"
SBATCH = """\
#!/bin/sh
cd "$(dirname "$0")"
cp "$1" job.sh
setsid bash job.sh >job.log 2>&1 &
echo $! >pid
echo "Submitted batch job 7"
"""
SCANCEL = """\
#!/bin/sh
kill -- -$(cat "$(dirname "$0")/pid")
"""


def test_the_job_script_for_slurm():
    command = [sys.executable, str(SLURM), "--print", "--gpu", "--cores", "4", "--partition", "fast", "--setup", "true"]
    text = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout
    for line in ("#SBATCH -p fast", "#SBATCH --cpus-per-task=4", "#SBATCH --gres=gpu:1", f"cd {ROOT}", "true"):
        assert line in text.splitlines()
    assert re.search(r"-m distributed.cli.dask_worker tcp://\S+ .*--nthreads 1 .*--resources GPU=1", text)
    assert "--nworkers" not in text
    assert re.findall(r"--memory-limit (\S+)", text)[-1] == "0"  # the last one counts


@DASK("Dask", "docs/slurm_cluster.py with a stand-in for SLURM's sbatch and scancel, from job script to finished cells")
def test_cells_in_a_slurm_job(tmp_path, happened):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    environment = {**ENVIRONMENT, "PATH": f"{tools}:{ENVIRONMENT['PATH']}"}
    script = subprocess.Popen(
        [sys.executable, str(SLURM), "--jobs", "1"],
        env=environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        address = re.search(r"--scheduler (\S+)", script.stdout.readline())[1]
        with cluster_workers.connected(address) as client:
            client.wait_for_workers(1, timeout=60)
        job = job_of(tmp_path, {"numbers": (0, 1, 2)})
        assert run_cells(address, job)[0].status == "done"
    finally:
        script.send_signal(signal.SIGINT)
        script.communicate(timeout=60)
    pd.testing.assert_frame_equal(measured(job.study), whole(tmp_path, (0, 1, 2)))
    until(lambda: not psutil.pid_exists(int((tools / "pid").read_text())))
    happened(f"{len(job.study.cells)} cells run by the job's worker; Ctrl-C ended script and job")


# -- killed; the last tests that use the common cluster, because little of it is left ---------------------------------


def run_cells_while(dask, job, kill):
    """Run a job's cells, and meanwhile, when two have ended, `kill`."""

    def wait_and_kill():
        until(lambda: len(lines(Path(job.study.parameters.log))) >= 2)
        kill()

    killer = threading.Thread(target=wait_and_kill)
    killer.start()
    (outcome,) = run_cells(dask.address, job)
    killer.join()
    return outcome


@DASK("Dask", "kill -9 of one of two workers while both run cells")
def test_a_killed_worker(dask, tmp_path, happened):
    """Its cell runs again on the other."""
    log, numbers = tmp_path / "log", tuple(range(10))
    job = job_of(tmp_path, {"log": str(log), "pause": 0.2, "numbers": numbers})
    dead, alive = dask.workers
    assert run_cells_while(dask, job, dead.kill).status == "done"
    by = [line.split()[1] for line in lines(log)]
    # A cell that was over before its worker died may run again, if the scheduler had not heard of its end.
    assert len(by) in (10, 11) and set(by) == {str(dead.pid), str(alive.pid)}
    pd.testing.assert_frame_equal(measured(job.study), whole(tmp_path, numbers))
    happened(f"{by.count(str(dead.pid))} cells of the dead worker kept, {by.count(str(alive.pid))} run by the other")


@DASK("Dask", "kill -9 of the scheduler while cells run, then a new scheduler and a second start")
def test_a_killed_scheduler(dask, tmp_path, happened, capsys):
    log, numbers = tmp_path / "log", tuple(range(8))
    job = job_of(tmp_path, {"log": str(log), "pause": 0.2, "numbers": numbers})
    assert run_cells_while(dask, job, dask.scheduler.kill).status == "failed"
    said = "the scheduler is gone; finished cells are kept, start again to go on"
    assert said in capsys.readouterr().err
    kept = 8 - len(job.study.missing())
    assert 2 <= kept < 8
    dask.start_scheduler()
    dask.start_worker()
    assert run_cells(dask.address, job)[0].status == "done"
    assert len(lines(log)) <= 9  # the cell in flight may have ended after all
    pd.testing.assert_frame_equal(measured(job.study), whole(tmp_path, numbers))
    happened(f"'{said}'; {kept} cells kept, {8 - kept} run by the second start")


# -- on this machine ---------------------------------------------------------------------------------------------------

LOCAL = """\
import pathlib, sys
import psutil
import test_cluster as t

if __name__ == "__main__":
    with t.cluster_workers.connected("local") as client:
        me = psutil.Process()
        family = [me, *me.children(recursive=True)]
        for process in family:
            for c in process.net_connections("tcp"):
                if c.status == psutil.CONN_LISTEN:
                    print("listens", c.laddr.ip)
        job = t.job_of(pathlib.Path(sys.argv[1]), {"numbers": (0, 1, 2)})
        t.cluster_workers.check(client, "cpu", job.study.options.store_path())
        print(*[o.status for o in t.cluster.run(client, [job], "cpu", float("inf"))])
"""


@DASK("Safety", "which addresses a cluster on this machine (--scheduler local) listens on, its dashboard among them")
def test_a_cluster_on_this_machine_is_reached_from_this_machine_alone(tmp_path, happened):
    script = tmp_path / "local.py"
    script.write_text(LOCAL)
    command = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listens = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("listens")]
    assert done.stdout.endswith("done\n") and len(listens) >= 2 + pool.cores()
    assert set(listens) == {"127.0.0.1"}
    happened(f"{len(listens)} ports, all of them of 127.0.0.1")
