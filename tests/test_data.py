"""Every layout `data.load` reads, on small trees; canonical order, cache, and each error with its message."""

import io
import json
import os
import pickle
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from common import data, datacache, paths, splitting
from common.errors import UserError

REAL, REAL_CACHE = os.environ.get("IMBALANCE_DATA"), os.environ.get("IMBALANCE_CACHE")
DIGITS = tuple("0123456789")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("IMBALANCE_CACHE", str(folder))
    monkeypatch.delenv("IMBALANCE_DATA", raising=False)
    return folder


# ---- small trees -----------------------------------------------------------------------------------------------------


def pixels(n, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "png")
    return buffer.getvalue()


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(array))


def write_parquet(
    path, images, labels, classes=DIGITS, masks=None, label_type=None, names="label", column="image", paths=None
):
    """The Hugging Face layout; `images` may hold arrays, bytes or None."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

    def cell(image, path=None):
        return None if image is None else {"bytes": image if isinstance(image, bytes) else png(image), "path": path}

    columns = {
        column: pa.array([cell(*pair) for pair in zip(images, paths or [None] * len(images), strict=True)], kind),
        names: pa.array(list(labels), label_type or pa.int64()),
    }
    if masks is not None:
        columns["mask"] = pa.array([cell(mask) for mask in masks], kind)
    table = pa.table(columns)
    if classes is not None:
        features = {column: {"_type": "Image"}, names: {"names": list(classes), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def mnist_parquet(root, images, labels, split="train", **options):
    write_parquet(root / "mnist" / f"{split}-00000-of-00001.parquet", images, labels, **options)


def mnist_pair(root, n=20):
    """Both splits of a small MNIST; returns the training part."""
    images, labels = pixels(n, 28, 28), np.arange(n) % 10
    mnist_parquet(root, images, labels)
    mnist_parquet(root, pixels(10, 28, 28, seed=1), range(10), "test")
    return images, labels


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    )


def mnist_raw(root, images, labels, test_images, test_labels):
    for prefix, x, y in (("train", images, labels), ("t10k", test_images, test_labels)):
        write_idx(root / "MNIST" / "raw" / f"{prefix}-images-idx3-ubyte", x)
        write_idx(root / "MNIST" / "raw" / f"{prefix}-labels-idx1-ubyte", np.asarray(y, dtype=np.uint8))


# ---- layouts ---------------------------------------------------------------------------------------------------------


def test_same_images_same_result_whatever_layout_and_order(tmp_path):
    images, labels = mnist_pair(tmp_path / "a")
    shuffled = np.random.default_rng(3).permutation(len(labels))
    half = len(labels) // 2
    for k, part in enumerate((shuffled[:half], shuffled[half:])):
        write_parquet(tmp_path / "b" / "mnist" / f"train-0000{k}-of-00002.parquet", images[part], labels[part])
    mnist_parquet(tmp_path / "b", pixels(10, 28, 28, seed=1), range(10), "test")
    mnist_raw(tmp_path / "c", images[shuffled], labels[shuffled], pixels(10, 28, 28, seed=1), range(10))
    for image, label in zip(images, labels, strict=True):
        save(tmp_path / "d" / "train" / str(label) / f"{image.sum()}.png", image)
        save(tmp_path / "d" / "test" / str(label) / "x.png", image)

    one, two, three = (data.load("mnist", "train", tmp_path / root, offline=True) for root in "abc")
    four = data.load(f"folder:{tmp_path / 'd'}")
    for other in (two, three, four):
        assert other.fingerprint == one.fingerprint
        np.testing.assert_array_equal(other.images, one.images)
        np.testing.assert_array_equal(other.labels, one.labels)
    assert (one.images.dtype, one.labels.dtype, one.images.shape) == (np.uint8, np.int64, (20, 28, 28, 1))
    assert one.classes == DIGITS and not one.stand_in and one.masks is None and len(one) == 20
    assert one.counts.tolist() == [2] * 10
    # Every image kept its label.
    wanted = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    assert all(wanted[image.tobytes()] == label for image, label in zip(one.images, one.labels, strict=True))
    assert (
        data.load("mnist", "test", tmp_path / "a").fingerprint == data.load("mnist", "test", tmp_path / "c").fingerprint
    )


def test_fingerprint_sees_pixels_labels_and_classes(tmp_path):
    images, labels = pixels(4, 8, 8), np.array([0, 0, 1, 1])
    prints = set()
    for k, (names, x, y) in enumerate(
        [("ab", images, labels), ("ac", images, labels), ("ab", images, labels[::-1]), ("ab", images ^ 1, labels)]
    ):
        for i in range(4):
            save(tmp_path / str(k) / names[y[i]] / f"{i}.png", x[i])
        prints.add(data.load(str(tmp_path / str(k)), "all").fingerprint)
    assert len(prints) == 4


def test_size_resizes(tmp_path):
    mnist_pair(tmp_path)
    assert data.load("mnist", "train", tmp_path, size=32).images.shape == (20, 32, 32, 1)
    assert data.load("digits", "test", size=32).images.shape == (450, 32, 32, 1)
    same = data.load("mnist", "train", tmp_path, size=28)
    assert same.fingerprint == data.load("mnist", "train", tmp_path).fingerprint


def test_all_is_both_splits(tmp_path):
    mnist_pair(tmp_path)
    whole = data.load("mnist", "all", tmp_path)
    assert len(whole) == 30 and whole.counts.tolist() == [3] * 10


def test_hub_names_of_columns_and_order_of_classes(tmp_path):
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    images = pixels(10, 32, 32, 3)
    write_parquet(tmp_path / "cifar10/train-00000-of-00001.parquet", images, range(10), names[::-1], column="img")
    write_parquet(tmp_path / "cifar10/test-00000-of-00001.parquet", images, range(10), None)
    train, test = (data.load("cifar10", split, tmp_path) for split in ("train", "test"))
    assert train.classes == test.classes == names
    position = {image.tobytes(): i for i, image in enumerate(images)}
    assert all(label == 9 - position[image.tobytes()] for image, label in zip(train.images, train.labels, strict=True))


def test_cifar_batches_through_torchvision(tmp_path, monkeypatch):
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    images = pixels(60, 3, 32, 32)
    for k, file in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        batch = {"data": images[10 * k : 10 * k + 10].reshape(10, -1), "labels": list(range(10))}
        (folder / file).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    # Made-up batches have other checksums than the official ones: refused, and nothing is unpickled.
    with monkeypatch.context() as patch:
        patch.setattr(pickle, "load", lambda *_, **__: pytest.fail("unpickled an unchecked file"))
        with pytest.raises(UserError, match=r"cifar-10-batches-py: torchvision cannot read cifar10 .* damaged"):
            data.load("cifar10", "train", tmp_path, offline=True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    train = data.load("cifar10", "train", tmp_path, offline=True)
    assert train.images.shape == (50, 32, 32, 3) and train.classes == tuple(names)
    expected = {image.transpose(1, 2, 0).tobytes(): i % 10 for i, image in enumerate(images[:50])}
    assert all(expected[image.tobytes()] == label for image, label in zip(train.images, train.labels, strict=True))


def test_stl10_binary(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.stl10.check_integrity", lambda *_: True)
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    images = pixels(10, 96, 96, 3)
    for part in ("train", "test"):  # column-major, channels first, labels from 1; no unlabelled images needed
        (folder / f"{part}_X.bin").write_bytes(images.transpose(0, 3, 2, 1).tobytes())
        (folder / f"{part}_y.bin").write_bytes(np.arange(1, 11, dtype=np.uint8).tobytes())
    found = data.load("stl10", "train", tmp_path, offline=True)
    position = {image.tobytes(): i for i, image in enumerate(images)}
    assert [position[image.tobytes()] for image in found.images] == found.labels.tolist()
    assert found.classes[:3] == ("airplane", "bird", "car")


def test_imagenet_layout_is_cropped(tmp_path):
    image = np.zeros((100, 200, 3), dtype=np.uint8)
    image[:, 50:150] = 200  # the central square
    for part in ("train", "val"):
        for synset in ("n01", "n02"):
            save(tmp_path / "imagenet" / part / synset / "a.JPEG", image)
    found = data.load("imagenet", "test", tmp_path)
    assert found.images.shape == (2, 64, 64, 3) and found.classes == ("n01", "n02")
    assert (found.images[:, :, 1:-1] == 200).all()  # at the seam the filter sees both sides
    assert data.load("imagenet", "train", tmp_path, size=32).images.shape == (2, 32, 32, 3)


def test_imagenet_whose_validation_images_lie_in_one_folder(tmp_path):
    save(tmp_path / "imagenet" / "train" / "n01" / "a.JPEG", pixels(1, 64, 64, 3)[0])
    save(tmp_path / "imagenet" / "val" / "ILSVRC2012_val_00000001.JPEG", pixels(1, 64, 64, 3)[0])
    with pytest.raises(UserError, match=r"val: no class folders; move its images into one folder per synset"):
        data.load("imagenet", "test", tmp_path)


def test_tiny_imagenet_layout(tmp_path):
    base = tmp_path / "tiny-imagenet-200"
    for k, synset in enumerate(("n01", "n02")):
        save(base / "train" / synset / "images" / "a.JPEG", pixels(1, 64, 64, seed=k)[0])  # grey, as some are
        save(base / "val" / "images" / f"val_{k}.JPEG", pixels(1, 64, 64, 3, seed=k)[0])
    (base / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn02\t0\t0\t1\t1\nval_1.JPEG\tn01\t0\t0\t1\t1\n")
    assert data.load("tiny_imagenet", "train", tmp_path).images.shape == (2, 64, 64, 3)
    test = data.load("tiny_imagenet", "test", tmp_path)
    first = np.flatnonzero([(image == pixels(1, 64, 64, 3, seed=0)[0]).all() for image in test.images])
    assert test.labels[first].tolist() == [1]


def dagm(root, half="Train", listing=None, mask_side=64):
    folder = root / "dagm" / "Class3" / half
    save(folder / "0001.PNG", pixels(1, 64, 64)[0])
    save(folder / "0002.PNG", pixels(1, 64, 64, seed=1)[0])
    mask = np.zeros((mask_side, mask_side), dtype=np.uint8)
    mask[:32, :32] = 255
    save(folder / "Label" / "0002_label.PNG", mask)
    (folder / "Label" / "Labels.txt").write_text(
        listing or "1\n1\t0\t0001.PNG\t0\t0\n2\t1\t0002.PNG\t0\t0002_label.PNG\n"
    )


def test_dagm_layout(tmp_path):
    dagm(tmp_path, "Train")
    dagm(tmp_path, "Test")
    found = data.load("dagm_class3", "train", tmp_path, size=32)
    assert found.images.shape == (2, 32, 32, 1) and found.masks.shape == (2, 32, 32) and found.masks.dtype == bool
    assert found.classes == ("ok", "defect")
    assert [int(mask.sum()) for mask in found.masks[np.argsort(found.labels)]] == [0, 256]
    assert data.load("dagm_class3", "test", tmp_path).images.shape == (2, 256, 256, 1)


def test_dagm_beside_hidden_files(tmp_path):
    """Such as those that another system leaves in an archive beside each of its files."""
    for half in ("Train", "Test"):
        dagm(tmp_path, half)
        (tmp_path / "dagm" / "Class3" / half / "._0001.PNG").write_bytes(b"no picture")
    assert len(data.load("dagm_class3", "train", tmp_path).labels) == 2


def mura(root):
    base = root / "MURA-v1.1"
    for part in ("train", "valid"):
        studies, images = [], []
        for patient, outcome in enumerate(("negative", "positive")):
            study = f"MURA-v1.1/{part}/XR_WRIST/patient0000{patient}/study1_{outcome}"
            studies.append(f"{study}/,{patient}")
            for k in (1, 2):
                save(root / study / f"image{k}.png", np.full((30, 20), 50 + 100 * patient + k, dtype=np.uint8))
                images.append(f"{study}/image{k}.png")
        (base / f"{part}_image_paths.csv").write_text("\n".join(images) + "\n")
        (base / f"{part}_labeled_studies.csv").write_text("\n".join(studies) + "\n")


def test_mura_layout(tmp_path):
    mura(tmp_path)
    found = data.load("mura", "test", tmp_path, size=32)
    assert found.images.shape == (4, 32, 32, 1) and found.classes == ("normal", "abnormal")
    assert found.counts.tolist() == [2, 2]
    middle = found.images[:, 16, 16, 0]
    assert ((middle > 100) == found.labels).all()  # an image has its study's label
    assert (found.images[:, :, :4] == 0).all()  # padded, not stretched
    # A patient's images are one group; here the two patients are the two classes.
    assert len(set(zip(found.groups.tolist(), found.labels.tolist(), strict=True))) == 2


def test_masks_follow_their_images_and_one_part_is_halved(tmp_path):
    n = 12
    images = pixels(n, 40, 64)
    masks = [None if i % 2 == 0 else np.where(images[i] > 128, 255, 0).astype(np.uint8) for i in range(n)]
    for order, root in ((range(n), "a"), (range(n)[::-1], "b")):
        write_parquet(
            tmp_path / root / "dagm_class1" / "test-00000-of-00001.parquet",
            [images[i] for i in order],
            [i % 2 for i in order],
            ("ok", "defect"),
            [masks[i] for i in order],
        )
    whole, train, test = (
        data.load("dagm_class1", split, tmp_path / "a", size=64) for split in ("all", "train", "test")
    )
    assert whole.counts.tolist() == [6, 6] and train.counts.tolist() == test.counts.tolist() == [3, 3]
    for image, mask, label in zip(whole.images, whole.masks, whole.labels, strict=True):
        np.testing.assert_array_equal(mask, (image[..., 0] > 128) if label else np.zeros((64, 64), dtype=bool))
    together = sorted(image.tobytes() for part in (train, test) for image in part.images)
    assert together == sorted(image.tobytes() for image in whole.images)
    assert data.load("dagm_class1", "test", tmp_path / "b", size=64).fingerprint == test.fingerprint


def test_copies_of_an_image_stay_on_one_side(tmp_path):
    base = pixels(3, 8, 8)
    for i in range(30):
        save(tmp_path / "set" / "a" / f"{i}.png", base[i % 3])
        save(tmp_path / "set" / "b" / f"{i}.png", pixels(1, 8, 8, seed=i + 10)[0])
    train, test = (data.load(f"folder:{tmp_path / 'set'}", split) for split in ("train", "test"))
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}


def test_a_class_of_nothing_but_copies_cannot_be_cut(tmp_path):
    for i in range(3):
        save(tmp_path / "set" / "a" / f"{i}.png", pixels(1, 8, 8)[0])
        save(tmp_path / "set" / "b" / f"{i}.png", pixels(1, 8, 8, seed=i + 10)[0])
    assert data.load(f"folder:{tmp_path / 'set'}", "all").counts.tolist() == [3, 3]
    for split in ("train", "test"):
        with pytest.raises(UserError, match=r"class 'a' has only copies of one image \(3\).* two different ones"):
            data.load(f"folder:{tmp_path / 'set'}", split)
    save(tmp_path / "set" / "a" / "3.png", pixels(1, 8, 8, seed=1)[0])
    train, test = (data.load(f"folder:{tmp_path / 'set'}", split) for split in ("train", "test"))
    assert sorted([train.counts[0], test.counts[0]]) == [1, 3]


TILES = ("Free", "Blowhole", "Break", "Crack", "Fray", "Uneven")


def magnetic_tiles(base, exposures=2):
    """Two tiles a class, each under some exposures one after the other, as the set's repository has them."""
    for label, kind in enumerate(TILES):
        for tile in range(2):
            mask = np.zeros((40, 30), dtype=np.uint8)
            mask[: 5 * label, :10] = 255
            for k in range(exposures):
                frame, seed = 10_000 * (2 * label + tile) + 100 * k, 100 * label + 10 * tile + k
                name = base / f"MT_{kind}" / "Imgs" / f"exp{k + 1}_num_{frame}"
                save(name.with_suffix(".jpg"), pixels(1, 40, 30, seed=seed)[0])
                save(name.with_suffix(".png"), mask)


