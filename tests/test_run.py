"""The command line: what it refuses, what it runs, and what it leaves behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from processes import nobody
from test_data import pixels, save

import common.studies
from common import cli, execution, jobs, replications, run
from common.cells import _load
from common.errors import UserError
from common.papers import Paper
from common.paths import ROOT

TOY_STUDY = Path(__file__).with_name("toy_study.py")
OPTIONS = """\
profile = "demo"
data = ""
store = ".store"
device = "cpu"
weights = ""
time_budget = ""
workers = 0
offline = False
refresh = False
"""


def notebook(folder, name, *cells, parameters="size = 3\nrate = 0.5\nlabels = ['a']\nprofile = ''"):
    """Write a notebook: its parameters cell, then `cells`."""
    made = [
        {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None, "id": f"c{i}"}
        for i, source in enumerate([parameters, *cells])
    ]
    made[0]["metadata"]["tags"] = ["parameters"]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content = {"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / f"{name}.ipynb").write_text(json.dumps(content))


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Empty folders for notebooks, reports and the store; the notebooks' is returned."""
    for name in ("notebooks", "reports", "store"):
        monkeypatch.setenv(f"IMBALANCE_{name.upper()}", str(tmp_path / name))
    monkeypatch.delenv("IMBALANCE_DATA", raising=False)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "grids.yaml").write_text("demo: {}")
    return folder


@pytest.fixture
def toy_study(toys, tmp_path, monkeypatch):
    """A study `toy` of four quick cells, as if it were in common/studies."""
    studies = tmp_path / "studies"
    studies.mkdir()
    shutil.copy(TOY_STUDY, studies / "toy.py")
    monkeypatch.setattr(common.studies, "__path__", [str(studies)])
    monkeypatch.setattr(replications, "PAPERS", (*replications.PAPERS, Paper(0, "toy", "A toy", "", None)))
    yield toys
    sys.modules.pop("common.studies.toy", None)


def started(folder):
    """What a start would have left: reports or finished cells."""
    return [path for name in ("reports", "store") for path in (folder.parent / name).rglob("*")]


# -- bad input ---------------------------------------------------------------------------------------------------------

BAD = [
    ("quick", "unknown word or profile 'quick'"),
    ("demmo", "did you mean 'demo'"),
    ("demo paper", "one word too many"),
    ("export", "which file"),
    ("merge", "which file"),
    ("merge nowhere.zip", "no such file"),
    ("merge {grids}", "not a .zip"),
    ("clean --store x", "clean takes no --store"),
    ("site --only 4", "site takes no --only"),
    ("test", "word of ./run_all.sh"),
    ("lab", "word of ./run_all.sh"),
    ("--nonsense", "unrecognized arguments: --nonsense"),
    ("--onl 4", "unrecognized arguments"),
    ("--only", "expected one argument"),
    ("--only 9", "unknown notebook '9'; there are 7_toy"),
    ("--only 7_toi", "did you mean '7_toy'"),
    ("--only 7,toy,nope", "unknown notebook 'nope'"),
    ("--only 3", "--only 3: this paper has no notebook or no study here; there are 7_toy"),
    ("paper --only toy", "no runs in profile 'paper'"),
    ("paper", "no notebook in .* has runs"),
    ("--jobs two", "invalid int value"),
    ("--jobs 0", "--jobs 0: expected at least 1"),
    ("--jobs 2 --no-notebook", "--jobs is for notebooks"),
    ("--device tpu", "invalid choice: 'tpu'"),
    ("--time-budget soon", "time budget 'soon': expected"),
    ("--time-budget 9x", "time budget '9x': expected"),
    ("--data nowhere", "--data nowhere: no such folder"),
    ("--weights nowhere", "--weights nowhere: no such file"),
    ("--store {grids}", "is a file; expected a folder"),
    ("--set size", "expected NAME=VALUE"),
    ("--set =3", "expected NAME=VALUE"),
    ("--set sise=3", "unknown parameter 'sise'; did you mean 'size'"),
    ("--set size=2.5", "size is 2.5; expected a whole number"),
    ("--set size=true", "size is True; expected a whole number"),
    ("--set rate=high", "rate is 'high'; expected a number"),
    ("--set labels=a", "labels is 'a'; expected a list"),
    ("--set labels=[1]", "labels is 1; expected a text"),
    ("--set profile=paper", "the profile is the first word"),
    ("--set store=x", "use --store"),
    ("reduced", "grids.yaml: reduced: toy: typo: unknown parameter 'sice'"),
]


