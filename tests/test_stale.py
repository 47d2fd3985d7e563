"""What makes a finished cell run again, and what does not: keys, and what a dry run says of them."""

import dataclasses
import importlib
import os
import shutil
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import toy_study
from PIL import Image

from common import cells, planning, study
from common.papers import PAPERS
from common.paths import RESULTS, ROOT
from common.store import Store
from common.studies import systematic_study

AREA = "Stale cells"
#: Fingerprints of the images that the committed results were measured on, by data set and size.
MEASURED_ON = {
    ("mnist", 0): "3983f10f03de3536-047d2cb4fd8e3fb1",
    ("mnist", 64): "4278c4d964775eb9-465e33d300a2c00b",
    ("cifar10", 0): "0de034b10d0cc17f-4c63fe786f8c7736",
    ("cifar10", 64): "45205cd283cbecb6-582fb9e14e5afe76",
    ("cifar100", 0): "7c45e78ebde1ca3b-08d3a6ec826ed0e6",
    ("dagm_class1", 256): "d56238c1a4960bac-63e482f2cfb7d5a9",
    ("magnetic_tile", 256): "8d89c9b990cc1445-c8b3c8fb17ac00ef",
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMBALANCE_CACHE", str(tmp_path / "cache"))
    yield
    cells._load.cache_clear()


def toy(tmp_path, **parameters):
    options = {"store": str(tmp_path / "store"), "workers": 1}
    return study.Run(toy_study, {"numbers": (0, 1), **parameters}, options, committed=tmp_path / "committed")


def states(run):
    plan = run.plan()
    return dict(zip(plan["number"], zip(plan["state"], plan["why"], strict=True), strict=True))


# -- what makes a cell stale -------------------------------------------------------------------------------------------


@pytest.mark.reliability(AREA, "the study's VERSION raised, and lowered again")
@pytest.mark.parametrize("version", [2, 0])
def test_another_version(tmp_path, monkeypatch, happened, version):
    toy(tmp_path).execute()
    with monkeypatch.context() as patch:
        patch.setattr(toy_study, "VERSION", version)
        run = toy(tmp_path, numbers=(0, 1, 2))
        why = f"measured at version 1 of the study, which is at {version}"
        assert states(run) == {0: ("stale", why), 1: ("stale", why), 2: ("missing", "not measured")}
        happened(f"stale: {why}")
        assert run.execute().new == 3 and len(run.frame()) == 3
        assert {state for state, _ in states(run).values()} == {"done"}
    # What was measured before is still there for the version that it belongs to.
    assert states(toy(tmp_path)) == {0: ("done", ""), 1: ("done", "")}


def images(folder, shade=100):
    """Two classes of ten images in a folder of one's own; `shade` is a pixel of the first one."""
    for name, offset in (("a", 0), ("b", 60)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(10):
            pixels = np.full((8, 8), 2 * i + offset, dtype=np.uint8)
            pixels[0, 0] = shade if (name, i) == ("a", 0) else 200
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


@pytest.mark.reliability(AREA, "one pixel of one image changed in a folder of one's own")
def test_other_data_of_the_same_name(tmp_path, happened):
    folder = tmp_path / "mine"
    images(folder)
    dataset = f"folder:{folder}"
    toy(tmp_path, dataset=dataset).execute()
    images(folder, shade=101)
    cells._load.cache_clear()  # a later start
    run = toy(tmp_path, dataset=dataset, numbers=(0, 1, 2))
    assert states(run) == {
        0: ("stale", planning.OTHER_DATA), 1: ("stale", planning.OTHER_DATA), 2: ("missing", planning.NEVER)
    }  # fmt: skip
    happened(f"stale: {planning.OTHER_DATA}")
    assert run.execute().new == 3


@pytest.mark.reliability(AREA, "the same images, their files renamed, touched and written anew")
def test_the_same_images_in_other_files(tmp_path, happened):
    folder = tmp_path / "mine"
    images(folder)
    run = toy(tmp_path, dataset=f"folder:{folder}")
    run.execute()
    for path in sorted(folder.rglob("*.png")):
        path.rename(path.with_name(f"photograph-{path.stem}.png"))
    for path in sorted(folder.rglob("*.png")):
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()
    cells._load.cache_clear()
    assert states(toy(tmp_path, dataset=f"folder:{folder}")) == {0: ("done", ""), 1: ("done", "")}
    happened("done: the fingerprint is that of the pixels")


@pytest.mark.reliability(AREA, "a parameter changed that decides the result, and one that does not")
def test_parameters(tmp_path, happened):
    toy(tmp_path).execute()
    assert {state for state, _ in states(toy(tmp_path, pause=0.01)).values()} == {"missing"}
    assert toy(tmp_path, replicates=2, numbers=(0,)).plan()["state"].tolist() == ["done", "missing"]
    options = {"store": str(tmp_path / "store"), "workers": 2, "profile": "paper", "time_budget": "9m"}
    run = study.Run(toy_study, {"numbers": (1, 0)}, options, committed=tmp_path / "committed")
    assert set(states(run).values()) == {("done", "")}
    happened("missing: another cell; done with other workers, profile, time budget and order of the list")


def test_equal_parameters_are_one_cell():
    """Whether a grid says 10 or 10.0."""
    keys = {systematic_study.Cell("digits", 0, rho=rho, learning_rate=1).key("s", 1, "") for rho in (10, 10.0)}
    assert keys == {systematic_study.Cell("digits", 0, rho=10.0, learning_rate=1.0).key("s", 1, "")}
    assert systematic_study.Cell("digits", 1, rho=10.0, learning_rate=1.0).key("s", 1, "") not in keys


@pytest.mark.reliability(AREA, "a damaged record in the store")
def test_a_damaged_record_is_missing(tmp_path, happened):
    run = toy(tmp_path)
    run.execute()
    key = next(iter(run.keys))
    (tmp_path / "store" / "toy" / f"{key}.json").write_text("{")
    with pytest.warns(UserWarning, match="damaged"):
        assert states(toy(tmp_path)) == {0: ("missing", planning.NEVER), 1: ("done", "")}
    happened("missing, with a warning that names the file it was set aside as")


# -- fields that a result shows as what was taken ----------------------------------------------------------------------


def measured(tmp_path, fingerprint="", **fields):
    """A store with one cell of paper 4, whose base rate was the protocol's 0.05 unless `fields` say otherwise."""
    cell = systematic_study.Cell("digits", 0, **fields)
    if not fingerprint:
        fingerprint = asking(tmp_path).fingerprint(cell)
    common = {
        **dataclasses.asdict(cell), "learning_rate": cell.learning_rate or 0.05, "study": systematic_study.STEM,
        "version": systematic_study.VERSION, "stand_in": True, "code_version": "",
    }  # fmt: skip
    key = cell.key(systematic_study.STEM, systematic_study.VERSION, fingerprint)
    rows = [{"method": "baseline", "prior": "", "metric": "accuracy", "class_label": -1, "value": 0.5}]
    Store(tmp_path / "store", tmp_path / "committed").put(
        systematic_study.STEM, {"key": key, "common": common, "rows": rows, "curves": []}
    )


def asking(tmp_path, *rates):
    parameters = {"step_rhos": [], "iterations": 10_000, "learning_rates": rates}
    options = {"store": str(tmp_path / "store"), "workers": 1}
    return study.Run(systematic_study, parameters, options, committed=tmp_path / "committed")


@pytest.mark.parametrize(
    ("there", "asked", "state"),
    [
        ({}, (), "done"),
        ({}, (0.05,), "missing"),  # asked for by number it is another cell, on the same data
        ({"learning_rate": 0.05}, (), "missing"),
        ({"learning_rate": 0.05}, (0.05,), "done"),
        ({"learning_rate": 0.5}, (0.05,), "missing"),
        ({"fingerprint": "other"}, (), "stale"),
        ({"fingerprint": "other"}, (0.05,), "stale"),
        ({"fingerprint": "other", "learning_rate": 0.5}, (0.05,), "missing"),
        ({"fingerprint": "other", "rho": 10.0}, (), "missing"),
    ],
)
def test_a_field_that_a_result_fills_in_is_not_mistaken_for_other_data(tmp_path, there, asked, state):
    measured(tmp_path, **there)
    assert asking(tmp_path, *asked).plan()["state"].tolist() == [state]


# -- what changes no key -----------------------------------------------------------------------------------------------

EDITS = {  # file -> old, new: prose, plots, another study's numbers, a refactoring
    "studies/systematic_study.py": (
        '"""Training images per class, in label order, of those that are there."""',
        '"""How many images."""',
    ),
    "plots.py": (
        "from __future__ import annotations",
        "from __future__ import annotations\n\nNEW_PALETTE = 1",
    ),
    "studies/multiscale_transfer.py": ("VERSION = 1", "VERSION = 99"),
    "studies/systematic_study_deviations.py": ("from __future__", "# Said in other words.\nfrom __future__"),
    "cells.py": ("content = {", "what_makes_the_key = content = {"),
}
SHOW = """
import sys
from common import study
from common.studies import systematic_study
run = study.Run(systematic_study, {parameters!r}, {{"store": {store!r}, "workers": 1}}, committed={committed!r})
print(*run.plan()[["state", "why"]].value_counts().items())
print(study.__file__)
"""


@pytest.mark.reliability(AREA, "prose, plots, an unrelated study and its VERSION changed, and a refactoring, in a copy")
def test_what_decides_no_result_voids_none(tmp_path, happened):
    parameters = {"step_rhos": [10], "samplers": ["none"], "balanced": False, "two_phase": False, "iterations": 1}
    store, committed = str(tmp_path / "store"), str(tmp_path / "committed")
    run = study.Run(systematic_study, parameters, {"store": store, "workers": 1}, committed=committed)
    assert run.execute().new == 1
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "common", copy / "common", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in EDITS.items():
        path = copy / "common" / name
        text = path.read_text()
        assert old in text, name
        path.write_text(text.replace(old, new, 1))
    script = SHOW.format(parameters=parameters, store=store, committed=committed)
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    out = subprocess.run(
        [sys.executable, "-c", script], cwd=copy, env=environment, capture_output=True, text=True, check=True
    ).stdout
    plan, where = out.splitlines()
    assert where.startswith(str(copy)) and plan == f"(('done', '{planning.CODE_CHANGED}'), 1)"
    happened(f"done ({planning.CODE_CHANGED})")


@pytest.mark.reliability(AREA, "the keys of all committed results, computed again from their fields and their data")
def test_no_committed_result_is_void(happened):
    """A renamed field, a changed default or another way to make keys would void them."""
    checked = set()
    for stem in [paper.stem for paper in PAPERS if (RESULTS / f"{paper.stem}.parquet").exists()]:
        module = importlib.import_module(f"common.studies.{stem}")
        # Of this project's lower layer alone, whatever store there is beside it.
        frame = Store("/nonexistent").frame(stem).drop_duplicates("key").set_index("key")
        cell_fields = {f.name: f for f in dataclasses.fields(module.Cell)}
        for key, row in frame.iterrows():
            there = {
                name: _plain(row[name], f.default)
                for name, f in cell_fields.items()
                if name in row and not _is_missing(row[name])
            }
            fingerprint = MEASURED_ON.get((there["dataset"], there.get("image_size", 0)))
            if fingerprint is None:
                continue
            loose = [name for name, f in cell_fields.items() if f.default is None and name in there]
            possible = set()
            for kept in product((True, False), repeat=len(loose)):
                left_out = {name for name, keep in zip(loose, kept, strict=True) if not keep}
                cell = module.Cell(**{name: value for name, value in there.items() if name not in left_out})
                possible.add(cell.key(stem, int(row["version"]), fingerprint))
            assert key in possible, f"{stem} {key}: {there}"
            checked.add(key)
    assert checked
    happened(f"{len(checked)} keys are what they were")


def _is_missing(value):
    return value is None or value != value


def _plain(value, default):
    """A value of a parquet column as its field has it; whole numbers may have become floats there."""
    value = value.item() if hasattr(value, "item") else value
    return type(default)(value) if isinstance(default, bool | int) else value
