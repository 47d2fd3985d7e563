"""Bad input through the command line: one clear line, exit status 2, and nothing begun.

Every case is a row of docs/reliability.md: what was asked for, or the state of a folder, and the message.
"""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_data import dagm, mnist_pair, mura, pixels, save, truncate, write_parquet

from common import mobilenet_weights, run, sources
from common.paths import ROOT
from common.store import Store

AREA = "Bad input"
TILES = ("Free", "Blowhole", "Break", "Crack", "Fray", "Uneven")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def place(tmp_path, cache, monkeypatch):
    """An empty folder to make a mess in; stores, pages and decoded data go beside it, and downloads fail the test."""
    for name in ("store", "reports"):
        monkeypatch.setenv(f"IMBALANCE_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("IMBALANCE_CACHE", str(cache))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in ("IMBALANCE_DATA", "IMBALANCE_WEIGHTS", "IMBALANCE_NOTEBOOKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sources, "download_torchvision", lambda *_: pytest.fail("went to the network"))
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def begun(place):
    """What a start would have left."""
    return [path for name in ("store", "reports") for path in (place.parent / name).rglob("*") if path.is_file()]


def refused(place, capsys, line, message):
    """Run the command line in this process; its message, after checks that all cases share."""
    status = run.main([word.replace("HERE", str(place)) for word in line.split(" ")])
    out, err = capsys.readouterr()
    assert re.fullmatch(rf"error: [^\n]*{message}[^\n]*\n", err), err
    assert status == 2 and out == "" and not begun(place)
    return err.removeprefix("error: ").strip()


def cases(*rows):
    """Parameters with a row of docs/reliability.md each; a row is (line, message) or (state, make, line, message)."""
    found = []
    for row in rows:
        state, make, line, message = row if len(row) == 4 else ("", None, *row)
        tried = f"{line.replace('HERE', 'DIR')}" + (f" ({state})" if state else "")
        marks = pytest.mark.reliability(AREA, tried)
        found.append(pytest.param(make, line, message, marks=marks, id=re.sub(r"\W+", "-", f"{line} {state}")))
    return pytest.mark.parametrize(("make", "line", "message"), found)


def check(place, capsys, happened, make, line, message):
    if make is not None:
        make(place)
    happened(refused(place, capsys, line, message))


# -- words and options -------------------------------------------------------------------------------------------------


@cases(
    ("quick", "unknown word or profile 'quick'; .*demo, reduced, paper"),
    ("demo paper", "'paper' is one word too many"),
    ("demo --refesh", "unrecognized arguments: --refesh; see --help"),
    ("demo --only 9", "unknown notebook '9'; there are .*4_systematic_study"),
    ("demo --only=", "unknown notebook ''; there are"),
    ("demo --only sistematic_study", "did you mean '4_systematic_study'"),
    ("demo --jobs 0", "--jobs 0: expected at least 1"),
    ("demo --jobs many", "--jobs: invalid int value: 'many'"),
    ("demo --time-budget soon", "time budget 'soon': expected hours, minutes, seconds such as 90m"),
    ("demo --time-budget 1.5h", "time budget '1.5h': expected hours"),
    ("demo --no-notebook --only 4 --device cuda", "device 'cuda': torch finds no CUDA device here; use --device cpu"),
    ("demo --device tpu", r"invalid choice: 'tpu'"),
    ("demo --only 4 --set replicates", "--set 'replicates': expected NAME=VALUE such as replicates=3"),
    (
        "demo --only 3 --only 4 --set own_images=mine",
        "--set own_images: no parameter of 3_class_specific_extrapolation; name those that have it with --only: 4_syst",
    ),
    ("demo --only 4 --set own_images=folder:mine", "own_images 'folder:mine': expected the path alone"),
    ("demo --only 4 --set replicats=3", "unknown parameter 'replicats'; did you mean 'replicates'"),
    ("demo --only 4 --set device=cuda", "--set 'device=cuda': use --device"),
    ("demo --only 4 --set replicates=2.5", "replicates is 2.5; expected a whole number"),
    ("demo --only 4 --set balanced=maybe", "balanced is 'maybe'; expected true or false"),
    ("demo --only 4 --set step_rhos=10", "step_rhos is 10; expected a list of numbers"),
    ("clean --store HERE", "clean takes no --store"),
    ("lab", "'lab' is a word of ./run_all.sh, and comes first"),
)
def test_words_and_options(place, capsys, happened, make, line, message):
    check(place, capsys, happened, make, line, message)