@pytest.mark.parametrize(("line", "message"), BAD)
def test_bad_input_is_one_line_and_starts_nothing(toys, capsys, line, message):
    notebook(toys, "7_toy", "print(size)")
    (toys / "grids.yaml").write_text("reduced: {toy: [{run: typo, parameters: {sice: 3}}]}")
    assert run.main(line.format(grids=toys / "grids.yaml").split()) == 2
    out, err = capsys.readouterr()
    assert re.fullmatch(f"error: .*{message}.*\n", err), err
    assert out == "" and not started(toys)


STUDY_BAD = [
    ("--set nombers=[1]", "did you mean 'numbers'"),
    ("--set numbers=[a]", "numbers is 'a'; expected a number|whole number"),
    ("--set replicates=0", "replicates: 0; expected at least 1"),
    ("--set workers=-1", "workers -1: expected 0"),
    ("--set dataset=nope", "unknown data set 'nope'"),
    ("--set dataset=mnist --offline", "mnist: not found"),
    ("--set dataset=mnist --dry-run", "mnist: not found"),
]


@pytest.mark.parametrize("how", ["", " --no-notebook"])
@pytest.mark.parametrize(("line", "message"), STUDY_BAD)
def test_bad_input_for_a_study(toy_study, capsys, monkeypatch, line, message, how):
    monkeypatch.setenv("IMBALANCE_DATA", str(toy_study))
    parameters = OPTIONS + "dataset='digits'\nnumbers=[0]\nreplicates=1\npause=0.0\nlog=''\nfail_at=-1"
    notebook(toy_study, "7_toy", parameters=parameters)
    assert run.main((line + how).split()) == 2
    out, err = capsys.readouterr()
    assert re.fullmatch(f"error: .*({message}).*\n", err), err
    assert out == "" and not started(toy_study)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (OPTIONS.replace("workers", "wokers"), "its cell tagged 'parameters' lacks 'workers'"),
        (OPTIONS + "dataset=''", "lacks 'numbers'"),
    ],
)
def test_a_notebook_whose_parameters_are_not_its_studys(toy_study, capsys, parameters, message):
    notebook(toy_study, "7_toy", parameters=parameters)
    assert run.main([]) == 2
    assert message in capsys.readouterr().err


def test_cuda_without_a_gpu(toy_study, capsys, monkeypatch):
    no_gpu = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", no_gpu)
    assert run.main(["--no-notebook", "--device", "cuda"]) == 2
    assert "no CUDA device" in capsys.readouterr().err


# -- words -------------------------------------------------------------------------------------------------------------


def test_help_and_version(capsys):
    with pytest.raises(SystemExit) as stop:
        run.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for word in (*cli.WORDS, "test", "lab", "--time-budget", "--set"):
        assert word in text
    assert run.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("class-imbalance-replications 0")


def test_help_imports_nothing_heavy():
    code = "import sys; sys.argv = ['x', '--version']; from common.run import main; main(); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"torch", "pandas", "numpy", "papermill", "keras", "imblearn", "yaml"} & set(out.split())


