"""Images and labels of every data set of the project, through one function: `load`.

>>> train = load("mnist", "train")            # uint8 60000 x 28 x 28 x 1, int64 labels, class names, a fingerprint
>>> mine = load("folder:photos", "test", size=64)

A set is decoded once into a memory-mapped cache (`paths.cache_root`), sorted into an order that depends on the images
alone. So the same images give the same fingerprint and the same results, whatever layout they came from.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from common import image_folders, paths, sources, splitting
from common.catalogue import EMBEDDED, SETS, names
from common.datacache import Rows, Source, fetch, files_digest
from common.decoding import Fit, Row
from common.errors import UserError, unknown

SPLITS = ("train", "test", "all")


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """One split of one data set.

    Attributes
    ----------
    name, split : str
        As asked for; a user's folder is called ``folder:<its last part>``.
    images : numpy.ndarray
        uint8, N x H x W x C (C = 1 or 3). A read-only memory map: copy before writing, or before `torch.from_numpy`.
    labels : numpy.ndarray
        int64, N; indices into `classes`.
    classes : tuple of str
        Official class names in official order.
    fingerprint : str
        Hexadecimal sha256 over shape, class names, labels and pixels in canonical order.
    stand_in : bool
        True for the embedded sets: what is measured on them compares with no paper.
    masks : numpy.ndarray or None
        bool, N x H x W, True where the defect is; None for sets without masks.
    groups : numpy.ndarray or None
        int64, N: images with one number show one tile (`magnetic_tile`) or patient (`mura`) and belong on one side of
        any further split; None where nothing is known.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    fingerprint: str
    stand_in: bool = False
    masks: np.ndarray | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.images.shape))
        return f"Images({self.name} {self.split}: {shape}, {len(self.classes)} classes, {self.fingerprint[:12]})"

    @cached_property
    def counts(self) -> np.ndarray:
        """Images per class, int64, in the order of `classes`; read-only, for thousands of cells are checked by it."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        counts.setflags(write=False)
        return counts


def load(
    name: str,
    split: str = "train",
    root: str | os.PathLike | None = None,
    *,
    size: int | None = None,
    offline: bool = False,
) -> Images:
    """One split of a data set, decoded, in canonical order.

    Looked for in this order: ``<root>/<name>/{train,test}-*.parquet`` (Hugging Face image layout), the set's own layout
    or what torchvision keeps under the root, then a download by torchvision (MNIST, CIFAR, STL-10).

    Parameters
    ----------
    name : str
        One of `names()`; or ``folder:PATH`` or the path of an existing folder, with one subfolder of images per class,
        below ``train/`` and ``test/`` (or ``val/``) or, undivided, split 80/20.
    split : {"train", "test", "all"}
        "all": both. Where only one part of a set is there (`digits`, an undivided folder, `magnetic_tile`,
        `dagm_class1` as parquet), "all" is that part, and train and test are cut from it: per class, the first 75%
        (digits), 80% (folder) or 50% in the order of the images' hashes; a class's copies of one image stay together,
        and so do all photographs of one tile of `magnetic_tile`.
    root : path, optional
        Folder with one subfolder per set; see `paths.data_root`.
    size : int, optional
        Height and width of the result. By default the set's own; 64 for `imagenet` (short side resized, centre
        cropped), 224 for `mura`, 256 for `dagm_class*` and `magnetic_tile` (centred on a black square, resized), and
        for a folder the size of its images where all have one. A folder's images are padded to a square like the last.
        Images are resized bilinearly, masks to the nearest pixel.
    offline : bool
        Never download.

    Returns
    -------
    Images
        Arrays are maps of files in the cache, so a set larger than memory (ImageNet) can be loaded too. Decoding needs
        twice the set's decoded size on disk for a while: 2 x 16 GB for ImageNet at 64 x 64.

    Raises
    ------
    UserError
        Unknown name, missing set, damaged file, or an image, label or mask that cannot be used; names file and row.
    """
    if split not in SPLITS:
        raise UserError(f"split {split!r} is not one of {', '.join(SPLITS)}")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int | np.integer) or not 4 <= size <= 4096):
        raise UserError(f"size {size!r} is not a whole number of pixels from 4 to 4096")
    found, fit, pool, shown = _find(str(name), paths.data_root(root), offline)
    if size is not None and (size, size) != fit.native:
        fit = replace(fit, size=int(size), **(dict(kind="pad") if fit.kind == "exact" and fit.native is None else {}))

    cache = paths.cache_root()
    if split in found:
        entry = fetch(cache, shown, split, found[split], fit)
    elif split == "all":
        entry = fetch(cache, shown, split, _both(found["train"], found["test"]), fit)
    else:
        entry = fetch(cache, shown, split, _part(cache, shown, split, found["all"], fit, pool), fit)
    return Images(shown, split, **vars(entry), stand_in=shown in EMBEDDED)


def state(name: str, root: str | os.PathLike | None = None) -> str:
    """A digest of the files that a data set is read from: another one when any was added, removed or changed.

    Raises
    ------
    UserError
        As `load`, for what listing the files tells.
    """
    found, fit, _, shown = _find(str(name), paths.data_root(root), True)
    return "-".join(files_digest(shown, split, source, fit) for split, source in sorted(found.items()))


def is_folder(name: str) -> bool:
    """Whether `load` takes this name for a folder of a reader's own images."""
    return name.startswith("folder:") or (name not in EMBEDDED and name not in SETS and os.path.isdir(name))


