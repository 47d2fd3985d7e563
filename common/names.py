"""Data sets as a reader knows them."""

NAMES = {
    "mnist": "MNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "stl10": "STL-10", "imagenet": "ImageNet",
    "tiny_imagenet": "Tiny ImageNet", "magnetic_tile": "magnetic tiles", "mura": "MURA",
    **{f"dagm_class{number}": f"DAGM class {number}" for number in range(1, 11)},
}  # fmt: skip


def named(dataset: str) -> str:
    """The set's name in prose and tables; an unknown one as it is."""
    return NAMES.get(dataset, dataset)