# -- values of a study's parameters ------------------------------------------------------------------------------------

ONE, TWO, THREE, FOUR, FIVE = (f"demo --no-notebook --only {n} --set" for n in range(1, 6))


@cases(
    (f"{ONE} imbalances=[A,D]", "imbalances: 'D' is unknown; there are A, B, C, own"),
    (f"{ONE} network=resnet", "network: 'resnet' is unknown; there are allcnn, vgg16"),
    (f"{ONE} count_scale=1", "class '0' has 134 images; imbalance A takes 400 to train and 100 to validate"),
    (f"{ONE} image_size=28", "images of 28 x 28; allcnn takes 32 x 32"),
    (f"{TWO} samplers=[smotte]", "samplers: 'smotte'"),
    (f"{TWO} variants=[layer99]", "variants: 'layer99' is unknown; there are paper, .*layer 12"),
    (f"{TWO} alpha=0.3", "alpha: 0.3; expected 0.25, 0.5, 0.75 or 1"),
    (f"{TWO} rhos=[0.5]", "rhos: 0.5"),
    (f"{TWO} per_class=100000", "images asked for, .* there are; lower per_class"),
    (f"{THREE} samplers=[best]", "samplers: 'best' is unknown; there are none, random"),
    (f"{THREE} tau=1.2", "tau: 1.2; expected an accuracy between 0 and 1"),
    (f"{THREE} p_max=0", "p_max: 0; expected above 0 and at most 1"),
    (f"{THREE} depth=18", "depth: 18 is unknown; there are 16, 19"),
    (f"{THREE} majors=6000", "class .*: 6040 images asked for .*, 600 there are"),
    (f"{THREE} dataset=digits", "digits: train images of 28 x 28 x 1; VGG takes square colour images"),
    (f"{FOUR} replicates=0", "replicates: 0; expected at least 1"),
    (f"{FOUR} samplers=[smote]", "samplers: 'smote' is unknown; there are none, oversampling"),
    (f"{FOUR} step_mus=[1.0]", "step_mus: 1.0 is no fraction of classes; expected between 0 and 1"),
    (f"{FOUR} step_rhos=[0]", "step_rhos: 0 is no ratio of largest to smallest class; expected at least 1"),
    (f"{FOUR} step_rhos=[100000]", "rho 100000: with 130 images in the largest class it is at most 130"),
    (f"{FOUR} learning_rates=[-1]", "learning_rates: -1; expected a positive number"),
    (f"{FOUR} network=vgg", "network: 'vgg' is unknown; there are '', lenet5, allcnn, resnet10"),
    (f"{FOUR} precision=fp16", "precision: 'fp16' is unknown; there are fp32, bf16"),
    (f"{FOUR} workers=-1", "workers -1: expected 0 .one per core. or a positive number"),
    (f"{FOUR} dataset=digitz", "unknown data set 'digitz'; did you mean 'digits'"),
    (f"{FIVE} arms=[smote]", "arms: 'smote' is unknown; there are baseline"),
    (f"{FIVE} ratios=[0.5]", "ratios: 0.5 is no ratio of normal images to defects; expected at least 1"),
    (f"{FIVE} ratios=[100000]", "ratio 100000: of 600 training images none would be a defect; at most 1199"),
    (f"{FIVE} few=[100000]", "few 100000: the training part has .* defects"),
    (f"{FIVE} networks=[multiscale-x]", "network 'multiscale-x': expected multiscale"),
    (f"{FIVE} pooling=median", "pooling: 'median' is unknown; there are average, maximum"),
    (f"{FIVE} frozen_first=trunkk", "'trunkk'"),
    (f"{FIVE} source=textures", "textures is source or related task of itself"),
    (f"{FIVE} folds=1", "folds: 1; expected at least 2"),
)
def test_parameters_of_studies(place, capsys, happened, make, line, message):
    check(place, capsys, happened, make, line, message)


# -- data --------------------------------------------------------------------------------------------------------------


def images(place, classes=3, per_class=10, change=None):
    """A folder `mine` of one's own images, 28 x 28, then changed."""
    for label in range(classes):
        for i in range(per_class):
            save(place / "mine" / f"class{label}" / f"{i}.png", pixels(1, 28, 28, seed=100 * label + i)[0])
    if change:
        change(place / "mine")