@pytest.mark.parametrize("folder", ["Magnetic-tile-defect-datasets.", "magnetic_tile", "."])
def test_magnetic_tiles_as_their_repository_has_them(tmp_path, folder):
    magnetic_tiles(tmp_path / folder)
    whole = data.load("magnetic_tile", "all", tmp_path, size=40)
    assert whole.classes == TILES and whole.counts.tolist() == [4] * 6
    assert whole.masks.sum(axis=(1, 2)).tolist() == [50 * label for label in whole.labels]
    train, test = (data.load("magnetic_tile", split, tmp_path, size=40) for split in ("train", "test"))
    assert train.counts.tolist() == test.counts.tolist() == [2] * 6
    tile = {image.tobytes(): group for image, group in zip(whole.images, whole.groups.tolist(), strict=True)}
    sides = [{tile[image.tobytes()] for image in part.images} for part in (train, test)]
    assert [len(side) for side in sides] == [6, 6] and not sides[0] & sides[1], "a tile is on one side"


def test_magnetic_tiles_in_parquet_and_in_folders_are_the_same(tmp_path):
    magnetic_tiles(tmp_path / "a")
    found = sorted((tmp_path / "a").rglob("*.jpg"))
    kinds = ("Uneven", *TILES[:-1])  # a file's own order of classes
    write_parquet(
        tmp_path / "b" / "magnetic_tile" / "train-00000-of-00001.parquet",
        [path.read_bytes() for path in found],
        [kinds.index(path.parts[-3].removeprefix("MT_")) for path in found],
        kinds,
        [path.with_suffix(".png").read_bytes() for path in found],
        paths=[path.name for path in found],
    )
    for split in ("all", "train", "test"):
        folders, parquet = (data.load("magnetic_tile", split, tmp_path / root, size=40) for root in "ab")
        assert folders.fingerprint == parquet.fingerprint
        np.testing.assert_array_equal(folders.masks, parquet.masks)


