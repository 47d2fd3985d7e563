"""How many networks an hour, by way of training them: side by side on one device, in one run.

    python benchmarks/many_networks.py [--device cuda] [--json]
    python benchmarks/many_networks.py --quick        # LeNet-5 on the CPU in less than 50 s

Ways: a plain torch loop with a DataLoader, the same with the data in memory, that once per core, `torch.func.vmap`,
Keras' `fit`, and `training.fit_many` as studies use it. Images are generated in the shape of MNIST and CIFAR-10, for
speed does not depend on what they show. `fit_many` and the loop in memory are measured in fp32 and in bf16, so that
what bf16 gains can be told from what the rest gains. The device's ceiling is its rate of matrix products in bf16,
measured in the same run. Writes benchmarks/results/many_networks_<cpu|cuda>.csv and .md; with --quick nothing is
written, and the last line printed is JSON with `ratio_vs_loop` and `fraction_of_ceiling` of `fit_many` in bf16, against
the loop in fp32.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import numpy as np
import pandas as pd

from common import paths, pool, provenance, tables

FOLDER = paths.ROOT / "benchmarks" / "results"
LOOP, MEMORY, PER_CORE = "DataLoader loop", "loop, data in memory", "the same, one process a core"
VMAP, KERAS, OURS = "torch.func.vmap", "Keras fit", "fit_many"


@dataclass(frozen=True)
class Task:
    """A network, its data's shape and its schedule (Buda et al., sections 3.3.1 and 3.3.2)."""

    name: str
    shape: tuple[int, int, int]
    n_images: int
    batch_size: int
    iterations: int

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """uint8 images (n, height, width, channels) and labels."""
        random = np.random.default_rng(0)
        return (
            random.integers(0, 256, (self.n_images, *self.shape), dtype=np.uint8),
            random.integers(0, 10, self.n_images),
        )

    def build(self, generator):
        """The freshly initialised network."""
        from common import networks

        return networks.caffe_xavier_(networks.LeNet5() if self.name == "LeNet-5" else networks.AllCNN(), generator)

    def schedule(self, iterations: int):
        """The task's schedule in another number of iterations."""
        from common import training

        return training.Schedule(batch_size=self.batch_size).compressed(iterations)

    def operations(self) -> float:
        """Floating-point operations of one iteration, forward and backward, counted by torch."""
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        network = self.build(torch.Generator())
        height, width, channels = self.shape
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(2, channels, height, width)).sum().backward()
        return counter.get_total_flops() / 2 * self.batch_size


LENET = Task("LeNet-5", (28, 28, 1), 20_000, 64, 10_000)
ALL_CNN = Task("All-CNN", (32, 32, 3), 10_000, 256, 70_000)

# -- the ways: each gives iterations of one network per second ---------------------------------------------------------


def _rate(step, device: str, seconds: float) -> float:
    """Calls of `step` per second, after one to warm up."""
    import torch

    def wait():
        if device == "cuda":
            torch.cuda.synchronize()

    step()
    wait()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        step()
        count += 1
        if count % 20 == 0:
            wait()
    wait()
    return count / (time.perf_counter() - started)


def _plain(task: Task, device: str, precision: str = "fp32"):
    """What a tutorial writes: network, optimiser, and a function that trains on a batch, with autocast for bf16."""
    import torch

    network = task.build(torch.Generator().manual_seed(0)).to(device)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4)

    def train(images, labels):
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return train


def data_loader(task: Task, device: str, k: int, seconds: float) -> float:
    """torchvision's usual pipeline: a PIL image and `ToTensor` for every image."""
    import torch
    from PIL import Image
    from torchvision.transforms import ToTensor

    images, labels = task.images()
    to_tensor = ToTensor()

    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return len(labels)

        def __getitem__(self, i):
            return to_tensor(Image.fromarray(images[i].squeeze())), int(labels[i])

    loader = torch.utils.data.DataLoader(Pictures(), task.batch_size, shuffle=True, drop_last=True)
    train, batches = _plain(task, device), iter(loader)

    def step():
        nonlocal batches
        try:
            x, y = next(batches)
        except StopIteration:
            batches = iter(loader)
            x, y = next(batches)
        train(x.to(device), y.to(device))

    return _rate(step, device, seconds)


