"""Every data set by name: size, official class names, layout, and which images belong together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common import embedded, layouts, splitting
from common.datacache import Source
from common.decoding import Fit

_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


@dataclass(frozen=True)
class Known:
    """A set, before its files are looked at.

    `classes` are the official names (space separated; empty: those of the source), `layout` its official layout,
    `pool` the share that becomes the training split where only one part of the set is there (0: that is an error),
    `grouping` tells from original file names which images belong together.
    """

    fit: Fit
    classes: str = ""
    pool: float = 0.0
    layout: Callable[[Path], dict[str, Source]] | None = None
    home: str = ""
    grouping: Callable[[list[str]], list[str]] | None = None

    @property
    def names(self) -> tuple[str, ...] | None:
        return tuple(self.classes.split()) or None


EMBEDDED = {
    "digits": (embedded.find_digits, Fit("exact", 1, native=(28, 28)), 0.75),
    "shapes": (embedded.find_shapes, Fit("exact", 3, native=(32, 32)), 0.0),
    "textures": (embedded.find_textures, Fit("exact", 1, native=(64, 64)), 0.0),
}

SETS = {
    "mnist": Known(Fit("exact", 1, native=(28, 28)), "0 1 2 3 4 5 6 7 8 9"),
    "cifar10": Known(Fit("exact", 3, native=(32, 32)), "airplane automobile bird cat deer dog frog horse ship truck"),
    "cifar100": Known(Fit("exact", 3, native=(32, 32)), _CIFAR100),
    "stl10": Known(Fit("exact", 3, native=(96, 96)), "airplane bird car cat deer dog horse monkey ship truck"),
    "tiny_imagenet": Known(
        Fit("exact", 3, native=(64, 64)), layout=layouts.find_tiny_imagenet, home="cs231n.stanford.edu"
    ),
    "imagenet": Known(Fit("crop", 3, size=64), layout=layouts.find_imagenet, home="image-net.org"),
    "mura": Known(
        Fit("pad", 1, size=224), "normal abnormal", layout=layouts.find_mura, home="stanfordmlgroup.github.io"
    ),
    "magnetic_tile": Known(
        Fit("pad", 1, size=256),
        " ".join(layouts.TILES),
        pool=0.5,
        layout=layouts.find_magnetic_tile,
        home="github.com/abin24/Magnetic-tile-defect-datasets.",
        grouping=splitting.tiles,
    ),
} | {
    f"dagm_class{i}": Known(
        Fit("pad", 1, size=256),
        "ok defect",
        pool=0.5,
        layout=partial(layouts.find_dagm, number=i),
        home="conferences.mpi-inf.mpg.de/dagm/2007",
    )
    for i in range(1, 11)
}


def names() -> tuple[str, ...]:
    """Every name `data.load` knows, embedded sets first."""
    return (*EMBEDDED, *SETS)