def _find(name: str, root: Path, offline: bool) -> tuple[dict[str, Source], Fit, float, str]:
    """The sources of a set, how its images are fitted, the share of its training split, and the name to show."""
    if name in EMBEDDED:
        find, fit, pool = EMBEDDED[name]
        return find(), fit, pool, name
    if name in SETS:
        return _find_known(name, root, offline), SETS[name].fit, SETS[name].pool, name
    if is_folder(name):
        if not name.removeprefix("folder:").strip():  # the path "" would be the current folder
            raise UserError(f"data set {name!r}: no path after folder:; expected folder:PATH, one subfolder per class")
        folder = Path(name.removeprefix("folder:")).expanduser().resolve()
        return image_folders.find_folder(folder), Fit("exact", None), 0.8, f"folder:{folder.name}"
    raise unknown("data set", name, [*names(), "folder:PATH"])


def _find_known(name: str, root: Path, offline: bool) -> dict[str, Source]:
    known = SETS[name]
    found = sources.find_parquet(root / name, known.names, known.grouping)
    if "all" in found and not known.pool:
        raise UserError(
            f"{name}: only one of train-*.parquet and test-*.parquet is in {root / name}; copy the other one there"
        )
    found = found or sources.find_torchvision(root, name, known.names) or (known.layout(root) if known.layout else {})
    if not found and name in sources.TORCHVISION and not offline:
        sources.download_torchvision(root, name)
        found = sources.find_torchvision(root, name, known.names)
    if not found:
        raise UserError(_missing(name, root))
    return found


def _missing(name: str, root: Path) -> str:
    """What was looked for, where, and the ways to get it."""
    looked, get = f"{root / name}/{{train,test}}-*.parquet", f"get it from {SETS[name].home} and unpack it there"
    if name in sources.TORCHVISION:
        looked += f" and torchvision's {root / sources.TORCHVISION[name][1]}"
        get = "let torchvision download it (without --offline)"
    elif SETS[name].layout:
        looked += f" and its published layout under {root}"
    return (
        f"{name}: not found; looked for {looked}. Copy the set's parquet files to {root / name}, or {get}, "
        "or point --data or IMBALANCE_DATA at the folder that holds it"
    )


def _both(train: Source, test: Source) -> Source:
    def read() -> Rows:
        first, second = train.read(), test.read()
        if first.classes != second.classes:
            raise UserError(f"train and test have different classes: {first.classes[:5]}, {second.classes[:5]}")
        return Rows(first.classes, first.n + second.n, _Chain(first.rows, second.rows), first.masks or second.masks)

    return Source((*train.files, *test.files), read, version=f"{train.version}\x1e{test.version}")


class _Chain:
    """Two iterables one after the other, again and again."""

    def __init__(self, *parts):
        self.parts = parts

    def __iter__(self):
        return itertools.chain.from_iterable(self.parts)


def _part(cache: Path, name: str, split: str, whole: Source, fit: Fit, share: float) -> Source:
    """The training or test split of a set that comes in one part."""

    def read() -> Rows:
        entry = fetch(cache, name, "all", whole, fit)
        for label, label_name in enumerate(entry.classes):
            members = np.flatnonzero(entry.labels == label)
            if np.array_equal(entry.images[members[0]], entry.images[members[-1]]):  # equal ones are neighbours
                has = "one image" if len(members) == 1 else f"only copies of one image ({len(members)})"
                raise UserError(
                    f"{name}: class {label_name!r} has {has}; train and test are parts of what is there, "
                    "so every class needs at least two different ones"
                )
        train = splitting.train_part(entry.images, entry.labels, entry.groups, share)
        rows = [
            Row(
                f"{name} row {i}",
                entry.images[i],
                int(entry.labels[i]),
                None if entry.masks is None else entry.masks[i],
                "" if entry.groups is None else str(entry.groups[i]),
            )
            for i in np.flatnonzero(train == (split == "train"))
        ]
        height, width, channels = entry.images.shape[1:]
        done = Fit("exact", channels, native=(height, width))
        return Rows(entry.classes, len(rows), rows, entry.masks is not None, done)

    return Source(whole.files, read, version=f"{whole.version}\x1e{share}")