def test_clean_keeps_what_was_measured(toys, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(run.paths, "ROOT", tmp_path)
    monkeypatch.delenv("IMBALANCE_CACHE", raising=False)
    for folder in "runs/demo", "demo", "results", "reduced":
        (tmp_path / "reports" / folder).mkdir(parents=True)
    for folder in ".cache/data/digits", ".store/toy":
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.delenv("IMBALANCE_STORE", raising=False)
    checkpoints = tmp_path / ".store/checkpoints"
    checkpoints.mkdir()
    for name, days in (("old", 31), ("recent", 29)):
        (checkpoints / f"{name}.pt").touch()
        os.utime(checkpoints / f"{name}.pt", (0, time.time() - 86_400 * days))
    assert run.main(["clean"]) == 0
    out = capsys.readouterr().out
    assert out == "removed reports/runs, reports/demo, .cache/data, 1 checkpoint older than 30 days\n"
    assert [path.name for path in checkpoints.iterdir()] == ["recent.pt"]
    kept = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_dir())
    there = [
        ".cache",
        ".store",
        ".store/checkpoints",
        ".store/toy",
        "notebooks",
        "reports",
        "reports/reduced",
        "reports/results",
    ]
    assert kept == there
    assert run.main(["clean"]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"


def test_clean_leaves_no_link_to_what_it_removed(toys, monkeypatch, capsys, tmp_path):
    """And it finds decoded data where IMBALANCE_CACHE says, but nothing else that lies there."""
    from common import ledger, site

    reports, page = tmp_path / "reports", "4_systematic_study.html"
    (reports / "demo").mkdir(parents=True)
    shutil.copy(ROOT / "reports" / "reduced" / page, reports / "demo" / page)
    monkeypatch.setattr(site, "everything", lambda _: ledger.everything(tmp_path))  # quick: nothing was measured
    site.site()
    assert f"demo/{page}" in (reports / "index.html").read_text()
    monkeypatch.setenv("IMBALANCE_CACHE", str(tmp_path / "cache"))
    for folder in ("data/digits", "mine"):
        (tmp_path / "cache" / folder).mkdir(parents=True)
    assert run.main(["clean"]) == 0
    assert "reports/demo" in (out := capsys.readouterr().out) and "cache/data" in out
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["mine"]
    for name in ("index.html", "ledger.html", "comparison.html"):
        assert "demo/" not in (reports / name).read_text()


# -- without notebooks -------------------------------------------------------------------------------------------------


def test_no_notebook_runs_resumes_and_reports(toy_study, capsys, monkeypatch):
    """Also on a machine that has none of the libraries that notebooks need."""
    for name in ("papermill", "keras", "imblearn", "nbconvert", "nbformat"):
        monkeypatch.setitem(sys.modules, name, None)
    line = ["--no-notebook", "--set", "workers=1"]
    assert run.main([*line, "--dry-run"]) == 0
    assert capsys.readouterr().out == "0_toy.demo: 4 cells: 4 missing (not measured)\n"
    assert not started(toy_study)

    assert run.main([*line, "--set", "numbers=[0, 1]"]) == 0
    assert "2 cells: 0 already done, 2 run" in capsys.readouterr().out
    assert run.main([*line, "--dry-run"]) == 0
    assert capsys.readouterr().out == "0_toy.demo: 4 cells: 2 done, 2 missing (not measured)\n"
    assert run.main([*line, "--dry-run", "--refresh"]) == 0
    assert "4 cells: 2 missing (not measured), 2 missing (refresh asked for)" in capsys.readouterr().out

    assert run.main([*line, "--time-budget", "0s"]) == 0
    assert "not started, start again to go on" in capsys.readouterr().out
    assert run.main(line) == 0
    out = capsys.readouterr().out
    assert "4 cells: 2 already done, 2 run" in out and re.search(r"0_toy +demo +done", out)


def test_no_notebook_out_of_time_or_failed(toy_study, capsys):
    line = ["--no-notebook", "--set", "workers=1"]
    assert run.main([*line, "--set", "pause=0.7", "--time-budget", "1s"]) == 0
    assert re.search(r"demo +\d cells left, start again to go on", capsys.readouterr().out)
    assert run.main([*line, "--set", "fail_at=1"]) == 1
    out, err = capsys.readouterr()
    assert "RuntimeError: cell 1 failed on purpose" in err and re.search(r"demo +failed", out)


# -- notebooks ---------------------------------------------------------------------------------------------------------


def test_a_failed_notebook_does_not_stop_the_others(toys, capsys):
    """Two at once: one fails, the other's two runs go to its page, which the last of them renders."""
    notebook(toys, "6_bad", "values = {}", "values['no such key']")
    notebook(toys, "7_good", "print(f'size {size} rate {rate} labels {labels} profile {profile}')")
    grid = "{run: r, parameters: {labels: [b, c]}, grid: {size: [1, 2]}}"
    (toys / "grids.yaml").write_text(f"demo: {{good: [{grid}]}}")
    assert run.main(["--jobs", "2", "--set", "rate=1e-3"]) == 1
    out = capsys.readouterr().out
    assert "KeyError: 'no such key'" in out and re.search(r"cell \[\d\] of 6_bad.demo:", out) and "\x1b" not in out
    assert re.search(r"6_bad +demo +failed +\d+ ", out)
    assert re.search(r"7_good +r-1 +done +\d+ ", out) and re.search(r"7_good +r-2 +done +\d+ ", out)

    runs = toys.parent / "reports" / "runs" / "demo"
    assert "size 1 rate 0.001 labels ['b', 'c'] profile demo" in (runs / "7_good.r-1.ipynb").read_text()
    assert (runs / "6_bad.demo.log").exists()
    assert "\nshown: " in (runs / "7_good.r-2.yaml").read_text()
    page = toys.parent / "reports" / "demo" / "7_good.html"
    assert "size 2" in page.read_text() and not page.with_name("6_bad.html").exists()


PARAMETERS = OPTIONS + "dataset = 'digits'\nnumbers = [0]\nreplicates = 1\npause = 0.0\nlog = ''\nfail_at = -1\n"


def planned(*line):
    """The one job of a line, in one process: those of a pool could not import the toy."""
    (job,) = jobs.plan("demo", cli.parse(["demo", "--set", "workers=1", *line])[2])
    return job


def render(job):
    """What a run leaves behind, its time budget not among what matters."""
    page, executed = execution.page(job), execution.output(job)
    for path in (page, executed):
        path.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("")
    left = {"parameters": {**job.options, **job.parameters, "time_budget": "9m"}, "images": execution._images(job)}
    left["shown"] = execution._state(execution._shows(job))
    executed.with_suffix(".yaml").write_text(json.dumps(left))


def test_what_is_done_is_not_started_again(toy_study):
    notebook(toy_study, "0_toy", parameters=PARAMETERS)
    job = planned()
    assert not execution.settled(job)  # no cell is there
    job.study.execute()
    assert not execution.settled(job)  # nor a page
    assert execution.settled(replace(job, last=False))  # which only the last run of a paper makes
    render(job)
    assert execution.settled(job) and execution.settled(planned())
    assert not execution.settled(planned("--refresh"))
    assert not execution.settled(planned("--set", "replicates=2"))  # new cells
    planned("--set", "replicates=2").study.execute()
    assert not execution.settled(planned("--set", "replicates=2"))  # none new, but the page shows other parameters
    assert not execution.settled(job)  # and the store has more to show than when the page was made
    render(job)
    assert execution.settled(job)
    yesterday = time.time() - 86400
    os.utime(job.paper.notebook, (yesterday, yesterday))  # changed after the clock was set back
    assert not execution.settled(job)


@pytest.fixture
def open_to_all():
    """A folder that a user without rights may enter and write to, unlike those of `tmp_path`."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("mode", "part", "line", "message"),
    [
        (
            0o000,
            "store/toy/RECORD",
            "--dry-run",
            "json: cannot be read .Permission denied.; change its permissions, or",
        ),
        (0o000, "store/toy/RECORD", "--no-notebook", "json: cannot be read .Permission denied."),
        (0o000, "store/toy", "--dry-run", "store/toy: cannot be read .Permission denied."),
        (0o555, "store/toy", "--no-notebook", "store: toy/ in it cannot be written; change its permissions"),
        (0o555, "store/artifacts", "", "store: artifacts/ in it cannot be written"),
        (0o555, "reports", "", "reports: cannot be written; pages and executed notebooks go there"),
        (0o555, "reports/demo", "", "reports/demo: cannot be written"),
    ],
)
def test_what_cannot_be_read_or_written_is_told_first(toy_study, open_to_all, monkeypatch, mode, part, line, message):
    for name in ("store", "reports"):
        monkeypatch.setenv(f"IMBALANCE_{name.upper()}", str(open_to_all / name))
    notebook(toy_study, "0_toy", parameters=PARAMETERS)
    job = planned()
    job.study.execute()
    for folder in ("store/artifacts", "reports/demo"):
        (open_to_all / folder).mkdir(parents=True)
    for path in open_to_all.rglob("*"):
        path.chmod(0o777)
    record = next((open_to_all / "store" / "toy").iterdir())
    (open_to_all / part.replace("RECORD", record.name)).chmod(mode)
    with nobody(), pytest.raises(UserError, match=message):
        jobs._check_places([job], cli.parse(line.split())[2])
    with nobody(), pytest.raises(UserError, match=message) if not mode else nullcontext():
        job.study.missing()


def test_folders_that_cannot_be_written_are_told_in_one_line(toy_study, monkeypatch, capsys):
    notebook(toy_study, "0_toy", parameters=PARAMETERS)
    for name in ("toy", "checkpoints", "reports", "demo"):
        monkeypatch.setattr(jobs.paths, "writable", lambda folder, name=name: folder.name != name)
        assert run.main([]) == 2
        assert re.fullmatch(f"error: .*{name}(/ in it|:) cannot be written.*\n", capsys.readouterr().err)
        assert not started(toy_study)


def own_images(folder):
    """A folder of three classes with four small images each."""
    for label in range(3):
        for i in range(4):
            save(folder / f"class{label}" / f"{i}.png", pixels(1, 28, 28, seed=10 * label + i)[0])


@pytest.mark.parametrize("parameter", ["own_images={}", "dataset=folder:{}"])
def test_a_page_of_images_that_have_changed_is_not_done(toy_study, tmp_path, parameter):
    notebook(toy_study, "0_toy", parameters=PARAMETERS + "own_images = ''\n")
    folder = tmp_path / "mine"
    own_images(folder)

    def again():
        _load.cache_clear()  # as in another process
        return planned("--set", parameter.format(folder))

    job = again()
    job.study.execute()
    render(job)
    assert execution.settled(again())
    shutil.move(folder / "class2", tmp_path / "aside")
    job = again()
    job.study.execute()  # cells of a folder have new names with its images
    assert not execution.settled(again())
    render(job)
    assert execution.settled(again())
    shutil.move(tmp_path / "aside", folder / "class2")  # all cells are there, but the page shows two classes
    assert not execution.settled(again())
    shutil.rmtree(folder)
    assert not execution.settled(job)  # gone after it was planned


def test_dry_run_of_a_notebook_starts_nothing(toy_study, capsys):
    parameters = OPTIONS + "dataset='digits'\nnumbers=[0]\nreplicates=1\npause=0.0\nlog=''\nfail_at=-1"
    notebook(toy_study, "7_toy", parameters=parameters)
    notebook(toy_study, "8_plain")
    assert run.main(["--dry-run"]) == 0
    out = capsys.readouterr().out
    assert (
        out == "7_toy.demo: 4 cells: 4 missing (not measured)\n8_plain.demo: a notebook without cells, runs each time\n"
    )
    assert not started(toy_study)


def test_failure_without_a_traceback_shows_the_log(toys, capsys):
    notebook(toys, "7_dies", "import os; os._exit(3)")
    assert run.main(["--only", "dies"]) == 1
    assert "end of " in (out := capsys.readouterr().out) and "Kernel died" in out


@pytest.mark.reliability("Several notebooks", "Ctrl-C while a notebook runs, as a signal to the command alone")
def test_ctrl_c_ends_every_process(toys, happened):
    """A signal to the command alone: its kernels live in sessions of their own and must be gone all the same."""
    pid = toys / "pid"
    notebook(toys, "7_slow", "import os, time", f"open({str(pid)!r}, 'w').write(str(os.getpid()))", "time.sleep(99)")
    command = [sys.executable, "-m", "common.run"]

    def hear():
        """A shell makes what it starts in the background deaf to Ctrl-C, these tests perhaps among it."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, preexec_fn=hear, **pipes)
    try:
        _until(lambda: pid.exists() and pid.read_text(), 60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.terminate()  # after a failure above; it ends its children too
    assert process.returncode == 130
    assert "interrupted; finished cells are kept, start again to go on" in err and "Traceback" not in err
    _until(lambda: not _alive(int(pid.read_text())), 10)
    happened(f"'{err.strip()}', exit status {process.returncode}, no process left")


def _until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


def test_last_lines_of_a_log(tmp_path):
    log = tmp_path / "log"
    log.write_text("one\n\x1b[32mtwo\x1b[0m\n 10%|# |\r 20%|## |\n\n")
    assert execution.last_lines(log, 2) == ["10%|# |", "20%|## |"]
    assert execution.last_lines(log, 9)[:2] == ["one", "two"]
    assert execution.last_lines(tmp_path / "none", 2) == []


def test_where_files_lie_reaches_a_run_by_its_environment_alone(monkeypatch):
    for variable in execution.PRIVATE.values():
        monkeypatch.delenv(variable, raising=False)
    environment = execution._environment(1, {"data": "/data", "weights": ""})
    assert environment["IMBALANCE_DATA"] == "/data" and "IMBALANCE_WEIGHTS" not in environment
    assert execution._environment(1, {"data": "", "weights": "/w.h5"})["IMBALANCE_WEIGHTS"] == "/w.h5"