def test_magnetic_tiles_that_are_not_all_there(tmp_path):
    magnetic_tiles(tmp_path)
    for path in (tmp_path / "MT_Fray" / "Imgs").glob("*.jpg"):
        path.unlink()
    with pytest.raises(UserError, match=r"MT_Fray/Imgs: no .jpg files"):
        data.load("magnetic_tile", "all", tmp_path)
    shutil.rmtree(tmp_path / "MT_Fray")
    with pytest.raises(UserError, match=r"MT_Fray/Imgs: no such folder; .* Free, Blowhole, Break, Crack, Fray, Uneven"):
        data.load("magnetic_tile", "all", tmp_path)


def test_a_tile_is_a_run_of_frames_or_photographed_again_later():
    frames = [8676, 9076, 9477, 10642]  # gaps of 400, 401 and more; 10642 shows the tile of 8676 once more
    paths = [*(f"a/exp1_num_{frame}.jpg" for frame in frames), "x.jpg"]
    assert splitting.tiles(paths) == ["tile 0", "tile 0", "tile 1", "tile 0", "image 4"]


def test_groups_of_rare_classes_choose_their_side_first():
    """Two of class 1: group 1, with six of class 0 beside it, takes one to training, group 2 the other to the test."""
    labels, groups = np.array([0, 0, 0, 1, 0, 0, 0, 0, 0, 1]), np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 2])
    assert splitting.train_part(None, labels, groups, 0.5).tolist() == [group == 1 for group in groups]


