"""Folders of image files: one subfolder a class, as torchvision's ImageFolder reads them, divided or not.

Finders as in `sources`: they list files and return ``{"train": Source, "test": Source}``, ``{"all": Source}``
or ``{}``.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NoReturn

from common.datacache import Rows, Source
from common.decoding import Row
from common.errors import UserError
from common.sources import TEST_NAMES

# torchvision's IMG_EXTENSIONS
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
#: Endings of what lies beside images and is none.
NOTES = (".txt", ".md", ".csv", ".json", ".xml", ".yaml", ".yml", ".html", ".ini", ".db")


def find_folder(folder: Path) -> dict[str, Source]:
    """One subfolder per class, below ``train/`` and ``test/`` (or ``val/``), or without such a division.

    Raises
    ------
    UserError
        No class folders, train and test with different ones, or a part beside ``train/`` whose name is not known.
    """
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"{folder}: {state}; expected a folder with one subfolder of images per class")
    inside = {name.lower(): name for name in _subfolders(folder)}  # of Test and test the latter, which sorts last
    train = inside.get("train")
    test = next((inside[name] for name in TEST_NAMES if name in inside and _subfolders(folder / inside[name])), None)
    if train and test:
        found = {"train": class_folders(folder / train), "test": class_folders(folder / test)}
        ours, theirs = found["train"].version.split("\x1f"), found["test"].version.split("\x1f")
        if ours != theirs:
            odd = sorted(set(ours) ^ set(theirs))[0]
            raise UserError(f"{folder}: class folder {odd!r} is in only one of {train}/ and {test}/")
        _say_images_beside(folder)
        if others := [f"{name}/" for name in inside.values() if name not in (train, test)]:
            _say(f"{folder}: {', '.join(others)} beside {train}/ and {test}/ left out")
        return found | {"train": _compared(folder, found["train"], found["test"])}
    if train:
        _refuse_unknown_parts(folder, train, [name for name in inside.values() if name != train])
    # Only train/ inside: one set that is not divided. Beside other folders, "train" is a class like any other.
    if list(inside) != ["train"]:
        return {"all": class_folders(folder)}
    _say_images_beside(folder)
    return {"all": class_folders(folder / train)}


def _refuse_unknown_parts(folder: Path, train: str, others: list[str]) -> None:
    """Raise `UserError` for a folder beside ``train/`` with the same classes: it is a part, and no class itself."""
    classes = set(_subfolders(folder / train))
    for other in others:
        if len(classes & set(_subfolders(folder / other))) > 1:
            raise UserError(
                f"{folder}: {train}/ and {other}/ hold the same class folders, so they are no classes themselves; "
                f"rename {other}/ to test (or val), or move it elsewhere"
            )


def _compared(folder: Path, train: Source, test: Source) -> Source:
    """The training part, which when it is decoded says how many files of the test are among it."""

    def read() -> Rows:
        if copies := _copies(train.files, test.files):
            where = os.path.relpath(copies[0], folder)
            counted = f"{len(copies)} of {len(test.files)}, such as {where}"
            _say(f"{folder}: test images that are in the training part too, byte by byte: {counted}")
        return train.read()

    return replace(train, read=read)


def _copies(ours: Iterable[str], theirs: Iterable[str]) -> list[str]:
    """Those of their files whose bytes are those of one of ours; only files of one size are read."""
    sizes = defaultdict(lambda: ([], []))
    try:
        for side, paths in enumerate((ours, theirs)):
            for path in paths:
                sizes[os.path.getsize(path)][side].append(path)
        found = []
        for size, (first, second) in sizes.items():
            if size and first and second:  # a pipe has no size, and reading it would wait for ever
                known = set(map(_digest, first))
                found += [path for path in second if _digest(path) in known]
        return found
    except OSError:
        return []  # the decoding of that file says it


def _digest(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _say_images_beside(folder: Path) -> None:
    """Say how many images lie in a folder itself, where they belong to no class."""
    found = sorted(name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES) and not hidden(name))
    if found:
        _say(f"{folder}: images beside the class folders left out: {len(found)}, such as {found[0]}")


def class_folders(folder: Path) -> Source:
    classes = _subfolders(folder)
    if not classes:
        raise UserError(f"{folder}: no class folders; expected one subfolder of images per class")
    if len(classes) == 1:
        raise UserError(f"{folder}: only one class folder, {classes[0]!r}; expected one each for two or more")
    files, left_out = [], Counter()
    for i, name in enumerate(classes):
        there = files_below(folder / name)
        images = [path for path in there if path.lower().endswith(SUFFIXES)]
        others = Counter(Path(path).suffix.lower() or "no ending" for path in sorted(set(there) - set(images)))
        if others and not images:
            raise UserError(f"{folder / name}: none of its {len(there)} files is read ({_endings(others)})")
        if not images:
            raise UserError(f"{folder / name}: a class without images; put some into it or remove the folder")
        files += [(path, i) for path in images]
        left_out += Counter({ending: count for ending, count in others.items() if ending not in NOTES})
    if left_out:
        _say(f"{folder}: {left_out.total()} of {len(files) + left_out.total()} files left out ({_endings(left_out)})")
    _say_images_beside(folder)
    return of_files(classes, files)


def _endings(found: Counter) -> str:
    """Endings that are not read, with their numbers, and those that are."""
    counted = ", ".join(f"{count} {ending}" for ending, count in found.most_common(5))
    return f"{counted}; images are files that end in {', '.join(SUFFIXES)}; convert the others"


def _subfolders(folder: Path) -> list[str]:
    """Sorted, without hidden ones (.ipynb_checkpoints and its like are no class)."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not hidden(entry.name))
    except OSError as error:
        _refuse(error)


