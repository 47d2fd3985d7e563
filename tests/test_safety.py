"""What files of others, or their names, could do here, and do not: run code, leave their folder, fill the memory."""

import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from bs4 import BeautifulSoup
from PIL import Image
from processes import nobody
from test_data import dagm, mnist_pair, mnist_raw, mura, pixels, save, write_parquet
from test_run import notebook

from common import (
    artifacts,
    checkpoints,
    claim_file,
    data,
    exchange,
    image_folders,
    jobs,
    mobilenet_weights,
    report,
    run,
)
from common.errors import UserError
from common.paths import ROOT
from common.store import Store
from common.studies.category_centers_pretraining import imagenet_state

AREA = "Safety"


class Payload:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A pickle as bytes, and the file that it makes if something loads it; checked after the test."""
    monkeypatch.setenv("IMBALANCE_CACHE", str(tmp_path / "cache"))
    owned = tmp_path / "owned"
    content = pickle.dumps(Payload(owned))
    pickle.loads(content)
    assert owned.exists(), "the trap works"
    owned.unlink()
    yield content
    assert not owned.exists(), "a pickle was loaded"


def message(action, *arguments, **options):
    with pytest.raises(UserError) as caught:
        action(*arguments, **options)
    return str(caught.value)


# -- pickles -----------------------------------------------------------------------------------------------------------


@pytest.mark.reliability(AREA, "a malicious pickle in place of a file of weights: .pth, .npz, .h5")
def test_weights_are_no_pickles(tmp_path, trap, happened):
    plain, zipped = tmp_path / "plain.pth", tmp_path / "zipped.pth"
    plain.write_bytes(trap)
    torch.save({"features.0.weight": Payload(tmp_path / "owned")}, zipped)
    for path in (plain, zipped):
        said = message(imagenet_state, str(path), True, 224, 4096)
        assert "no state dict that torch can load (more than tensors)" in said
    happened(said)
    objects = tmp_path / "objects.npz"
    np.savez(objects, **{name: np.array([Payload(tmp_path / "owned")]) for name in mobilenet_weights.names()})
    for name in ("w.npz", "w.h5"):
        (tmp_path / name).write_bytes(trap)
        assert "not a" in message(mobilenet_weights.read, tmp_path / name)
    happened(message(mobilenet_weights.read, objects))


@pytest.mark.reliability(AREA, "malicious pickles as checkpoint, artifact and decoded image")
def test_what_we_keep_is_no_pickle(tmp_path, trap, happened):
    checkpoint = checkpoints.Checkpoint(tmp_path, ["content"])
    checkpoint._path.write_bytes(trap)
    with pytest.warns(RuntimeWarning, match="training starts again"):
        assert checkpoint.load(torch.device("cpu")) is None

    def asked():
        return artifacts.artifact(tmp_path, "features", {}, lambda: {"x": np.zeros(3)})

    asked()
    (path,) = tmp_path.rglob("x.npy")
    path.write_bytes(trap)
    with pytest.warns(UserWarning, match="damaged; made anew"):
        assert asked()["x"].tolist() == [0, 0, 0]

    mnist_pair(tmp_path)
    before = data.load("mnist", "train", tmp_path)
    for path in (tmp_path / "cache").rglob("*.np[yz]"):
        path.write_bytes(trap)
    assert data.load("mnist", "train", tmp_path).fingerprint == before.fingerprint
    happened("none is loaded: a training begins anew, an artifact is made anew, images are decoded again")


@pytest.mark.reliability(
    AREA, "malicious pickles as batches of CIFAR-10 and CIFAR-100, and as MNIST of an old torchvision"
)
def test_only_official_batches_are_unpickled(tmp_path, trap, happened):
    for name, folder, files in (
        ("cifar10", "cifar-10-batches-py", [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]),
        ("cifar100", "cifar-100-python", ["train", "test", "meta"]),
    ):
        (tmp_path / folder).mkdir()
        for file in files:
            (tmp_path / folder / file).write_bytes(trap)
        said = message(data.load, name, "train", tmp_path, offline=True)
        assert f"torchvision cannot read {name}" in said
    mnist_raw(tmp_path, pixels(10, 28, 28), range(10), pixels(10, 28, 28), range(10))
    (tmp_path / "MNIST" / "processed").mkdir()
    for file in ("training.pt", "test.pt"):
        (tmp_path / "MNIST" / "processed" / file).write_bytes(trap)
    assert "torchvision cannot read mnist" in message(data.load, "mnist", "train", tmp_path, offline=True)
    happened(said)


@pytest.mark.reliability(
    AREA, "the same batches with the md5 sums that torchvision knows, one byte changed in one of them"
)
def test_the_sums_are_compared_before_anything_is_unpickled(tmp_path, monkeypatch, happened):
    from torchvision import datasets

    monkeypatch.setenv("IMBALANCE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        batch = {"data": pixels(10, 3072), "labels": list(range(10))}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))

    def md5(name):
        return hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()

    monkeypatch.setattr(
        datasets.CIFAR10, "train_list", [[f"data_batch_{i}", md5(f"data_batch_{i}")] for i in range(1, 6)]
    )
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5("test_batch")]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": md5("batches.meta")})
    assert len(data.load("cifar10", "train", tmp_path, offline=True)) == 50
    content = bytearray((folder / "data_batch_3").read_bytes())
    content[-100] ^= 1
    (folder / "data_batch_3").write_bytes(content)
    monkeypatch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled before the sums were compared"))
    said = message(data.load, "cifar10", "train", tmp_path, offline=True)
    assert "torchvision cannot read cifar10" in said
    happened(said)


@pytest.mark.reliability(AREA, "a pickled Arrow type in the metadata of a parquet file, as data set and as results")
def test_parquet_files_load_no_pickled_type(tmp_path, trap, happened):
    mnist_pair(tmp_path)
    path = tmp_path / "mnist" / "train-00000-of-00001.parquet"
    table = pq.read_table(path)
    hidden = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": trap}
    label = table.schema.field("label").with_metadata(hidden)
    pq.write_table(table.cast(pa.schema([table.schema.field("image"), label], table.schema.metadata)), path)
    assert len(data.load("mnist", "train", tmp_path, offline=True)) == 20
    results = pa.table(RESULTS)
    fields = [field.with_metadata(hidden) if field.name == "value" else field for field in results.schema]
    (tmp_path / "other").mkdir()
    pq.write_table(results.cast(pa.schema(fields)), tmp_path / "other" / "toy.parquet")
    exchange.merge(Store(tmp_path / "store", tmp_path / "none"), tmp_path / "other")
    happened("read as the plain columns that they are")


@pytest.mark.reliability(AREA, "YAML that asks for a Python object: claims file, --set")
def test_yaml_makes_no_objects(tmp_path, trap, monkeypatch, capsys, happened):
    attack = f"!!python/object/apply:os.mkdir [{tmp_path / 'owned'}]"
    monkeypatch.setattr(claim_file.paths, "PUBLISHED", tmp_path)
    (tmp_path / "evil_claims.yaml").write_text(f"- id: {attack}")
    assert "not YAML" in message(claim_file.load, "evil")
    monkeypatch.setenv("IMBALANCE_STORE", str(tmp_path / "store"))
    assert run.main(["demo", "--no-notebook", "--only", "4", "--set", f"step_rhos={attack}"]) == 2
    said = capsys.readouterr().err
    assert "expected a list of numbers" in said
    happened("refused as text that is no list of numbers, and as no YAML")


# -- archives ----------------------------------------------------------------------------------------------------------

RESULTS = {
    "key": ["a"], "study": ["toy"], "version": [1], "stand_in": [False], "method": ["m"], "metric": ["auc"],
    "value": [0.5],
}  # fmt: skip


def parquet_bytes(**columns):
    buffer = io.BytesIO()
    pd.DataFrame({**RESULTS, **columns}).to_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.reliability(AREA, "merge of a .zip whose members are ../x, /x, C:\\\\x, a folder, or links")
@pytest.mark.parametrize(
    "name", ["../toy.parquet", "/toy.parquet", "..\\toy.parquet", "C:\\toy.parquet", "a/toy.parquet"]
)
def test_a_zip_does_not_leave_its_folder(tmp_path, happened, name):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("toy.parquet", parquet_bytes())
        archive.writestr(name, parquet_bytes())
    before = sorted(tmp_path.rglob("*"))
    said = message(exchange.merge, Store(tmp_path / "store", tmp_path / "none"), tmp_path / "x.zip")
    assert "expected only <study>.parquet" in said and sorted(tmp_path.rglob("*")) == before
    happened(said)


def test_a_link_in_a_zip_is_no_link(tmp_path):
    (tmp_path / "secret.parquet").write_bytes(parquet_bytes(key=["secret"]))
    link = zipfile.ZipInfo("toy.parquet")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, str(tmp_path / "secret.parquet"))
    store = Store(tmp_path / "store", tmp_path / "none")
    assert "toy.parquet: not readable" in message(exchange.merge, store, tmp_path / "x.zip")
    assert not store.keys("toy")


@pytest.mark.parametrize("key", ["../../evil", "/tmp/evil", "a/b", ".", ""])
def test_a_key_is_no_path(tmp_path, key):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "toy.parquet").write_bytes(parquet_bytes(key=[key]))
    before = sorted(tmp_path.rglob("*"))
    said = message(exchange.merge, Store(tmp_path / "store", tmp_path / "none"), tmp_path / "other")
    assert "is no key of a cell" in said
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.reliability(AREA, "a download that is another archive than the official one, with members ../x and links")
def test_a_wrong_download_is_not_unpacked(tmp_path, monkeypatch, happened):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        outside = tarfile.TarInfo("../outside")
        outside.size = 4
        tar.addfile(outside, io.BytesIO(b"evil"))
        link = tarfile.TarInfo("cifar-10-batches-py")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        tar.addfile(link)
    root = tmp_path / "root"

    def urlopen(request, *_, **__):
        response = io.BytesIO(archive.getvalue())
        response.headers, response.length, response.url = {}, len(archive.getvalue()), request.full_url
        return response

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    said = message(data.load, "cifar10", "train", root)
    assert "download" in said
    assert [path.name for path in tmp_path.rglob("*")] == ["root", "cifar-10-python.tar.gz"]
    happened(said)


# -- images ------------------------------------------------------------------------------------------------------------


def folder_set(root, image):
    for label in "ab":
        for i in range(4):
            save(root / "mine" / label / f"{i}.png", pixels(1, 20, 20, seed=i)[0])
    save(root / "mine" / "b" / "9.png", image)
    return f"folder:{root / 'mine'}"


def dagm_set(root, image):
    dagm(root, "Train")
    dagm(root, "Test")
    save(root / "dagm" / "Class3" / "Train" / "0001.PNG", image)
    return "dagm_class3"


def mura_set(root, image):
    mura(root)
    save(next((root / "MURA-v1.1" / "train").rglob("*.png")), image)
    return "mura"


def parquet_set(root, image):
    names = ("Free", "Blowhole", "Break", "Crack", "Fray", "Uneven")
    path = root / "magnetic_tile" / "train-00000-of-00001.parquet"
    write_parquet(path, [*pixels(11, 20, 30), image], [*range(6)] * 2, names, [None] * 12)
    return "magnetic_tile"


@pytest.mark.reliability(AREA, "an image of more pixels than PIL's limit in folder:, DAGM, MURA and parquet")
@pytest.mark.parametrize("make", [folder_set, dagm_set, mura_set, parquet_set])
@pytest.mark.parametrize("limit", [9_000, 6_000], ids=["above the limit", "above twice the limit"])
def test_image_bombs_are_refused(tmp_path, monkeypatch, happened, make, limit):
    monkeypatch.setenv("IMBALANCE_CACHE", str(tmp_path / "cache"))
    name = make(tmp_path, np.zeros((100, 130), dtype=np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    said = message(data.load, name, "train", tmp_path, offline=True)
    assert f"image refused, more than {limit} pixels; remove it or make it smaller" in said
    happened(said)


@pytest.mark.reliability(AREA, "a thin image whose padded square has more pixels than the limit: DAGM, MURA, parquet")
@pytest.mark.parametrize("make", [dagm_set, mura_set, parquet_set])
def test_thin_images_are_no_way_around(tmp_path, monkeypatch, happened, make):
    monkeypatch.setenv("IMBALANCE_CACHE", str(tmp_path / "cache"))
    # At PIL's own limit of 89 million: the image has 10,000 pixels, its square 100 million.
    name = make(tmp_path, np.zeros((1, 10_000), dtype=np.uint8))
    said = message(data.load, name, "train", tmp_path, offline=True)
    assert f"image refused, 1 x 10000 padded to a square has more than {Image.MAX_IMAGE_PIXELS} pixels" in said
    happened(said)


@pytest.mark.reliability(AREA, "a class folder, and an image, of one's own that cannot be read")
def test_unreadable_files_and_folders(monkeypatch, happened):
    root = Path(tempfile.mkdtemp())
    try:
        root.chmod(0o777)
        monkeypatch.setenv("IMBALANCE_CACHE", str(root / "cache"))
        for part in ("a", "b"):
            for i in range(3):
                save(root / "mine" / part / f"{i}.png", pixels(1, 8, 8, seed=i)[0])
        (root / "mine" / "b").chmod(0)
        with nobody():
            said = message(image_folders.find_folder, root / "mine")
        assert "mine/b: cannot be read (Permission denied); change its permissions or remove it" in said
        happened(said.replace(f"{root}/", ""))
        (root / "mine" / "b").chmod(0o755)
        (root / "mine" / "b" / "1.png").chmod(0)
        with nobody():
            said = message(data.load, f"folder:{root / 'mine'}")
        assert "b/1.png" in said and "Permission denied" in said
        happened(said.replace(f"{root}/", ""))
    finally:
        shutil.rmtree(root)


# -- pages and servers -------------------------------------------------------------------------------------------------

EVIL = "<img src=x onerror=alert(1)><script>alert(2)<"  # a name that a folder can have: without a slash
SHOW = """\
import pandas as pd
from IPython.display import display
from common import data, plots, tables
train = data.load(dataset)
display(plots.class_counts(train.counts, train.classes))
display(plots.images(train.images[:4], [train.classes[label] for label in train.labels[:4]]))
display(tables.table(pd.DataFrame({"class": train.classes, train.classes[0]: train.counts}), train.name))
display(tables.banner(train.name), tables.provenance({train.name: train.classes}))
display(pd.DataFrame({train.classes[0]: train.classes}))
print(train, train.classes)
train
"""


@pytest.mark.reliability(AREA, "class, folder and file names that are markup, from a folder to the page of a real run")
def test_names_are_escaped_all_the_way_to_the_page(tmp_path, monkeypatch, capsys, happened):
    for name in ("notebooks", "reports", "store", "cache"):
        monkeypatch.setenv(f"IMBALANCE_{name.upper()}", str(tmp_path / name))
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "grids.yaml").write_text("demo: {}")
    folder = tmp_path / EVIL
    for label in (EVIL, "b"):
        for i in range(4):
            save(folder / label / f"{i}{EVIL}.png", pixels(1, 12, 12, seed=i)[0])
    notebook(tmp_path / "notebooks", "7_names", SHOW, parameters="dataset = ''\nprofile = ''")
    assert run.main(["demo", "--set", f"dataset=folder:{folder}"]) == 0, capsys.readouterr().out
    page = (tmp_path / "reports" / "demo" / "7_names.html").read_text(encoding="utf-8")
    assert page.count("alert(1)") > 5, "the names are on the page"
    soup = BeautifulSoup(page, "html.parser")
    assert not soup.find_all("script") and {image["src"][:5] for image in soup.find_all("img")} == {"data:"}
    assert not [tag for tag in soup.find_all(True) if any(name.startswith("on") for name in tag.attrs)]
    assert soup.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"].startswith(
        "default-src 'none'"
    )
    index = BeautifulSoup((tmp_path / "reports" / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert "alert" not in str(index.find_all("script"))
    happened(f"{page.count('alert(1)')} times on the page, as text each time")


@pytest.mark.reliability(AREA, "outputs that would send a reader elsewhere: base, form, meta refresh")
@pytest.mark.parametrize(
    "html",
    [
        '<base href="https://example.org/">',
        '<form action="https://example.org/"><input></form>',
        '<meta http-equiv="Refresh" content="0; url=https://example.org">',
    ],
)
def test_pages_lead_nowhere_by_themselves(tmp_path, happened, html):
    import nbformat.v4 as v4

    output = v4.new_output("display_data", data={"text/html": html})
    path = tmp_path / "x.ipynb"
    path.write_text(json.dumps(v4.new_notebook(cells=[v4.new_code_cell("show()", outputs=[output])])))
    said = message(report.render, path, tmp_path / "x.html", title="x", profile="demo")
    assert "a page must hold everything" in said and not (tmp_path / "x.html").exists()
    happened(said)


@pytest.mark.reliability(AREA, "./run_all.sh lab")
def test_jupyterlab_listens_on_this_machine_alone(tmp_path, happened):
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\n[ "$2" = common.environment ] || echo "$@"\n')
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    out = subprocess.run(
        [ROOT / "run_all.sh", "lab"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert "jupyter lab --ip=127.0.0.1 " in out
    happened("jupyter lab --ip=127.0.0.1")


def test_a_grid_cannot_name_a_file_elsewhere(tmp_path):
    """Names of runs become names of files."""
    (tmp_path / "grids.yaml").write_text("demo: {x: [{run: ../../x}]}")
    assert "expected a name of letters" in message(jobs.grids.expand, "demo", "x", None, tmp_path)


def test_no_module_reads_pickles():
    """Beside the tests above: what would load one does not stand in the package."""
    unsafe = ("pickle.load", "read_pickle", "joblib.load", "allow_pickle=True", "weights_only=False", "yaml.unsafe",
              "extractall", "shell=True", "os.system", "eval(", "yaml.Loader", "yaml.FullLoader")  # fmt: skip
    found = []
    for path in sorted((ROOT / "common").rglob("*.py")):
        text = path.read_text(encoding="utf-8").replace(".eval(", "").replace("literal_eval(", "")
        found += [f"{path.name}: {word}" for word in unsafe if word in text]
    assert not found and sys.version_info >= (3, 11)