def tiles(place):
    masks = [None] * 11 + [np.zeros((20, 20), dtype=np.uint8)]
    path = place / "magnetic_tile" / "train-00000-of-00001.parquet"
    write_parquet(path, pixels(12, 20, 30), [*range(6)] * 2, TILES, masks)


def cifar(place):
    folder = place / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(b"cut short")


MINE = f"{FOUR} dataset=folder:HERE/mine"
OF_DATA = "demo --no-notebook --offline --data HERE --only"


@cases(
    ("no such folder", None, "demo --only 4 --data HERE/none", "--data .*none: no such folder; expected one with a"),
    ("a file", lambda p: (p / "f").touch(), "demo --only 4 --data HERE/f", "--data .*f: no such folder"),
    ("an empty folder", None, f"{OF_DATA} 4 --set dataset=mnist", "mnist: not found; looked for .* Copy the set's"),
    (
        "the end of a parquet file is missing",
        lambda p: (mnist_pair(p), truncate(p)),
        f"{OF_DATA} 4 --set dataset=mnist",
        "train-00000-of-00001.parquet: not a readable parquet file .*; copy it again",
    ),
    (
        "an image in a parquet file is none",
        lambda p: (
            mnist_pair(p)
            and write_parquet(
                p / "mnist" / "train-00000-of-00001.parquet", [*pixels(9, 28, 28), b"no image"], range(10)
            )
        ),
        f"{OF_DATA} 4 --set dataset=mnist",
        "parquet row 9: not an image that can be decoded",
    ),
    ("masks of another size", tiles, f"{OF_DATA} 5 --set dataset=magnetic_tile", "row 11: mask is 20 x 20, its image"),
    (
        "a list of MURA is missing",
        lambda p: (mura(p), (p / "MURA-v1.1" / "valid_labeled_studies.csv").unlink()),
        f"{OF_DATA} 5 --set dataset=mura",
        "valid_labeled_studies.csv: no such file; MURA's labels",
    ),
    (
        "DAGM without its labels",
        lambda p: (
            dagm(p, "Train"),
            dagm(p, "Test"),
            (p / "dagm" / "Class3" / "Train" / "Label" / "Labels.txt").unlink(),
        ),
        f"{OF_DATA} 5 --set dataset=dagm_class3",
        "Labels.txt: no such file; DAGM's labels",
    ),
    (
        "batches of CIFAR cut short",
        cifar,
        f"{OF_DATA} 4 --set dataset=cifar10",
        "a file is damaged or cut short: delete",
    ),
)
def test_data_sets(place, capsys, happened, make, line, message):
    check(place, capsys, happened, make, line, message)


def link_both_ways(folder):
    (folder / "class0" / "there").symlink_to(folder / "class1")
    (folder / "class1" / "back").symlink_to(folder / "class0")


def unlink_all(folder):
    for path in folder.iterdir():
        path.unlink()


@cases(
    ("no such folder", None, MINE, "mine: does not exist; expected a folder with one subfolder of images per class"),
    (
        "an empty folder",
        lambda p: (p / "mine").mkdir(),
        MINE,
        "mine: no class folders; expected one subfolder of images",
    ),
    (
        "one class",
        lambda p: images(p, classes=1),
        MINE,
        "only one class folder, 'class0'; expected one each for two",
    ),
    ("two classes", lambda p: images(p, classes=2), MINE.replace("only 4", "only 1"), "2 classes; expected at least 3"),
    (
        "a class without images",
        lambda p: images(p, change=lambda f: unlink_all(f / "class1")),
        MINE,
        "class1: a class without images; put some into it or remove the folder",
    ),
    (
        "one image a class",
        lambda p: images(p, per_class=1),
        MINE,
        "class 'class0' has one image; .* so every class needs at least two",
    ),
    (
        "a text called .png",
        lambda p: images(p, change=lambda f: (f / "class1" / "0.png").write_text("text")),
        MINE,
        "class1/0.png: not an image that can be decoded",
    ),
    (
        "an image of another size",
        lambda p: images(p, change=lambda f: save(f / "class2/0.png", pixels(1, 9, 28)[0])),
        MINE,
        "class2/0.png: image is 9 x 28, the first one 28 x 28",
    ),
    (
        "a link to nothing",
        lambda p: images(p, change=lambda f: (f / "class0" / "gone.png").symlink_to("nowhere")),
        MINE,
        "cannot read .*gone.png",
    ),
    (
        "a link to the folder that holds it",
        lambda p: images(p, change=lambda f: (f / "class0/again").symlink_to(f)),
        MINE,
        "class0/again: this link leads back to a folder that holds it; remove it",
    ),
    (
        "two links that lead from one class to the other and back",
        lambda p: images(p, change=link_both_ways),
        MINE,
        "this link leads back to a folder that holds it; remove it",
    ),
    (
        "a pipe called .png",
        lambda p: images(p, change=lambda f: os.mkfifo(f / "class0" / "pipe.png")),
        MINE,
        "class0/pipe.png is no regular file; remove it",
    ),
)
def test_own_images(place, capsys, happened, make, line, message):
    check(place, capsys, happened, make, line, message)


