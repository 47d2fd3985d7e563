"""Same seeds, same machine, same numbers, bit for bit on a CPU: real processes with small real cells of each paper."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from common.papers import PAPERS
from common.paths import ROOT

AREA = "Determinism"
#: Two cells of each study, the second of which uses something of the first, or comes after it in one process.
SMALL = {
    "category_centers": {"dataset": "folder:IMAGES", "imbalances": ["own"], "iterations": 8, "batch_size": 8},
    "mobilenet_features": {
        "dataset": "folder:IMAGES", "per_class": 0, "rhos": [2], "samplers": ["smote"], "image_samplers": ["smote"],
        "epochs": 1,
    },
    "class_specific_extrapolation": {
        "majors": 40, "minors": 15, "held_out": 5, "width": 4, "hidden": 16, "epochs": 1, "iterations": 1,
        "head_epochs": 1, "samplers": ["smote", "run"],
    },
    "systematic_study": {"step_rhos": [10], "samplers": ["none", "undersampling"], "balanced": False, "iterations": 6},
    "multiscale_transfer": {
        "arms": ["two-stage balanced-natural", "undersampling ensemble"], "ensemble": 2, "width": 8, "iterations": 4,
        "total": 40, "source_iterations": 2, "folds": 10, "pictures": 1,
    },
}  # fmt: skip
RUN = """
import importlib, json, sys
from common import study

if __name__ == "__main__":
    asked, options, which = json.loads(sys.argv[1])
    for stem, parameters in asked.items():
        run = study.Run(importlib.import_module(f"common.studies.{stem}"), parameters, options)
        run.cells = run.cells[-1:] if which == "last" else run.cells
        run.execute()
"""


def measure(folder, stems, hash_seed, which="all", **options):
    """Run the small cells in a fresh process with a fresh store; their records by study and file."""
    options = {"store": str(folder / "store"), "offline": True, **options}
    script = folder / "run.py"
    folder.mkdir()
    script.write_text(RUN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed}
    environment["IMBALANCE_CACHE"] = str(folder.parent / "cache")
    asked = json.dumps([{stem: SMALL[stem] for stem in stems}, options, which])
    asked = asked.replace("IMAGES", str(folder.parent / "images"))
    done = subprocess.run([sys.executable, str(script), asked], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {stem: {path.name: timeless(path) for path in (folder / "store" / stem).glob("*.json")} for stem in stems}
    assert all(len(records) == (1 if which == "last" else 2) for records in found.values())
    return found


def timeless(path):
    """A record as JSON text, whose numbers have all their digits; without what a clock or the source says."""
    record = json.loads(path.read_text())
    common = {
        name: value
        for name, value in record["common"].items()
        if not name.endswith("seconds") and name not in ("created", "code_version")
    }
    rows = [row for row in record["rows"] if not row["metric"].endswith("seconds")]
    return json.dumps({"common": common, "rows": rows, "curves": record["curves"]}, sort_keys=True)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    assert set(SMALL) == {paper.stem for paper in PAPERS}, "small cells of every paper"
    folder = tmp_path_factory.mktemp("determinism")
    random = np.random.default_rng(0)
    for label in range(3):
        (folder / "images" / f"{label}").mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{label}" / f"{number}.png")
    return folder, measure(folder / "one", SMALL, "0", workers=1)


@pytest.mark.reliability(AREA, "the same cells in a fresh process, with another PYTHONHASHSEED, one cell alone")
def test_a_fresh_process_gives_the_same_bits(reference, happened):
    folder, one = reference
    alone = measure(folder / "alone", SMALL, "4242", which="last", workers=1)
    same = [f"{stem} {name}" for stem in SMALL for name in alone[stem] if alone[stem][name] == one[stem][name]]
    assert len(same) == len(SMALL)
    numbers = sum(len(json.loads(record)["rows"]) for records in alone.values() for record in records.values())
    happened(f"{numbers} numbers of {len(same)} cells of all papers equal in every bit")


@pytest.mark.reliability(AREA, "one worker against two")
def test_two_workers_give_the_same_bits(reference, happened):
    folder, one = reference
    stem = "class_specific_extrapolation"  # whose cells share a backbone
    two = measure(folder / "two", [stem], "1", workers=2)
    assert two[stem] == one[stem]
    happened(f"both records of {stem} equal in every bit")
