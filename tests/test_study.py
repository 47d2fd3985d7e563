"""Running cells: what is done is left out, what is finished is kept, whatever happens then."""

import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import toy_study
from PIL import Image
from processes import ENVIRONMENT

from common import provenance, study
from common.cells import Context
from common.errors import UserError
from common.options import Options, parse_duration


def make(tmp_path, parameters=None, **options):
    options = {"store": str(tmp_path / "store"), "workers": 1, **options}
    return study.Run(toy_study, parameters or {}, options, committed=tmp_path / "committed")


def numbers_run(log):
    return [int(line.split()[0]) for line in log.read_text().splitlines()] if log.exists() else []


def test_a_run_fills_its_cells_once(tmp_path):
    log = tmp_path / "log"
    run = make(tmp_path, {"log": str(log)})
    assert run.plan()["state"].tolist() == ["missing"] * 4
    summary = run.execute()
    assert (summary.cells, summary.done, summary.new, summary.left) == (4, 0, 4, 0)
    again = make(tmp_path, {"log": str(log)})
    assert again.plan()["state"].tolist() == ["done"] * 4
    summary = again.execute()
    assert (summary.done, summary.new) == (4, 0)
    assert numbers_run(log) == [0, 1, 2, 3]
    assert sorted(again.frame()["number"]) == [0, 1, 2, 3]
    assert len(again.curves()) == 8


def test_no_cell_is_refused(tmp_path):
    with pytest.raises(UserError, match="toy: these parameters give no cell to run"):
        make(tmp_path, {"numbers": ()})


def test_what_another_run_on_the_same_store_has_finished_is_not_run_again(tmp_path):
    log = tmp_path / "log"
    run = make(tmp_path, {"log": str(log)})
    other = make(tmp_path, {"numbers": (2, 3), "log": str(log)})

    def meanwhile(results, total):
        other.execute()
        return results

    assert run.execute(meanwhile).new == 2
    assert sorted(numbers_run(log)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("most", "budget", "sizes"),
    [
        # 14 s for the first 16; four times as many take 26, then 128 take 42; of the 18 s that are left 16 take 14.
        (128, 100.0, [16, 64, 128, 16]),
        (64, 31.0, [16, 19]),  # 17 s are left: 19 are expected to take 16.6 s, and take 14.75
        (1, 32.0, [1, 1, 1]),  # 10.25 s each
        (128, float("inf"), [128, 128, 128, 16]),
        (128, -1.0, []),
    ],
)
def test_groups_end_within_the_time_budget(monkeypatch, most, budget, sizes):
    clock = [0.0]
    monkeypatch.setattr(study.time, "monotonic", lambda: clock[0])
    found = []
    for part in study.in_time(list(range(400)), most, budget):
        found.append(part)
        clock[0] += 10 + 0.25 * len(part)
    assert [len(part) for part in found] == sizes
    assert [cell for part in found for cell in part] == list(range(sum(sizes)))
    assert clock[0] <= budget or budget < 0


def test_groups_that_cost_nothing_promise_nothing(monkeypatch):
    """As where an earlier start had trained the first 16 and was killed: what comes next takes a minute a cell."""
    clock, sizes = [0.0], []
    monkeypatch.setattr(study.time, "monotonic", lambda: clock[0])
    for part in study.in_time(range(400), 256, 1800.0):
        sizes.append(len(part))
        clock[0] += 60.0 * sum(cell >= 16 for cell in part)
    assert sizes == [16, 64]


def test_what_another_run_has_finished_meanwhile_takes_no_place_in_a_group():
    finished = set(range(10))
    groups = study.in_time(range(30), 8, float("inf"), lambda cell: cell not in finished)
    assert next(groups) == list(range(10, 18))
    finished |= set(range(18, 25))
    assert list(groups) == [list(range(25, 30))]