@pytest.mark.parametrize("how", ["", " --dry-run"])
@pytest.mark.parametrize(
    ("number", "classes", "per_class", "message"),
    [
        (4, 0, 3, "own_images '.*mine': .*mine: does not exist; expected a folder"),
        (4, 1, 3, "own_images '.*mine': .*mine: only one class folder, 'class0'; expected"),
        (1, 2, 3, "own_images '.*mine': folder:.*mine: 2 classes; expected at least 3"),
        (2, 2, 1, "own_images '.*mine': folder:mine: class 'class0' has one image"),
    ],
)
def test_own_images_of_a_notebook(place, capsys, number, classes, per_class, message, how):
    """Before anything starts, not at the end of the notebook."""
    images(place, classes, per_class)
    refused(place, capsys, f"demo --only {number} --set own_images=HERE/mine{how}", message)


def test_own_images_that_a_notebook_can_show(place, capsys):
    """Of several sizes, which the notebook brings to one."""
    images(place, per_class=20, change=lambda f: save(f / "class2/0.png", pixels(1, 9, 28)[0]))
    for number in (1, 2, 4, 5):
        assert run.main(["demo", "--only", str(number), "--set", f"own_images={place}/mine", "--dry-run"]) == 0
        assert capsys.readouterr().err == "" and not begun(place)


# -- weights -----------------------------------------------------------------------------------------------------------


def npz(place, **changes):
    """Random weights of MobileNet with a quarter of the channels, some changed (None: left out)."""
    arrays = {**mobilenet_weights.draw(0.25), **{name.replace("__", "/"): value for name, value in changes.items()}}
    np.savez(place / "w.npz", **{name: value for name, value in arrays.items() if value is not None})


def digest(place):
    return mobilenet_weights.digest(mobilenet_weights.draw(0.25))


VGG = "demo --no-notebook --only 1 --set dataset=shapes --set network=vgg16 --set count_scale=0.01"
VGG += " --set pretraining=imagenet --weights HERE/"
WEIGHTS = f"{TWO} pretrained=0123456789abcdef --weights HERE/"