def in_memory(task: Task, device: str, k: int, seconds: float, precision: str = "fp32") -> float:
    """The same loop on a tensor of all images."""
    import torch

    images, labels = task.images()
    images = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255).to(device)
    labels = torch.from_numpy(labels).to(device)
    train = _plain(task, device, precision)

    def step():
        batch = torch.randint(len(labels), (task.batch_size,), device=device)
        train(images[batch], labels[batch])

    return _rate(step, device, seconds)


def fit_many(task: Task, device: str, k: int, seconds: float, engine: str = "auto", precision: str = "bf16") -> float:
    """`training.fit_many` with k members; from its own clock, without the first call and what each call begins with."""
    from common import training

    images, labels = task.images()
    data = training.Resident(images, labels, device)
    members = [training.Member(np.arange(len(labels)), seed, seed, 0.001) for seed in range(k)]

    def spent(iterations: int) -> float:
        fitted = training.fit_many(
            task.build, data, members, task.schedule(iterations), engine=engine, precision=precision
        )
        return sum(one.seconds for one in fitted)

    spent(2)
    beginning, iterations = spent(2), 4
    while (took := spent(iterations) - beginning) < seconds:
        iterations *= 3
    return (iterations - 2) * k / took


def keras_fit(task: Task, device: str, k: int, seconds: float) -> float:
    """The same layers in Keras, trained by `fit` on arrays in memory."""
    if device == "cuda":
        os.environ.setdefault("KERAS_BACKEND", "torch")  # the TensorFlow of requirements.txt is that for CPUs
    import keras
    from keras import layers

    images, labels = task.images()
    if task == LENET:
        stack = [
            layers.Conv2D(20, 5), layers.MaxPool2D(), layers.Conv2D(50, 5), layers.MaxPool2D(),
            layers.Flatten(), layers.Dense(500, "relu"), layers.Dense(10, "softmax"),
        ]  # fmt: skip
    else:

        def conv(filters, kernel=3, strides=1, padding="same"):
            return layers.Conv2D(filters, kernel, strides, padding, activation="relu")

        stack = [
            layers.Dropout(0.2), conv(96), conv(96), conv(96, strides=2), layers.Dropout(0.5),
            conv(192), conv(192), conv(192, strides=2), layers.Dropout(0.5),
            conv(192, padding="valid"), conv(192, 1), conv(10, 1), layers.GlobalAveragePooling2D(), layers.Softmax(),
        ]  # fmt: skip
    model = keras.Sequential([layers.Input(task.shape), layers.Rescaling(1 / 255), *stack])
    model.compile(keras.optimizers.SGD(0.001, 0.9, weight_decay=5e-4), "sparse_categorical_crossentropy")
    model.fit(images[: 4 * task.batch_size], labels[: 4 * task.batch_size], batch_size=task.batch_size, verbose=0)

    def some(batches: int) -> float:
        n = min(batches * task.batch_size, len(labels))
        started = time.perf_counter()
        model.fit(images[:n], labels[:n], batch_size=task.batch_size, verbose=0)
        return n / task.batch_size / (time.perf_counter() - started)

    return some(max(8, round(some(8) * seconds)))


def ceiling(task: Task, device: str, k: int, seconds: float) -> float:
    """Floating-point operations per second of a large matrix product in bf16."""
    import torch

    n = 8192 if device == "cuda" else 2048
    a, b = (torch.rand(n, n, device=device).to(torch.bfloat16) for _ in range(2))
    return 2 * n**3 * _rate(lambda: a @ b, device, seconds)


# -- measuring ---------------------------------------------------------------------------------------------------------


def _begin(threads: int, barrier) -> None:
    global _barrier
    _barrier = barrier
    import torch

    torch.set_num_threads(threads)


def _together(way, *arguments) -> float:
    """Start when all processes are there, so that all measure while all others run."""
    _barrier.wait()
    return way(*arguments)


