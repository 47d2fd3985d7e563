"""Artifacts: made once, whole or not at all, by one of several processes."""

import errno
import fcntl
import multiprocessing
import os
import shutil
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from common.artifacts import artifact
from common.errors import UserError


def test_an_artifact_is_made_once_and_read_back(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return {"features": np.arange(6, dtype=np.float32).reshape(2, 3), "labels": np.array([1, 2])}

    for _ in range(2):
        arrays = artifact(tmp_path, "backbone", {"seed": 1}, make)
    assert len(calls) == 1
    assert arrays["features"].tolist() == [[0, 1, 2], [3, 4, 5]] and arrays["features"].dtype == np.float32
    assert isinstance(arrays["features"], np.memmap) and not arrays["features"].flags.writeable
    artifact(tmp_path, "backbone", {"seed": 2}, make)
    artifact(tmp_path, "features", {"seed": 1}, make)
    assert len(calls) == 3


def test_a_failure_leaves_nothing_that_looks_finished(tmp_path):
    def fail():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        artifact(tmp_path, "backbone", {}, fail)
    assert not [path for path in (tmp_path / "artifacts").iterdir() if path.is_dir()]
    assert artifact(tmp_path, "backbone", {}, lambda: {"x": np.zeros(1)})["x"].tolist() == [0]


def test_python_objects_are_refused(tmp_path):
    with pytest.raises(UserError, match="array 'state' holds Python objects"):
        artifact(tmp_path, "backbone", {}, lambda: {"state": np.array([{}])})


def _make_slowly(root, log):
    def make():
        with log.open("a") as file:
            file.write("made\n")
        time.sleep(0.5)
        return {"x": np.ones(3)}

    assert artifact(root, "backbone", {}, make)["x"].sum() == 3


def test_of_several_processes_one_makes_it_and_the_others_wait(tmp_path):
    log = tmp_path / "log"
    processes = [multiprocessing.get_context("fork").Process(target=_make_slowly, args=(tmp_path, log)) for _ in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert log.read_text() == "made\n"


def test_without_locks_the_first_to_finish_wins(tmp_path, monkeypatch):
    """As on a network file system whose locks do not reach other hosts: work is done twice, nothing is broken."""

    def no_locks(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)

    def another_host_is_quicker():
        artifact(tmp_path, "backbone", {}, lambda: {"x": np.zeros(1)})
        return {"x": np.ones(1)}

    assert artifact(tmp_path, "backbone", {}, another_host_is_quicker)["x"].tolist() == [0]
    assert [path.suffix for path in (tmp_path / "artifacts").iterdir() if path.is_file()] == [".lock"]
    assert len([path for path in (tmp_path / "artifacts").iterdir() if path.is_dir()]) == 1


def test_what_a_killed_process_left_half_written_goes(tmp_path):
    artifact(tmp_path, "backbone", {}, lambda: {"x": np.zeros(1)})
    (folder,) = (path for path in (tmp_path / "artifacts").iterdir() if path.is_dir())
    half = folder.rename(folder.with_name(f".{folder.name}-abc"))
    assert artifact(tmp_path, "backbone", {}, lambda: {"x": np.ones(1)})["x"].tolist() == [1]
    assert half.exists()  # a host that locks do not reach may be writing it
    shutil.rmtree(folder)
    os.utime(half, (time.time() - 7200,) * 2)
    assert artifact(tmp_path, "backbone", {}, lambda: {"x": np.ones(1)})["x"].tolist() == [1]
    assert not half.exists()


@pytest.mark.parametrize("damage", ["cut short", "one array gone", "no list of arrays"])
def test_a_damaged_artifact_is_made_anew(tmp_path, damage):
    def make():
        return {"features": np.arange(600.0), "labels": np.arange(3)}

    artifact(tmp_path, "backbone", {}, make)
    (folder,) = (path for path in (tmp_path / "artifacts").iterdir() if path.is_dir())
    if damage == "cut short":
        os.truncate(folder / "features.npy", 1000)
    else:
        (folder / {"one array gone": "labels.npy", "no list of arrays": "fields.json"}[damage]).unlink()
    with pytest.warns(UserWarning, match="damaged; made anew"):
        arrays = artifact(tmp_path, "backbone", {}, make)
    assert arrays["features"].tolist() == list(range(600)) and arrays["labels"].tolist() == [0, 1, 2]
    assert artifact(tmp_path, "backbone", {}, lambda: pytest.fail("it was whole"))["labels"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("version", "made"), [(1, "before"), (2, "anew")])
def test_features_belong_to_a_version_of_their_own(tmp_path, monkeypatch, version, made):
    """What was made before the version was a field is found at version 1."""
    from common import keras_features, mobilenet_weights
    from common.studies import mobilenet_features as study
    from common.studies import mobilenet_features_svm as svm

    both = [SimpleNamespace(fingerprint="f", images=np.zeros((2, 3)))] * 2
    context = SimpleNamespace(
        options=SimpleNamespace(device="cpu"), data=lambda *_: both, artifact=partial(artifact, tmp_path)
    )
    monkeypatch.setattr(study, "weights_of", lambda *_: {})
    monkeypatch.setattr(mobilenet_weights, "digest", lambda _: "d")
    monkeypatch.setattr(keras_features, "extract", lambda images, *_, **__: images)
    monkeypatch.setattr(keras_features, "engine", lambda _: "anew")
    cell = study.Cell("shapes", 0)
    fields = {"data": "f", "weights": "d", "layer": cell.layer, "pooled": False, "images": "all"}
    arrays = {"features": np.ones((2, 3)), "extractor": np.array("before")}
    artifact(tmp_path, "mobilenet_features", fields, lambda: arrays)
    monkeypatch.setattr(study, "KEPT_VERSION", version)
    assert svm.features(cell, context, np.arange(2), np.arange(2))[2] == made