@cases(
    ("no such file", None, f"{WEIGHTS}w.npz", "--weights .*w.npz: no such file"),
    ("none given", None, f"{TWO} pretrained=0123456789abcdef", "pass the file of these weights with --weights FILE"),
    ("none kept", None, f"{TWO} pretrained=imagenet --offline", "is not there and --offline forbids the download"),
    ("another ending", lambda p: (p / "w.bin").touch(), f"{WEIGHTS}w.bin", "expected a name that ends in .h5 or .npz"),
    (
        "cut short",
        lambda p: (npz(p), (p / "w.npz").write_bytes((p / "w.npz").read_bytes()[:1000])),
        f"{WEIGHTS}w.npz",
        "w.npz: not an archive of plain arrays",
    ),
    (
        "cut short",
        lambda p: (p / "w.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(90)),
        f"{WEIGHTS}w.h5",
        "w.h5: not a file of MobileNet's weights",
    ),
    ("others than asked for", npz, f"{WEIGHTS}w.npz", "their digest is .*, not 0123456789abcdef; to use them set"),
    (
        "of another network",
        lambda p: npz(p, conv_pw_3__kernel=None),
        f"{WEIGHTS}w.npz",
        "no conv_pw_3/kernel; expected",
    ),
    (
        "a text instead of VGG-16",
        lambda p: (p / "vgg.pth").write_text("text"),
        f"{VGG}vgg.pth",
        "vgg.pth: no state dict that torch can load",
    ),
    (
        "empty instead of VGG-16",
        lambda p: (p / "vgg.pth").touch(),
        f"{VGG}vgg.pth",
        "no state dict that torch can load",
    ),
    (
        "of another network",
        lambda p: torch.save({"x": torch.zeros(1)}, p / "vgg.pth"),
        f"{VGG}vgg.pth",
        "vgg.pth: expected the state dict of torchvision's vgg16",
    ),
)
def test_weights(place, capsys, happened, make, line, message):
    check(place, capsys, happened, make, line, message)


# -- store, exports, notebooks -----------------------------------------------------------------------------------------


RESULT = dict(key=["a"], study=["toy"], version=[1], stand_in=[False], method=["m"], metric=["auc"], value=[1.0])


def parquet(place, **columns):
    (place / "other").mkdir()
    pd.DataFrame(columns).to_parquet(place / "other" / "toy.parquet")


def zipped(place, *names):
    with zipfile.ZipFile(place / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"")


@cases(
    (
        "a file",
        lambda p: (p / "s").touch(),
        "demo --only 4 --no-notebook --store HERE/s",
        "is a file; expected a folder",
    ),
    (
        "below a file",
        lambda p: (p / "s").touch(),
        "demo --only 4 --no-notebook --store HERE/s/t",
        "--store .*s/t: cannot be written",
    ),
    ("nothing there", None, "merge HERE/x.zip", "merge .*x.zip: no such file or folder; expected what export wrote"),
    ("no zip", lambda p: (p / "x.zip").write_text("x"), "merge HERE/x.zip", "merge .*x.zip: not a .zip"),
    ("a zip of other things", lambda p: zipped(p, "a.txt"), "merge HERE/x.zip", "holds 'a.txt'; expected only <study>"),
    (
        "a zip with paths",
        lambda p: zipped(p, "../a.parquet"),
        "merge HERE/x.zip",
        "holds '../a.parquet'; expected only",
    ),
    (
        "a parquet file that is none",
        lambda p: zipped(p, "a.parquet"),
        "merge HERE/x.zip",
        "merge a.parquet: not readable .*copy it anew",
    ),
    ("a parquet file of others", lambda p: parquet(p, a=[1]), "merge HERE/other", "toy.parquet: not a result file"),
    (
        "keys that are paths",
        lambda p: parquet(p, **{**RESULT, "key": ["../../x"]}),
        "merge HERE/other",
        "'../../x' is no key of a cell; expected what export writes",
    ),
    ("an empty folder", None, "merge HERE", "holds no <study>.parquet; expected what export wrote"),
    (
        "below a file",
        lambda p: (p / "f").touch(),
        "export HERE/f/x.zip",
        "export .*x.zip: .*; expected a place that can",
    ),
    ("another ending", None, "export HERE/x.csv", r"x.csv: expected a folder or a file ending in \.zip"),
)
def test_store_and_exports(place, capsys, happened, make, line, message):
    check(place, capsys, happened, make, line, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": None}, r"toy.parquet: not a result file \(no column 'version' among key, study, stand_in"),
        ({"stand_in": None}, "no column 'stand_in'"),
        ({"stand_in": ["no"]}, "stand_in 'no' is neither true nor false"),
        ({"version": ["one"]}, "version 'one' is no whole number"),
        ({"value": ["high"]}, "values such as 'high' are no numbers"),
        ({"metric": [None]}, "rows without 'metric'"),
        ({"study": ["other"]}, "holds results of the study 'other', not of the one that it is called by"),
    ],
)
def test_merge_takes_nothing_when_one_file_is_no_export(place, capsys, change, message):
    parquet(place, **{name: value for name, value in {**RESULT, **change}.items() if value is not None})
    pd.DataFrame({**RESULT, "study": ["able"]}).to_parquet(place / "other" / "able.parquet")  # comes before it
    assert "nothing was taken" in refused(place, capsys, "merge HERE/other", message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{FOUR} own_images=HERE", "--set own_images: a parameter of the notebooks, .*; use dataset=folder:PATH"),
        ("demo --no-notebook --only 0", "--only 0: a notebook without cells of its own, which --no-notebook leaves"),
        ("demo --no-notebook --only 0_overview", "--only 0_overview: a notebook without cells"),
        (f"{FOUR} iterations=010", "iterations is '010'; expected a whole number"),
        (f"{FOUR} iterations=100000000000000000000", "iterations is 1.*; expected a whole number, whole ones at most"),
    ],
)
def test_words_that_mean_something_else(place, capsys, line, message):
    refused(place, capsys, line, message)


