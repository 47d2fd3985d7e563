"""Data sets in the folders in which they are published: ImageNet, Tiny-ImageNet, DAGM 2007, MURA, magnetic tiles.

Finders as in `sources`: they list files and return ``{"train": Source, "test": Source}``, ``{"all": Source}``
or ``{}``.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

from common import splitting
from common.datacache import Source
from common.errors import UserError
from common.image_folders import SUFFIXES, class_folders, files_below, find_folder, hidden, of_files

OK_DEFECT = ("ok", "defect")
TILES = ("Free", "Blowhole", "Break", "Crack", "Fray", "Uneven")


# ---- ImageNet and Tiny-ImageNet --------------------------------------------------------------------------------------


def find_imagenet(root: Path) -> dict[str, Source]:
    """``imagenet/{train,val}/<synset>/*.JPEG``; the validation images are the test split.

    Raises
    ------
    UserError
        The validation images lie in one folder, as they are published, which does not say what they show.
    """
    folder = root / "imagenet"
    if not ((folder / "train").is_dir() and (folder / "val").is_dir()):
        return {}
    if not any(part.is_dir() for part in (folder / "val").iterdir()):
        raise UserError(f"{folder / 'val'}: no class folders; move its images into one folder per synset, as in train/")
    return find_folder(folder)


def find_tiny_imagenet(root: Path) -> dict[str, Source]:
    """``tiny-imagenet-200/train/<synset>/images`` and ``val/val_annotations.txt``, the test split.

    The published test images have no labels.
    """
    for folder in (root / "tiny-imagenet-200", root / "tiny_imagenet" / "tiny-imagenet-200", root / "tiny_imagenet"):
        annotations = folder / "val" / "val_annotations.txt"
        if not ((folder / "train").is_dir() and annotations.is_file()):
            continue
        train = class_folders(folder / "train")
        index = {name: i for i, name in enumerate(train.version.split("\x1f"))}
        files = []
        for number, line in _lines(annotations):
            name, _, rest = line.partition("\t")
            synset = rest.split("\t")[0]
            if synset not in index:
                raise UserError(f"{annotations} line {number}: {synset!r} is no class of train/")
            files.append((_inside(folder / "val" / "images", name, f"{annotations} line {number}"), index[synset]))
        return {"train": train, "test": of_files(index, files, (str(annotations),))}
    return {}


# ---- DAGM 2007 -------------------------------------------------------------------------------------------------------


def find_dagm(root: Path, number: int) -> dict[str, Source]:
    """``Class<number>/{Train,Test}/*.PNG`` with ``Label/Labels.txt`` and the defects' masks.

    Looked for under `root` and its folders ``dagm``, ``DAGM2007`` and ``DAGM_KaggleUpload``.
    """
    for base in (root / "dagm", root / "DAGM2007", root / "DAGM_KaggleUpload", root):
        folder = base / f"Class{number}"
        if (folder / "Train").is_dir() and (folder / "Test").is_dir():
            return {"train": _dagm(folder / "Train"), "test": _dagm(folder / "Test")}
    return {}


def _dagm(folder: Path) -> Source:
    """One half of one class.

    ``Labels.txt``: a line "1", then per image its number, 0 or 1, file name, 0, and the mask's file name or 0.
    """
    listing = folder / "Label" / "Labels.txt"
    if not listing.is_file():
        raise UserError(f"{listing}: no such file; DAGM's labels are read from it")
    files = []
    for number, line in _lines(listing):
        fields, where = line.split(), f"{listing} line {number}"
        if len(fields) == 1 and number == 1:
            continue
        if len(fields) != 5 or fields[1] not in ("0", "1"):
            raise UserError(f"{where}: {line!r} is not 'number 0|1 image 0 mask|0'")
        mask = None if fields[4] == "0" else _inside(folder / "Label", fields[4], where)
        files.append((_inside(folder, fields[2], where), int(fields[1]), mask))
    listed = {path for path, _, _ in files}
    for name in sorted(os.listdir(folder)):
        if name.lower().endswith(SUFFIXES) and not hidden(name) and str(folder / name) not in listed:
            raise UserError(f"{listing}: no line for {name}, an image of {folder}; add its label or remove it")
    return of_files(OK_DEFECT, files, (str(listing),), masks=True)


# ---- MURA ------------------------------------------------------------------------------------------------------------


def find_mura(root: Path) -> dict[str, Source]:
    """``MURA-v1.1`` with its csv lists under `root` or ``root/mura``; the validation studies are the test split."""
    for base in (root, root / "mura"):
        if (base / "MURA-v1.1" / "train_image_paths.csv").is_file():
            return {"train": _mura(base, "train"), "test": _mura(base, "valid")}
    return {}


def _mura(base: Path, part: str) -> Source:
    """Every image of every study of one part; an image has the label of its study."""
    folder = base / "MURA-v1.1"
    images, studies = folder / f"{part}_image_paths.csv", folder / f"{part}_labeled_studies.csv"
    for listing in (images, studies):
        if not listing.is_file():
            raise UserError(f"{listing}: no such file; MURA's labels are read from its csv lists")
    labels = {}
    for number, line in _lines(studies):
        (fields,) = csv.reader([line])
        if len(fields) != 2 or fields[1] not in ("0", "1"):
            raise UserError(f"{studies} line {number}: {','.join(fields)!r} is not 'study folder,0|1'")
        labels[fields[0].rstrip("/")] = int(fields[1])
    files = []
    for number, path in _lines(images):
        study = path.rpartition("/")[0]
        if study not in labels:
            raise UserError(f"{images} line {number}: study {study!r} has no label in {studies.name}")
        files.append((_inside(base, path, f"{images} line {number}"), labels[study]))
    # .../<patient>/<study>/<image>
    return of_files(("normal", "abnormal"), files, (str(images), str(studies)), group=lambda path: Path(path).parts[-3])


# ---- magnetic tiles --------------------------------------------------------------------------------------------------


def find_magnetic_tile(root: Path) -> dict[str, Source]:
    """``MT_<class>/Imgs/*.jpg``, each with its mask as .png; one part, for the set has no official split.

    Looked for in what a clone or the .zip of its repository makes of `root`, in ``root/magnetic_tile`` and in `root`.
    """
    name = "Magnetic-tile-defect-datasets."
    for base in (root / f"{name}-master", root / name, root / "magnetic_tile", root):
        folders = [base / f"MT_{kind}" / "Imgs" for kind in TILES]
        missing = [folder for folder in folders if not folder.is_dir()]
        if len(missing) == len(folders):
            continue
        if missing:
            raise UserError(f"{missing[0]}: no such folder; the set has one for each of {', '.join(TILES)}")
        files = []
        for label, folder in enumerate(folders):
            there = files_below(folder)
            images = [path for path in there if path.endswith(".jpg")]
            if not images:
                raise UserError(f"{folder}: no .jpg files; expected images, each with its mask as .png")
            masks = {path.removesuffix(".png"): path for path in there if path.endswith(".png")}
            files += [(path, label, masks.get(path.removesuffix(".jpg"))) for path in images]
        paths = [path for path, _, _ in files]
        groups = dict(zip(paths, splitting.tiles(paths), strict=True))
        return {"all": of_files(TILES, files, masks=True, group=groups.__getitem__)}
    return {}


# ---- lists -----------------------------------------------------------------------------------------------------------


def _lines(path: Path) -> list[tuple[int, str]]:
    """Lines that are not blank, with their numbers in the file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _inside(folder: Path, name: str, where: str) -> str:
    """Path of a listed file; a list may not point out of its folder, nor to what is not there."""
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(f"{where}: {name!r} points outside {folder}")
    if not path.is_file():
        raise UserError(f"{where}: {path} is listed but not there")
    return str(path)