def test_photographs_of_a_tile_stay_on_one_side(tmp_path):
    classes = ("Free", "Blowhole", "Break", "Crack", "Fray", "Uneven")
    frames, labels = [], []
    for tile in range(24):  # four tiles of each class, six exposures each, the next tile after a pause
        frames += [f"exp{exposure}_num_{2000 * tile + 20 * exposure}.jpg" for exposure in range(1, 7)]
        labels += [tile % 6] * 5 + [0]  # on one exposure the defect cannot be seen
    order = np.random.default_rng(0).permutation(len(frames))
    images = pixels(len(frames), 8, 8)
    write_parquet(
        tmp_path / "magnetic_tile" / "train-00000-of-00001.parquet",
        [images[i] for i in order],
        [labels[i] for i in order],
        classes,
        paths=[frames[i] for i in order],
    )
    tile_of = {image.tobytes(): i // 6 for i, image in enumerate(images)}
    train, test = (data.load("magnetic_tile", split, tmp_path, size=8) for split in ("train", "test"))
    ours, theirs = ([tile_of[image.tobytes()] for image in part.images] for part in (train, test))
    assert not set(ours) & set(theirs) and len(set(ours)) == len(set(theirs)) == 12
    assert train.counts.tolist() == test.counts.tolist()
    assert len(set(zip(train.groups.tolist(), ours, strict=True))) == 12


def test_folder_without_split(tmp_path):
    for i in range(20):
        save(tmp_path / "set" / "cat" / "deep" / f"{i}.png", pixels(1, 10, 12, 3, seed=i)[0])
        save(tmp_path / "set" / "dog" / f"{i}.PNG", pixels(1, 10, 12, seed=i)[0])
    (tmp_path / "set" / "cat" / "notes.txt").write_text("not an image, and not called one")
    (tmp_path / "set" / ".ipynb_checkpoints").mkdir()
    train, test = (data.load(str(tmp_path / "set"), split) for split in ("train", "test"))
    assert train.classes == ("cat", "dog") and train.name == "folder:set"
    assert train.counts.tolist() == [16, 16] and test.counts.tolist() == [4, 4]
    assert train.images.shape == (32, 10, 12, 3)
    assert data.load(str(tmp_path / "set"), size=16).images.shape == (32, 16, 16, 3)


def test_an_image_that_stands_in_two_classes_is_on_one_side(tmp_path):
    """Five of twenty stand in both classes, and cutting each class for itself parts one or more (seeds 2, 4, 6)."""
    images = pixels(35, 6, 6, seed=2)
    for name, first in (("cat", 0), ("dog", 15)):
        for i in range(first, first + 20):
            save(tmp_path / "set" / name / f"{i}.png", images[i])
    train, test = (data.load(str(tmp_path / "set"), split) for split in ("train", "test"))
    ours, theirs = ({image.tobytes() for image in part.images} for part in (train, test))
    assert not ours & theirs and len(ours | theirs) == 35
    assert train.counts.tolist() == [16, 15] and test.counts.tolist() == [4, 5]  # four in five, as nearly as they can


# ---- cache -----------------------------------------------------------------------------------------------------------


def test_second_load_does_not_decode(tmp_path, monkeypatch):
    mnist_pair(tmp_path)
    first = data.load("mnist", "train", tmp_path)
    monkeypatch.setattr(datacache, "decode", lambda *_: pytest.fail("decoded again"))
    second = data.load("mnist", "train", tmp_path)
    np.testing.assert_array_equal(first.images, second.images)
    assert first.fingerprint == second.fingerprint
    with pytest.raises(ValueError, match="read-only"):
        second.images[0] = 0


def test_changed_source_is_decoded_again(tmp_path):
    mnist_pair(tmp_path)
    first = data.load("mnist", "train", tmp_path).fingerprint
    mnist_parquet(tmp_path, pixels(20, 28, 28, seed=9), np.arange(20) % 10)
    assert data.load("mnist", "train", tmp_path).fingerprint != first


def test_a_changed_source_replaces_what_was_decoded_before(tmp_path, cache):
    mnist_pair(tmp_path)
    before = data.load("mnist", "train", tmp_path)
    data.load("mnist", "test", tmp_path)
    data.load("mnist", "train", tmp_path, size=8)
    kept = sorted(path.name for path in cache.glob("data/*"))
    pixel = before.images[0, 0, 0].copy()
    mnist_parquet(tmp_path, pixels(20, 28, 28, seed=9), np.arange(20) % 10)
    data.load("mnist", "train", tmp_path)
    now = sorted(path.name for path in cache.glob("data/*"))
    assert len(now) == len(kept) == 3 and len(set(now) & set(kept)) == 2
    np.testing.assert_array_equal(before.images[0, 0, 0], pixel)  # who still reads it is not disturbed


@pytest.mark.parametrize("file", ["images.npy", "labels.npz", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "gone"])
def test_damaged_cache_is_rebuilt(tmp_path, cache, file, damage):
    mnist_pair(tmp_path)
    good = data.load("mnist", "train", tmp_path).fingerprint
    (path,) = cache.glob(f"data/mnist-train-*/{file}")
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"\x80garbage" * 20)
    again = data.load("mnist", "train", tmp_path)
    assert again.fingerprint == good and len(again.labels) == 20
    assert not list(cache.glob("data/.*"))  # nothing left lying about