@pytest.mark.parametrize("word", ["export", "merge"])
@pytest.mark.parametrize("file", ["", " "])
def test_an_empty_name_is_not_the_current_folder(place, capsys, monkeypatch, word, file):
    monkeypatch.chdir(place)
    assert run.main([word, file]) == 2
    assert f"{word} {file!r}: an empty name; expected a file or folder" in capsys.readouterr().err
    assert not [*place.iterdir(), *begun(place)]


def test_a_folder_without_a_path_is_not_the_current_folder(place, capsys, monkeypatch):
    images(place)
    monkeypatch.chdir(place / "mine")
    refused(place, capsys, f"{FOUR} dataset=folder:", "data set 'folder:': no path after folder:; expected folder:PATH")


def test_merge_refuses_curves_that_are_none(place, capsys):
    parquet(place, **RESULT)
    pd.DataFrame({"key": ["a"]}).to_parquet(place / "other" / "toy_curves.parquet")
    refused(place, capsys, "merge HERE/other", "toy_curves.parquet beside it holds no curves .columns key.")


def test_merge_says_what_was_known_and_differs(place, capsys):
    """Ours stays, which is said with how many cells that concerns."""
    two = {name: column * 2 for name, column in RESULT.items()}
    parquet(place, **{**two, "key": ["a", "b"]})
    assert run.main(["merge", str(place / "other")]) == 0
    assert capsys.readouterr().out.endswith("(toy: 2)\n")
    changed = pd.DataFrame({**two, "key": ["a", "b"], "value": [1.0, 0.9]})
    changed.to_parquet(place / "other" / "toy.parquet")
    assert run.main(["merge", str(place / "other")]) == 0
    assert capsys.readouterr().out.endswith("(toy: 0)\nknown already: 2, of which 1 differ (yours kept)\n")
    kept = Store(committed=place / "none").frame("toy").set_index("key")["value"]
    assert kept.to_dict() == {"a": 1.0, "b": 1.0}


def notebook(place, text=None, grids="demo: {}"):
    (place / "grids.yaml").write_text(grids)
    (place / "4_systematic_study.ipynb").write_text(text or json.dumps({"cells": []}))


@cases(
    ("a notebook without parameters", notebook, "demo --only 4", "its cell tagged 'parameters' lacks"),
    ("a notebook that is no JSON", lambda p: notebook(p, "x"), "demo --only 4", "its parameters cannot be read"),
    ("no notebooks", None, "demo", "no notebook in .* has runs in it"),
    ("grids.yaml is no YAML", lambda p: notebook(p, grids="demo: ["), "demo --only 4 --no-notebook", "not YAML"),
    (
        "grids.yaml with an unknown parameter",
        lambda p: notebook(p, grids="demo: {systematic_study: [{run: a, parameters: {rhos: [1]}}]}"),
        "demo --only 4 --no-notebook",
        "grids.yaml: demo: systematic_study: a: unknown parameter 'rhos'",
    ),
    (
        "grids.yaml with a YAML tag of Python",
        lambda p: notebook(p, grids="demo: !!python/object/apply:os.mkdir [owned]"),
        "demo --only 4 --no-notebook",
        "not YAML .*could not determine a constructor",
    ),
)
def test_notebooks_and_grids(place, capsys, happened, monkeypatch, make, line, message):
    monkeypatch.setenv("IMBALANCE_NOTEBOOKS", str(place))
    check(place, capsys, happened, make, line, message)
    assert not Path("owned").exists()


# -- in a process of its own -------------------------------------------------------------------------------------------


@pytest.mark.reliability(AREA, "python -m common.run, in a process of its own")
@pytest.mark.parametrize(
    ("line", "message"),
    [("demo --only 9", "unknown notebook '9'"), (f"{FOUR} step_mus=[1.0]", "step_mus: 1.0 is no fraction of classes")],
)
def test_the_real_command(place, happened, line, message):
    done = subprocess.run([sys.executable, "-m", "common.run", *line.split()], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and not begun(place)
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and message in done.stderr
    happened(f"exit status 2; {done.stderr.removeprefix('error: ').strip()}")