def hidden(name: str) -> bool:
    """Whether a file or folder is another program's; macOS puts ``__MACOSX`` into a .zip, and ._1.png beside 1.png."""
    return name.startswith(".") or name == "__MACOSX"


def files_below(folder: Path) -> list[str]:
    """Files anywhere below `folder`, sorted, links followed, hidden ones left out, as torchvision does.

    Raises
    ------
    UserError
        For a folder that cannot be read, whose images would be missed, and for a link to a folder that holds it, by
        which images would be found again and again.
    """
    found = []
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        folders[:] = [name for name in folders if not hidden(name)]
        for link in (os.path.join(parent, name) for name in folders if os.path.islink(os.path.join(parent, name))):
            above = (Path(parent), *Path(parent).parents)  # as walked, through other links too
            if os.path.realpath(link) in map(os.path.realpath, above):
                raise UserError(f"{link}: this link leads back to a folder that holds it; remove it")
        found += [os.path.join(parent, name) for name in files if not hidden(name)]
    return sorted(found)


def _refuse(error: OSError) -> NoReturn:
    raise UserError(f"{error.filename}: cannot be read ({error.strerror}); change its permissions or remove it")


def _say(text: str) -> None:
    """One line on stderr; one of a pool's processes would only repeat it."""
    if multiprocessing.parent_process() is None:
        _say_once(text)


@cache
def _say_once(text: str) -> None:
    # No warning: each decoding resets what was shown of those, and they come with a line of this source.
    print(f"note: {text}", file=sys.stderr, flush=True)


def of_files(
    classes: Iterable[str], files: list[tuple], extra: tuple[str, ...] = (), masks: bool = False, group=None
) -> Source:
    """A source of ``(path, label)`` or ``(path, label, mask path or None)``.

    `extra` are the lists that decide labels; `group` gives the group of a path.
    """
    classes = tuple(classes)
    paths = [path for file in files for path in (file[0], *file[2:]) if path]

    def read() -> Rows:
        rows = [
            Row(file[0], file[0], file[1], file[2] if masks else None, group(file[0]) if group else "")
            for file in files
        ]
        return Rows(classes, len(rows), rows, masks)

    # Labels come from folder names and lists, so they belong to the key: the paths and `extra` hold them.
    return Source((*paths, *extra), read, version="\x1f".join(classes))