def test_workers_end_with_a_killed_parent(tmp_path):
    log = tmp_path / "log"
    parameters = {"log": str(log), "pause": 1.0, "numbers": tuple(range(30))}
    script = (
        "from common import study; import toy_study\n"
        "if __name__ == '__main__':\n"
        f"    study.Run(toy_study, {parameters!r}, {{'store': {str(tmp_path / 'store')!r}, 'workers': 2}}).execute()"
    )
    path = tmp_path / "go.py"
    path.write_text(script)
    process = subprocess.Popen([sys.executable, str(path)], env=ENVIRONMENT)
    deadline = time.monotonic() + 60
    while len(numbers_run(log)) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.wait()
    workers = {int(line.split()[1]) for line in log.read_text().splitlines()}
    assert workers and process.pid not in workers
    while any(os.path.exists(f"/proc/{pid}") for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)


def test_a_script_without_a_guard_is_told_so_once(tmp_path):
    """Each process imports the script, and would begin the run again."""
    options = {"store": str(tmp_path / "store"), "workers": 2}
    path = tmp_path / "go.py"
    path.write_text(f"from common import study; import toy_study\nstudy.Run(toy_study, {{}}, {options!r}).execute()")
    ended = subprocess.run([sys.executable, str(path)], env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert ended.stderr.count("Traceback") == 1 and "memory" not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("common.errors.UserError: each process") and 'below `if __name__ == "__main__":`' in last


@pytest.mark.parametrize(("workers", "status"), [(2, 1), (1, 0)])
def test_a_script_that_is_no_file_is_told_so(tmp_path, workers, status):
    """The processes could not import it."""
    options = {"store": str(tmp_path / "store"), "workers": workers}
    script = f"from common import study; import toy_study\nstudy.Run(toy_study, {{}}, {options!r}).execute()"
    ended = subprocess.run(
        [sys.executable, "-"], input=script, env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == status
    if status:
        assert ended.stderr.count("Traceback") == 1 and "memory" not in ended.stderr
        assert "<stdin> is no file: save the script as one, or use one process (workers=1)" in ended.stderr


def test_a_larger_grid_runs_only_what_is_new(tmp_path):
    make(tmp_path, {"numbers": (0, 1)}).execute()
    summary = make(tmp_path, {"numbers": (0, 1, 2), "replicates": 2}).execute()
    assert (summary.done, summary.new) == (2, 4)


def test_processes_give_what_one_process_gives(tmp_path):
    frames = []
    for workers in (1, 2):
        run = make(tmp_path / str(workers), {"replicates": 3}, workers=workers)
        run.execute()
        frames.append(run.frame().sort_values("key", ignore_index=True)[["key", "replicate", "number", "value"]])
    assert len(frames[0]) == 12 and frames[0].equals(frames[1])


def test_refresh_runs_again(tmp_path):
    log = tmp_path / "log"
    make(tmp_path, {"log": str(log)}).execute()
    run = make(tmp_path, {"log": str(log)}, refresh=True)
    assert set(run.plan()["why"]) == {"refresh asked for"}
    run.execute()
    assert numbers_run(log) == [0, 1, 2, 3] * 2


def test_the_time_budget_leaves_the_rest_for_later(tmp_path):
    parameters = {"pause": 0.4, "numbers": tuple(range(20))}
    summary = make(tmp_path, parameters, time_budget="1s").execute()
    assert 1 <= summary.new <= 3
    assert summary.left == 20 - summary.new
    assert "start again" in str(summary)
    assert make(tmp_path, parameters).missing().__len__() == summary.left


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_cell_loses_nothing_that_was_finished(tmp_path, workers):
    run = make(tmp_path, {"numbers": (0, 1, 2, 3), "fail_at": 3}, workers=workers)
    with pytest.raises(RuntimeError, match="cell 3 failed on purpose"):
        run.execute()
    assert {0, 1} <= set(run.frame()["number"])


def test_divergence_is_a_row_not_an_error(tmp_path):
    run = make(tmp_path, {"numbers": (0, 99)})
    assert run.execute().diverged == 1
    assert run.frame().set_index("number")["status"].to_dict() == {0: "ok", 99: "diverged"}


def test_a_method_that_could_not_be_applied_has_not_diverged_and_its_reason_is_said(tmp_path, monkeypatch):
    original = toy_study.run

    def run(cells, context):
        for result in original(cells, context):
            status = {1: "failed", 2: "failed"}.get(result.cell.number, result.status)
            yield dataclasses.replace(result, status=status, columns={"reason": f"no neighbours {result.cell.number}"})

    monkeypatch.setattr(toy_study, "run", run)
    summary = make(tmp_path, {"numbers": (0, 1, 2, 99)}).execute()
    assert (summary.new, summary.diverged, summary.failed) == (4, 1, 2)
    assert "(1 diverged; 2 could not be applied: no neighbours 1)" in str(summary)


def test_a_killed_run_resumes_and_ends_as_an_uninterrupted_one(tmp_path):
    log, numbers = tmp_path / "log", tuple(range(8))
    parameters = {"log": str(log), "pause": 0.3, "numbers": numbers}
    script = (
        "from common import study; import toy_study\n"
        f"study.Run(toy_study, {parameters!r}, {{'store': {str(tmp_path / 'store')!r}, 'workers': 1}},"
        f" committed={str(tmp_path / 'committed')!r}).execute()"
    )
    process = subprocess.Popen([sys.executable, "-c", script], env=ENVIRONMENT)
    deadline = time.monotonic() + 60
    while len(numbers_run(log)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = len(make(tmp_path, parameters).frame())
    assert 2 <= finished < 8
    summary = make(tmp_path, parameters).execute()
    assert (summary.done, summary.new) == (finished, 8 - finished)
    make(tmp_path / "whole", {"numbers": numbers}).execute()
    values = [
        make(tmp_path / where, p).frame().sort_values("number")["value"].tolist()
        for where, p in (("", parameters), ("whole", {"numbers": numbers}))
    ]
    assert values[0] == values[1]
    # Only the cell in flight may have run twice.
    assert len(numbers_run(log)) <= 9


def test_keys_depend_on_what_decides_a_result_and_on_nothing_else():
    cell = toy_study.Cell("digits", 0, number=1)
    key = cell.key("toy", 1, "data")
    assert key == toy_study.Cell("digits", 0, number=1).key("toy", 1, "data")
    others = [
        dataclasses.replace(cell, number=2).key("toy", 1, "data"),
        dataclasses.replace(cell, replicate=1).key("toy", 1, "data"),
        cell.key("toy", 2, "data"),
        cell.key("toy", 1, "other data"),
        cell.key("other", 1, "data"),
    ]
    assert len({key, *others}) == 6


def test_a_field_added_later_voids_no_result():
    @dataclasses.dataclass(frozen=True)
    class Wider(toy_study.Cell):
        added: str = "as before"

    narrow, wide = toy_study.Cell("digits", 0, number=1), Wider("digits", 0, number=1)
    assert narrow.key("toy", 1, "d") == wide.key("toy", 1, "d")
    assert dataclasses.replace(wide, added="new").key("toy", 1, "d") != wide.key("toy", 1, "d")


def test_changed_code_is_shown_and_voids_nothing(tmp_path, monkeypatch):
    make(tmp_path).execute()
    monkeypatch.setattr(provenance, "code_version", lambda: "another")
    plan = make(tmp_path).plan()
    assert set(plan["state"]) == {"done"} and set(plan["why"]) == {"code changed since"}


def test_the_code_that_counts_is_that_which_was_loaded(tmp_path, monkeypatch):
    """Not what lies there when the first cell is kept, hours later."""
    versions = iter(["as loaded"])
    monkeypatch.setattr(provenance, "code_version", functools.cache(lambda: next(versions, "changed since")))
    run = make(tmp_path, {"numbers": (1,)})
    assert next(versions, None) is None
    run.execute()
    assert set(run.frame()["code_version"]) == {"as loaded"}


def test_what_a_training_left_for_going_on_goes_when_its_cell_is_kept(tmp_path):
    run, files = make(tmp_path, {"numbers": (1,)}), [tmp_path / "a.pt", tmp_path / "gone.pt"]
    files[0].touch()
    ((key, cell),) = run.missing().items()
    (result,) = toy_study.run([cell], run.context)
    run.keep(key, dataclasses.replace(result, held=tuple(files)))
    assert not files[0].exists() and run.plan()["state"].tolist() == ["done"]


@pytest.mark.parametrize(("asked", "sizes"), [("", [2, 2, 1]), ("1", [2, 2, 1]), ("4", [4, 1])])
def test_cells_for_a_gpu_come_as_many_at_a_time_as_the_study_says_or_more_if_asked(tmp_path, monkeypatch, asked, sizes):
    """How many of them are trained in one go is for `fit_many` to say."""
    monkeypatch.setenv("IMBALANCE_GROUP", asked)
    monkeypatch.setattr(toy_study, "GROUP", 2, raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    found, original = [], toy_study.run
    monkeypatch.setattr(toy_study, "run", lambda cells, context: found.append(len(cells)) or original(cells, context))
    run = make(tmp_path, {"numbers": tuple(range(5))}, device="cuda")
    names = {cell: key for key, cell in run.missing().items()}
    assert len(list(run._results(run.cells, float("inf"), names))) == 5
    assert found == sizes


def test_measured_leaves_out_stand_ins_and_other_versions(tmp_path, monkeypatch):
    run = make(tmp_path)
    run.execute()
    assert run.frame()["stand_in"].all() and run.measured().empty
    train, _ = run.context.data("digits")
    monkeypatch.setattr(Context, "data", lambda *_: (dataclasses.replace(train, stand_in=False),) * 2)
    run = make(tmp_path, {"numbers": (7,)})
    run.execute()
    assert run.measured()["number"].tolist() == [7]
    monkeypatch.setattr(toy_study, "VERSION", 2)
    assert make(tmp_path).measured().empty


def test_of_trainings_that_differ_in_what_is_recorded_alone_the_first_counts():
    rows = {"key": list("aabbc"), "created": list("22113"), "metric": ["auc", "accuracy"] * 2 + ["auc"],
            "replicate": 0, "value": 0.5, "rho": [10, 10, 10, 10, 20], "note": list("xxyyx"),
            "seed_init": [1, 1, 2, 2, 3], "learning_rate": 0.1}  # fmt: skip
    frame = pd.DataFrame(rows)
    assert study._one_training(frame, ("note",))["key"].tolist() == ["b", "b", "c"]
    assert len(study._one_training(frame, ())) == len(frame)
    # Another learning rate is another training, though claims pair arms that were trained at different ones.
    rates = frame.assign(learning_rate=[0.1, 0.1, 0.01, 0.01, 0.1])
    assert study._one_training(rates, ("note",))["key"].tolist() == list("aabbc")


def test_a_path_and_arrays_are_as_good_as_a_text_and_lists(tmp_path):
    plain = make(tmp_path, {"numbers": (1, 2), "pause": 0.5, "replicates": 2})
    other = {"numbers": np.array([1, 2]), "pause": np.float64(0.5), "replicates": np.int64(2)}
    options = {"store": tmp_path / "store", "workers": np.int64(1)}
    assert list(study.Run(toy_study, other, options).keys) == list(plain.keys)
    wanted = {json.dumps(dataclasses.astuple(cell)) for cell in plain.cells}
    assert {json.dumps(dataclasses.astuple(cell)) for cell in study.Run(toy_study, other, options).cells} == wanted


@pytest.mark.parametrize("prefix", ["folder:", ""])
def test_a_readers_own_images_are_no_papers_however_their_folder_is_named(tmp_path, prefix):
    for name in ("a", "b"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.full((8, 8), 40 * number + 100 * (name == "b"), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "mine" / name / f"{number}.png")
    folder = f"{prefix}{tmp_path / 'mine'}" if prefix else tmp_path / "mine"
    assert make(tmp_path, {"dataset": folder}).stand_in()


def test_from_a_notebooks_globals(tmp_path):
    names = {"replicates": 2, "numbers": (5,), "workers": 1, "store": str(tmp_path), "something_else": 1}
    run = study.Run.of(toy_study, names)
    assert len(run.cells) == 2 and run.options.workers == 1


@pytest.mark.parametrize(
    ("parameters", "options", "message"),
    [
        ({"nonsense": 1}, {}, "toy: unknown parameter 'nonsense'; there are dataset"),
        ({"replicates": 0}, {}, "replicates: 0; expected at least 1"),
        ({}, {"profile": "full"}, "profile 'full': expected one of demo, reduced, paper"),
        ({}, {"device": "tpu"}, "device 'tpu': expected cpu or cuda"),
        ({}, {"time_budget": "soon"}, "time budget 'soon': expected hours"),
        ({}, {"workers": -1}, "workers -1"),
        ({"numbers": 3}, {}, r"toy: numbers is 3; expected a list of whole numbers such as \[1, 2\]"),
        ({"numbers": "123"}, {}, "toy: numbers is '123'; expected a list of whole numbers"),
        ({"numbers": ["1"]}, {}, "toy: numbers is '1'; expected a whole number"),
        ({"replicates": "2"}, {}, "toy: replicates is '2'; expected a whole number"),
        ({"replicates": 1.5}, {}, "toy: replicates is 1.5; expected a whole number"),
        ({"pause": "long"}, {}, "toy: pause is 'long'; expected a number"),
        ({}, {"workers": "1"}, "options: workers is '1'; expected a whole number"),
        ({}, {"offline": "no"}, "options: offline is 'no'; expected true or false"),
        ({}, {"store": __file__}, "test_study.py': no folder, and none can be made there"),
    ],
)
def test_bad_input_is_named_before_any_work(tmp_path, parameters, options, message):
    with pytest.raises(UserError, match=message):
        make(tmp_path, parameters, **options)


@pytest.mark.parametrize(("text", "seconds"), [("90m", 5400), ("1h30m", 5400), ("45s", 45), ("2h", 7200), ("1m5s", 65)])
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "m", "-5m", "1d", "5m1h"])
def test_bad_durations(text):
    with pytest.raises(UserError, match="time budget"):
        parse_duration(text)


def test_cells_that_share_an_artifact_wait_for_the_first_of_them(tmp_path, monkeypatch):
    """Cells a a b on three workers: the second a begins when the first has ended."""
    log = tmp_path / "log"
    monkeypatch.setattr(toy_study, "group", lambda cell: cell.number // 2, raising=False)
    summary = make(tmp_path, {"numbers": (0, 1, 2), "pause": 0.5, "log": str(log)}, workers=3).execute()
    assert summary.new == 3
    ends = {int(number): float(end) for number, _, end in map(str.split, log.read_text().splitlines())}
    assert ends[1] - ends[0] >= 0.5


def test_curves_of_nothing_measured_are_empty(tmp_path):
    assert make(tmp_path).measured_curves().empty


def test_weights_come_from_the_environment_unless_named(monkeypatch):
    monkeypatch.delenv("IMBALANCE_WEIGHTS", raising=False)
    assert Options().weights_path() == ""
    monkeypatch.setenv("IMBALANCE_WEIGHTS", "/elsewhere.h5")
    assert Options().weights_path() == "/elsewhere.h5"
    assert Options(weights="mine.h5").weights_path() == "mine.h5"


def test_results_from_before_a_field_was_added_have_it(tmp_path, monkeypatch):
    train, _ = make(tmp_path).context.data("digits")
    monkeypatch.setattr(Context, "data", lambda *_: (dataclasses.replace(train, stand_in=False),) * 2)
    run = make(tmp_path, {"numbers": (7,)})
    run.execute()

    @dataclasses.dataclass(frozen=True)
    class Wider(toy_study.Cell):
        added: str = "as before"

    monkeypatch.setattr(toy_study, "Cell", Wider)
    assert set(run.frame()["added"]) == set(run.measured()["added"]) == {"as before"}
