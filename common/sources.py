"""Parquet files in the Hugging Face image layout, and what torchvision keeps under a root.

A finder lists files and returns the splits it found, ``{"train": Source, "test": Source}``, or ``{"all": Source}`` for
a set of which only one part is there, or ``{}``. Nothing is opened until the source is read. Folders are in
`image_folders` and `layouts`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from common.datacache import Rows, Source
from common.decoding import Row
from common.errors import UserError, reason

TEST_NAMES = ("test", "validation", "valid", "val")  # the first one present is the test split
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})")
# The hub's own copies of CIFAR call the columns differently.
_IMAGE_COLUMNS = ("image", "img")
_LABEL_COLUMNS = ("label", "fine_label")


# ---- parquet ---------------------------------------------------------------------------------------------------------


def find_parquet(
    folder: Path, classes: tuple[str, ...] | None, grouping: Callable[[list[str]], list[str]] | None = None
) -> dict[str, Source]:
    """Splits of `folder` from ``{train,test}-*.parquet``.

    Parameters
    ----------
    folder : Path
        ``<root>/<name>``.
    classes : tuple of str or None
        Official class names. Labels are mapped to this order by name where the file says its names. None: the file's.
    grouping : callable, optional
        From the original file names of all rows to the names of their groups.
    """
    found = {}
    for split, names in (("train", ("train",)), ("test", TEST_NAMES)):
        for prefix in names:
            files = sorted(folder.glob(f"{prefix}-*.parquet"))
            if files:
                _check_shards(files)
                found[split] = Source(
                    tuple(map(str, files)),
                    lambda files=tuple(files): _read_parquet(files, classes, grouping),
                    version=json.dumps(classes) + (" grouped 1" if grouping else ""),
                )
                break
    return {"all": next(iter(found.values()))} if len(found) == 1 else found


def _check_shards(files: list[Path]) -> None:
    """Half of a set looks like a whole one; the shard numbers tell."""
    shards = [match.groups() for file in files if (match := _SHARD.search(file.name))]
    if not shards:
        return
    totals = {int(total) for _, total in shards}
    missing = sorted(set(range(max(totals))) - {int(number) for number, _ in shards})
    if len(totals) > 1:
        raise UserError(f"{files[0].parent}: shards of different sets together ({files[0].name}, {files[-1].name})")
    if missing:
        raise UserError(f"{files[0].parent}: shard {missing[0]} of {max(totals)} is missing beside {files[0].name}")


def _read_parquet(files: tuple[Path, ...], classes: tuple[str, ...] | None, grouping: Callable | None) -> Rows:
    opened = [_open_parquet(file) for file in files]
    image, label, has_mask = _columns(files[0], opened[0])
    names = _class_names(files[0], opened[0], label)
    if names is None and classes is None:
        raise UserError(f"{files[0]}: no class names in the schema's 'huggingface' metadata")
    order = None
    if names is not None and classes is not None and names != classes:
        if sorted(names) != sorted(classes):
            raise UserError(f"{files[0]}: classes are {_short(names)}, expected {_short(classes)}")
        order = [classes.index(name) for name in names]
    classes = classes or names
    masks = "mask" if has_mask else None
    groups = grouping(_original_names(files, image)) if grouping else None
    rows = _ParquetRows(files, image, label, masks, len(classes), order, groups)
    return Rows(classes, sum(file.metadata.num_rows for file in opened), rows, has_mask)


def _open_parquet(file: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file}: not a readable parquet file ({reason(error)}); copy it again") from None


def _original_names(files: tuple[Path, ...], image: str) -> list[str]:
    tables = [_open_parquet(file).read([f"{image}.path"], use_threads=False) for file in files]
    return [(row and row["path"]) or "" for table in tables for row in table[image].to_pylist()]


def _columns(file: Path, opened) -> tuple[str, str, bool]:
    """Names of the image and label columns, and whether there are masks; their types are checked."""
    import pyarrow as pa

    schema = opened.schema_arrow
    image = next((name for name in _IMAGE_COLUMNS if name in schema.names), None)
    label = next((name for name in _LABEL_COLUMNS if name in schema.names), None)
    if image is None or label is None:
        raise UserError(f"{file}: columns are {', '.join(schema.names)}; expected image and label")
    for column in [image, "mask"] if "mask" in schema.names else [image]:
        kind = schema.field(column).type
        if not (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):
            raise UserError(f"{file}: column {column} is {kind}; expected struct<bytes: binary, path: string>")
    if not pa.types.is_integer(schema.field(label).type):
        raise UserError(f"{file}: column {label} is {schema.field(label).type}; expected integers")
    return image, label, "mask" in schema.names


def _class_names(file: Path, opened, label: str) -> tuple[str, ...] | None:
    metadata = (opened.schema_arrow.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    try:
        names = json.loads(metadata)["info"]["features"][label].get("names")
        return None if names is None else tuple(str(name) for name in names)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{file}: the schema's 'huggingface' metadata cannot be read") from None


class _ParquetRows:
    """Rows of some shards, iterable again and again, a batch in memory at a time."""

    def __init__(self, files, image, label, mask, n_classes, order, groups):
        self.files, self.image, self.label, self.mask = files, image, label, mask
        self.n_classes, self.order, self.groups = n_classes, order, groups

    def __iter__(self) -> Iterator[Row]:
        import pyarrow as pa

        columns = [self.image, self.label] + ([self.mask] if self.mask else [])
        groups = itertools.repeat("") if self.groups is None else iter(self.groups)
        for file in self.files:
            row = 0
            try:
                for batch in _open_parquet(file).iter_batches(256, columns=columns, use_threads=False):
                    for record in batch.to_pylist():
                        yield self._row(record, f"{file} row {row}")._replace(group=next(groups))
                        row += 1
            except (pa.ArrowException, OSError) as error:
                raise UserError(f"{file}: damaged after row {row} ({reason(error)}); copy it again") from None

    def _row(self, record: dict, where: str) -> Row:
        label = record[self.label]
        if label is None:
            raise UserError(f"{where}: label is missing")
        if not 0 <= label < self.n_classes:
            raise UserError(f"{where}: label is {label}, expected 0 to {self.n_classes - 1}")
        image = record[self.image]
        if not image or image["bytes"] is None:
            raise UserError(f"{where}: image is missing (its bytes must be inside the file)")
        mask = record[self.mask] if self.mask else None
        return Row(
            where,
            image["bytes"],
            label if self.order is None else self.order[label],
            mask["bytes"] if mask else None,
        )


def _short(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f", ... ({len(names)})" if len(names) > 5 else "")


# ---- torchvision -----------------------------------------------------------------------------------------------------

# name -> torchvision's class, its folder, files of train, of test, and of both
TORCHVISION = {
    "mnist": (
        "MNIST",
        "MNIST/raw",
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        (),
    ),
    "cifar10": (
        "CIFAR10",
        "cifar-10-batches-py",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        ("test_batch",),
        ("batches.meta",),
    ),
    "cifar100": ("CIFAR100", "cifar-100-python", ("train",), ("test",), ("meta",)),
    "stl10": ("STL10", "stl10_binary", ("train_X.bin", "train_y.bin"), ("test_X.bin", "test_y.bin"), ()),
}


def find_torchvision(root: Path, name: str, classes: tuple[str, ...]) -> dict[str, Source]:
    """Splits of `name` from the files torchvision unpacks, under `root` or ``root/name``.

    torchvision reads a split only when the files of both are there, so both are asked for.
    """
    if name not in TORCHVISION:
        return {}
    _, folder, train, test, common = TORCHVISION[name]
    for base in (root, root / name):
        files = [base / folder / file for file in (*train, *test, *common)]
        if all(file.is_file() for file in files):
            return {
                split: Source(
                    tuple(str(base / folder / file) for file in (*own, *common)),
                    lambda base=base, split=split: _read_torchvision(base, name, split, classes),
                )
                for split, own in (("train", train), ("test", test))
            }
    return {}


def download_torchvision(root: Path, name: str) -> None:
    """Let torchvision download `name` below `root` and check its md5 sums."""
    print(f"{name}: not found under {root}; downloading with torchvision", flush=True)
    try:
        root.mkdir(parents=True, exist_ok=True)
        _open_torchvision(root, name, "train", download=True)
    except (OSError, RuntimeError) as error:  # URLError is an OSError
        raise UserError(f"{name}: torchvision's download to {root} failed ({reason(error)})") from None


def _open_torchvision(base: Path, name: str, split: str, download: bool = False):
    from torchvision import datasets

    if name != "stl10":
        return getattr(datasets, TORCHVISION[name][0])(base, train=split == "train", download=download)

    class LabelledSTL10(datasets.STL10):
        """STL-10 without the check of the 2.7 GB of unlabelled images, which nothing here reads."""

        train_list = datasets.STL10.train_list[:2]

    return LabelledSTL10(base, split=split, download=download)


def _read_torchvision(base: Path, name: str, split: str, classes: tuple[str, ...]) -> Rows:
    folder = base / TORCHVISION[name][1]
    try:
        dataset = _open_torchvision(base, name, split)
    except Exception as error:  # checksums, short files, assertions: torchvision has no error type of its own
        raise UserError(
            f"{folder}: torchvision cannot read {name} ({reason(error)}); "
            "a file is damaged or cut short: delete the folder and download or copy it again"
        ) from None
    images = np.asarray(dataset.data)
    labels = np.asarray(dataset.labels if name == "stl10" else dataset.targets).astype(np.int64)
    if name == "mnist":
        images = images[..., None]
    elif name == "stl10":
        images = images.transpose(0, 2, 3, 1)
    if len(images) != len(labels):
        raise UserError(f"{folder}: {len(images)} images but {len(labels)} labels in the {split} set")
    if len(labels) and not (0 <= labels.min() and labels.max() < len(classes)):
        row = int(np.flatnonzero((labels < 0) | (labels >= len(classes)))[0])
        raise UserError(f"{folder} {split} row {row}: label is {labels[row]}, expected 0 to {len(classes) - 1}")
    # Official class names can be listed in the files too, but in torchvision's spelling ("0 - zero").
    return Rows(
        classes, len(images), [Row(f"{folder} {split} row {i}", images[i], int(labels[i])) for i in range(len(images))]
    )