def test_failed_build_leaves_nothing(tmp_path, cache):
    mnist_pair(tmp_path)
    mnist_parquet(tmp_path, [b"no image"], [0])
    with pytest.raises(UserError):
        data.load("mnist", "train", tmp_path)
    assert not list((cache / "data").iterdir())


# ---- errors ----------------------------------------------------------------------------------------------------------

ONE = pixels(10, 28, 28)


def broken_parquet(change):
    def make(root):
        mnist_pair(root)
        change(root)

    return make


def truncate(root):
    path = root / "mnist" / "train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])


def scramble(root):
    path = root / "mnist" / "train-00000-of-00001.parquet"
    content = bytearray(path.read_bytes())
    content[4:3000] = bytes(2996)
    path.write_bytes(content)


def lose_a_shard(root):
    path = root / "mnist" / "train-00000-of-00001.parquet"
    path.rename(path.with_name("train-00001-of-00002.parquet"))


def train(*args, **options):
    return broken_parquet(lambda root: mnist_parquet(root, *args, **options))


WIDE = png(np.zeros((28, 30), dtype=np.uint8))
DEEP = np.zeros((28, 28), dtype=np.uint16)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (broken_parquet(truncate), r"train-00000-of-00001.parquet: not a readable parquet file \(.*\); copy it again"),
        (broken_parquet(scramble), r"train-00000-of-00001.parquet: damaged after row 0 \(.*\); copy it again"),
        (broken_parquet(lose_a_shard), r"shard 0 of 2 is missing beside train-00001-of-00002.parquet"),
        (train([*ONE[:9], b"no image"], range(10)), r"parquet row 9: not an image that can be decoded \(unknown"),
        (
            train([*ONE[:9], png(ONE[9])[:-300]], range(10)),
            r"parquet row 9: not an image that can be decoded \(.*trunc",
        ),
        (train([*ONE[:9], None], range(10)), r"parquet row 9: image is missing"),
        (train([*ONE[:9], WIDE], range(10)), r"parquet row 9: image is 28 x 30, expected 28 x 28"),
        (train([*ONE[:9], DEEP], range(10)), r"parquet row 9: image has mode I;16 \(more than 8 bits"),
        (train(ONE, [*range(9), 10]), r"parquet row 9: label is 10, expected 0 to 9"),
        (train(ONE, [*range(9), -1]), r"parquet row 9: label is -1, expected 0 to 9"),
        (train(ONE, [*range(9), None]), r"parquet row 9: label is missing"),
        (train(ONE, np.arange(10.0), label_type=pa.float64()), r"column label is double; expected integers"),
        (train(ONE, range(10), names="target"), r"columns are image, target; expected image and label"),
        (train(ONE, range(10), classes=list("abcdefghij")), r"classes are a, b, c, d, e, \.\.\. \(10\), expected 0, 1"),
        (train([], []), r"mnist: the train set is empty"),
        (train(ONE[:9], range(9)), r"mnist: class without images in the train set: '9'"),
    ],
)
def test_bad_parquet(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        data.load("mnist", "train", tmp_path, offline=True)
    assert "\n" not in str(caught.value)


def test_half_a_set_is_not_split(tmp_path):
    mnist_parquet(tmp_path, ONE, range(10))
    with pytest.raises(UserError, match=r"mnist: only one of train-\*.parquet and test-\*.parquet"):
        data.load("mnist", "train", tmp_path)


def test_no_class_names(tmp_path):
    for split in ("train", "test"):
        path = tmp_path / "tiny_imagenet" / f"{split}-00000-of-00001.parquet"
        write_parquet(path, pixels(2, 64, 64, 3), [0, 1], None)
    with pytest.raises(UserError, match="no class names in the schema's 'huggingface' metadata"):
        data.load("tiny_imagenet", "train", tmp_path)


def test_mask_of_another_size(tmp_path):
    write_parquet(
        tmp_path / "magnetic_tile" / "train-00000-of-00001.parquet",
        pixels(6, 20, 30),
        range(6),
        ("Free", "Blowhole", "Break", "Crack", "Fray", "Uneven"),
        [None] * 5 + [np.zeros((20, 20), dtype=np.uint8)],
    )
    with pytest.raises(UserError, match="parquet row 5: mask is 20 x 20, its image 20 x 30"):
        data.load("magnetic_tile", "all", tmp_path)


@pytest.mark.parametrize("limit", [500, 50])  # PIL warns at once and refuses at twice its limit
def test_image_bomb_is_refused(tmp_path, monkeypatch, limit):
    mnist_pair(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(UserError, match=f"parquet row 0: image refused, more than {limit} pixels"):
        data.load("mnist", "train", tmp_path)


def folder_tree(root, change):
    for part in ("train", "test"):
        for name in ("a", "b"):
            for i in range(2):
                save(root / "set" / part / name / f"{i}.png", pixels(1, 8, 8, seed=i)[0])
    change(root / "set")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "train/a/0.png").write_bytes(b"text"), r"train/a/0.png: not an image that can be decoded"),
        (
            lambda f: save(f / "train/b/1.png", pixels(1, 8, 9)[0]),
            r"b/1.png: image is 8 x 9, the first one 8 x 8; pass a",
        ),
        (
            lambda f: save(f / "train/c/0.png", pixels(1, 8, 8)[0]),
            r"set: class folder 'c' is in only one of train/ and test/",
        ),
        (lambda f: [p.unlink() for p in (f / "train/b").iterdir()], r"train/b: a class without images; put some"),
    ],
)
def test_bad_folder(tmp_path, change, message):
    folder_tree(tmp_path, change)
    with pytest.raises(UserError, match=message):
        data.load(f"folder:{tmp_path / 'set'}", "train")