def measure(way, task: Task, device: str, k: int, seconds: float, processes: int = 1) -> float:
    """Sum of the rates of `processes` processes, which share the cores evenly."""
    context = multiprocessing.get_context("spawn")
    setup = (max(1, pool.cores() // processes), context.Barrier(processes))
    with ProcessPoolExecutor(processes, context, _begin, setup) as workers:
        return sum(
            f.result() for f in [workers.submit(_together, way, task, device, k, seconds) for _ in range(processes)]
        )


def compare(task: Task, device: str, seconds: float, quick: bool) -> pd.DataFrame:
    """One row a way and precision: networks an hour, their ratio to the plain loop, and the share of the ceiling."""
    cores = pool.cores() if device == "cpu" else 1
    sweep = [1] if device == "cpu" else [1, 8, 64, 256]
    in_bf16 = partial(in_memory, precision="bf16")
    plan = [(LOOP, "fp32", data_loader, 1, 1), (MEMORY, "fp32", in_memory, 1, 1)]
    if not quick:
        plan += [(MEMORY, "bf16", in_bf16, 1, 1)]
        if cores > 1:
            plan += [(PER_CORE, "fp32", in_memory, 1, cores), (PER_CORE, "bf16", in_bf16, 1, cores)]
        # On a CPU eight All-CNN at once take minutes a step.
        on_cpu = [1, 8] if task == LENET else [1]
        vmap = partial(fit_many, engine="stacked", precision="fp32")
        plan += [(VMAP, "fp32", vmap, k, cores) for k in (sweep if device == "cuda" else on_cpu)]
        plan += [(KERAS, "fp32", keras_fit, 1, 1)]
        plan += [(OURS, "fp32", partial(fit_many, precision="fp32"), k, cores) for k in sweep]
    plan += [(OURS, "bf16", fit_many, k, cores) for k in sweep]
    operations, top = task.operations(), measure(ceiling, task, device, 1, seconds / 2, cores)
    rows = []
    for name, precision, way, k, processes in plan:
        try:
            rate = measure(way, task, device, k, seconds, processes)
        except ImportError as missing:
            print(f"{name}: left out, {missing}")
            continue
        rows.append({
            "network": task.name, "way": name, "precision": precision, "K": k, "processes": processes,
            "ms per iteration": 1000 / rate, "networks per hour": 3600 * rate / task.iterations,
            "GFLOP/s": rate * operations / 1e9, "ceiling GFLOP/s": top / 1e9,
            "fraction_of_ceiling": rate * operations / top,
        })  # fmt: skip
        print(
            f"{task.name:8} {name:30} {precision} K={k:<4} {rows[-1]['networks per hour']:10.2f} networks/h", flush=True
        )
    table = pd.DataFrame(rows)
    table["ratio_vs_loop"] = table["networks per hour"] / table["networks per hour"].iloc[0]
    return table


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="LeNet-5 on the CPU, three ways, nothing written")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--seconds", type=float, default=10.0, help="measured for each way (default: 10)")
    arguments = parser.parse_args()
    device = "cpu" if arguments.quick else arguments.device
    seconds = min(arguments.seconds, 5.0) if arguments.quick else arguments.seconds
    tasks = [LENET] if arguments.quick else [LENET, ALL_CNN]
    table = pd.concat([compare(task, device, seconds, arguments.quick) for task in tasks], ignore_index=True)
    table["device"], table["torch"] = provenance.device_name(device), version("torch")
    if not arguments.quick:
        write(table, device)
    if arguments.json or arguments.quick:
        rows = table.round(4).to_dict("records")
        print(json.dumps({"rows": rows, **{name: rows[-1][name] for name in ("ratio_vs_loop", "fraction_of_ceiling")}}))


def write(table: pd.DataFrame, device: str) -> None:
    """The table as CSV, and as Markdown."""
    file = FOLDER / f"many_networks_{device}.csv"
    FOLDER.mkdir(exist_ok=True)
    table.to_csv(file, index=False, float_format="%.5g", lineterminator="\n")
    shown = table.drop(columns=["device", "torch", "GFLOP/s", "ceiling GFLOP/s"])
    cells = [[f"{v:.3g}" if isinstance(v, float) else str(v) for v in row] for row in shown.to_numpy(dtype=object)]
    text = tables.markdown(shown.columns, cells)
    ceilings = ", ".join(f"{top:,.0f}" for top in table["ceiling GFLOP/s"].unique())
    head = (
        f"Written by `python benchmarks/many_networks.py --device {device}`. {table['device'].iloc[0]}, torch "
        f"{table['torch'].iloc[0]}; matrix products in bf16 reach {ceilings} GFLOP/s."
    )
    file.with_suffix(".md").write_text(f"# Networks an hour\n\n{head}\n\n{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