@pytest.mark.parametrize(("first", "second"), [("Train", "Test"), ("TRAIN", "VAL"), ("train", "Validation")])
def test_parts_of_a_folder_are_known_however_they_are_written(tmp_path, first, second):
    for part in (first, second):
        for i, name in enumerate("ab"):
            save(tmp_path / "set" / part / name / "0.png", pixels(1, 8, 8, seed=i + (part == second) * 5)[0])
    images = data.load(f"folder:{tmp_path / 'set'}", "test")
    assert images.classes == ("a", "b") and len(images.labels) == 2


def test_an_unknown_part_beside_train_is_no_class(tmp_path):
    for part in ("train", "testing"):
        for name in "ab":
            for i in range(2):
                save(tmp_path / "set" / part / name / f"{i}.png", pixels(1, 8, 8, seed=i)[0])
    with pytest.raises(UserError, match=r"train/ and testing/ hold the same class folders, .* rename testing/ to test"):
        data.load(f"folder:{tmp_path / 'set'}")


def test_a_class_called_train_beside_others_stays_one(tmp_path):
    for part in ("train/express", "train/freight", "plane/jet", "plane/glider"):
        save(tmp_path / "set" / part / "0.png", pixels(1, 8, 8, seed=len(part))[0])
    assert data.load(f"folder:{tmp_path / 'set'}", "all").classes == ("plane", "train")


def test_a_part_that_is_not_read_is_named(tmp_path, capsys):
    for k, part in enumerate(("train", "test", "val")):
        for i, name in enumerate("ab"):
            save(tmp_path / "set" / part / name / "0.png", pixels(1, 8, 8, seed=10 * k + i)[0])
    for _ in range(2):
        assert len(data.load(f"folder:{tmp_path / 'set'}", "all")) == 4
    assert capsys.readouterr().err == f"note: {tmp_path}/set: val/ beside train/ and test/ left out\n"


def test_files_that_are_in_both_parts_are_counted(tmp_path, capsys):
    for part in ("train", "test"):
        for i, name in enumerate("ab"):
            save(tmp_path / "set" / part / name / f"{part}.png", pixels(1, 8, 8, seed=i)[0])
            save(tmp_path / "set" / part / name / "own.png", pixels(1, 8, 8, seed=len(part) * 10 + i)[0])
    data.load(f"folder:{tmp_path / 'set'}", "test")
    assert capsys.readouterr().err == ""
    for split in ("train", "all"):
        data.load(f"folder:{tmp_path / 'set'}", split)
    assert capsys.readouterr().err == (
        f"note: {tmp_path}/set: test images that are in the training part too, byte by byte: 2 of 4, such as "
        "test/a/test.png\n"
    )


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("nowhere"), os.mkfifo])
def test_looking_for_files_in_both_parts_does_not_stop_at_odd_ones(tmp_path, make):
    """The part that holds it refuses it."""
    folder_tree(tmp_path, lambda folder: make(folder / "test" / "a" / "odd.png"))
    assert len(data.load(f"folder:{tmp_path / 'set'}", "train")) == 4
    with pytest.raises(UserError, match=r"test/a/odd.png"):
        data.load(f"folder:{tmp_path / 'set'}", "test")


def test_images_beside_the_classes_are_counted(tmp_path, capsys):
    for k, part in enumerate(("train", "test")):
        for i, name in enumerate("ab"):
            save(tmp_path / "set" / part / name / "0.png", pixels(1, 8, 8, seed=10 * k + i)[0])
    save(tmp_path / "set" / "train" / "x.png", pixels(1, 8, 8)[0])
    for name in ("y.JPG", "z.png", "notes.txt", ".hidden.png"):
        (tmp_path / "set" / name).write_bytes(b"")
    data.load(f"folder:{tmp_path / 'set'}")
    said = "note: {}: images beside the class folders left out: {}\n".format
    assert capsys.readouterr().err == said(f"{tmp_path}/set/train", "1, such as x.png") + said(
        f"{tmp_path}/set", "2, such as y.JPG"
    )


@pytest.mark.parametrize("divided", [False, True])
def test_what_other_programs_leave_is_no_class(tmp_path, capsys, divided):
    for k, part in enumerate(("train", "test") if divided else ("",)):
        for i, name in enumerate("ab"):
            for n in range(2):
                save(tmp_path / "set" / part / name / f"{n}.png", pixels(1, 8, 8, seed=10 * k + 5 * i + n)[0])
        for name in ("__MACOSX", ".thumbnails", "a/__MACOSX"):
            save(tmp_path / "set" / part / name / "0.png", pixels(1, 8, 8)[0])
    save(tmp_path / "set" / "__MACOSX" / "train" / "._0.png", pixels(1, 8, 8)[0])
    images = data.load(f"folder:{tmp_path / 'set'}", "all")
    assert images.classes == ("a", "b") and len(images) == (8 if divided else 4) and capsys.readouterr().err == ""


def test_files_that_are_not_read_are_counted(tmp_path, capsys):
    for name, n in (("a", 4), ("b", 3)):
        for i in range(n):
            save(tmp_path / "set" / name / f"{i}.png", pixels(1, 8, 8, seed=i)[0])
    for name in ("3.gif", "4.GIF", "5", "notes.txt", ".hidden.gif"):
        (tmp_path / "set" / "b" / name).write_bytes(b"")
    said = r"note: .*set: 3 of 10 files left out \(2 .gif, 1 no ending; images are files that end in .jpg, .*others\)\n"
    for split in data.SPLITS:  # once, and one line of it
        assert data.load(f"folder:{tmp_path / 'set'}", split).classes == ("a", "b")
    assert re.fullmatch(said, capsys.readouterr().err)
    assert data.load(f"folder:{tmp_path / 'set'}", "all").counts.tolist() == [4, 3]
    for path in (tmp_path / "set" / "b").glob("*.png"):
        path.unlink()
    with pytest.raises(UserError, match=r"set/b: none of its 4 files is read \(2 .gif, 1 no ending, 1 .txt; images"):
        data.load(f"folder:{tmp_path / 'set'}", "all")


def test_folder_without_classes(tmp_path):
    (tmp_path / "set").mkdir()
    save(tmp_path / "set" / "a.png", pixels(1, 8, 8)[0])
    with pytest.raises(UserError, match="set: no class folders; expected one subfolder of images per class"):
        data.load(f"folder:{tmp_path / 'set'}")
    for name, state in (("gone.zip", "does not exist"), ("set/a.png", "is a file")):
        with pytest.raises(UserError, match=f"{name}: {state}; expected a folder with one subfolder of images"):
            data.load(f"folder:{tmp_path / name}")


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        ("1\n1 0 0001.PNG 0\n", r"Labels.txt line 2: '1 0 0001.PNG 0' is not 'number 0\|1 image 0 mask\|0'"),
        ("1\n\n1 0 0001.PNG 0\n", r"Labels.txt line 3: '1 0 0001.PNG 0'"),  # as an editor counts
        ("1\n1 0 0001.PNG 0 0\n", r"Labels.txt: no line for 0002.PNG, an image of .*Train; add its label or remove it"),
        ("1\n1 0 0009.PNG 0 0\n", r"Labels.txt line 2: .*0009.PNG is listed but not there"),
        ("1\n1 0 ../../x.PNG 0 0\n", r"Labels.txt line 2: '../../x.PNG' points outside"),
    ],
)
def test_bad_dagm_list(tmp_path, listing, message):
    dagm(tmp_path, "Train", listing)
    dagm(tmp_path, "Test")
    with pytest.raises(UserError, match=message):
        data.load("dagm_class3", "train", tmp_path)


def test_missing_label_lists(tmp_path):
    dagm(tmp_path, "Train")
    dagm(tmp_path, "Test")
    listing = tmp_path / "dagm" / "Class3" / "Test" / "Label" / "Labels.txt"
    listing.unlink()
    with pytest.raises(UserError, match=r"Test/Label/Labels.txt: no such file; DAGM's labels are read from it"):
        data.load("dagm_class3", "test", tmp_path)
    mura(tmp_path)
    (tmp_path / "MURA-v1.1" / "valid_labeled_studies.csv").unlink()
    with pytest.raises(UserError, match=r"valid_labeled_studies.csv: no such file; MURA's labels"):
        data.load("mura", "test", tmp_path)


def test_dagm_mask_of_another_size(tmp_path):
    dagm(tmp_path, "Train", mask_side=32)
    dagm(tmp_path, "Test")
    with pytest.raises(UserError, match=r"0002.PNG: mask is 32 x 32, its image 64 x 64"):
        data.load("dagm_class3", "train", tmp_path)


def test_bad_mura_list(tmp_path):
    mura(tmp_path)
    path = tmp_path / "MURA-v1.1" / "train_labeled_studies.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(UserError, match=r"train_image_paths.csv line 3: study '.*study1_positive' has no label"):
        data.load("mura", "train", tmp_path)


def test_cut_mnist_raw(tmp_path):
    mnist_raw(tmp_path, ONE, range(10), ONE, range(10))
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"raw: torchvision cannot read mnist \(.*\); a file is damaged or cut short"):
        data.load("mnist", "train", tmp_path, offline=True)


def test_missing_set_says_where_and_how(tmp_path):
    with pytest.raises(UserError) as caught:
        data.load("mnist", "train", tmp_path, offline=True)
    for part in (f"{tmp_path}/mnist/", "MNIST/raw", "Copy", "--offline", "--data or IMBALANCE_DATA"):
        assert part in str(caught.value)
    with pytest.raises(UserError, match=r"imagenet: not found; .* get it from image-net.org"):
        data.load("imagenet", "train", tmp_path)


def test_failed_download(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", refuse)
    with pytest.raises(UserError, match=r"mnist: torchvision's download to .* failed"):
        data.load("mnist", "train", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(name="cifar11"), "unknown data set 'cifar11'; did you mean 'cifar10'"),
        (dict(name="xyzzy"), "unknown data set 'xyzzy'; there are digits, shapes, textures, mnist"),
        (dict(name="digits", split="val"), "split 'val' is not one of train, test, all"),
        (dict(name="digits", size=0), "size 0 is not a whole number of pixels"),
        (dict(name="digits", size=28.5), "size 28.5 is not a whole number of pixels"),
        (dict(name="digits", size=True), "size True is not a whole number of pixels"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(UserError, match=message):
        data.load(**arguments)


# ---- real data -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not (REAL and (Path(REAL) / "mnist").is_dir()), reason="IMBALANCE_DATA has no mnist")
def test_real_mnist(monkeypatch):
    if REAL_CACHE:
        monkeypatch.setenv("IMBALANCE_CACHE", REAL_CACHE)
    else:
        monkeypatch.delenv("IMBALANCE_CACHE")
    assert paths.cache_root().is_absolute()
    train, test = (data.load("mnist", split, REAL, offline=True) for split in ("train", "test"))
    assert train.counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test.counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # Lossless, so these hold for any complete copy of MNIST.
    assert train.fingerprint.startswith("3983f10f03de") and test.fingerprint.startswith("047d2cb4fd8e")
