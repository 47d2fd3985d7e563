"""Training on a GPU, as far as it can be checked without one: on tensors that have shape, type, device, no values.

They refuse what a GPU refuses, above all operations on tensors of two devices. Only gradients cannot be computed, so
they are zeros here; forward pass, loss, optimiser and every copy between the devices are the real code.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from common import networks, resident, stacking, training
from common.augmentation import Augmentation
from common.cells import Context
from common.options import Options

N, CLASSES = 24, 3


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that only knows devices, shapes and types."""

    def moved(network, device=None, memory_format=None):
        for module in network.modules():
            for kind in (module._parameters, module._buffers):
                for name, value in kind.items():
                    if value is not None:
                        there = value.detach().to(device)
                        kind[name] = torch.nn.Parameter(there) if kind is module._parameters else there
        return network

    def without_gradients(loss_of):
        def zeros(free, *rest):
            return {name: torch.zeros_like(value) for name, value in free.items()}, loss_of(free, *rest)

        return zeros

    # A module cannot exchange parameters for tensors without values in place, and these tell no values.
    monkeypatch.setattr(torch.nn.Module, "to", moved)
    monkeypatch.setattr(FakeTensor, "numpy", lambda tensor: np.zeros(tuple(tensor.shape)), raising=False)
    monkeypatch.setattr(FakeTensor, "__int__", lambda tensor: CLASSES - 1, raising=False)  # of the highest label
    monkeypatch.setattr(FakeTensor, "__float__", lambda tensor: 0.0, raising=False)
    monkeypatch.setattr(stacking, "grad_and_value", without_gradients)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield "cuda"


def members(**options) -> list[training.Member]:
    return [training.Member(np.arange(N), k, k, seed_dropout=k, seed_augmentation=k, **options) for k in range(3)]


def images_on(device) -> training.Resident:
    return training.Resident(np.zeros((N, 32, 32, 3), np.uint8), np.arange(N) % CLASSES, device)


def built(network, **options):
    return lambda generator: networks.caffe_xavier_(network(CLASSES, **options), generator)


def resnet10(generator):
    return networks.kaiming_(networks.ResNet10(CLASSES), generator)


LENET, ALLCNN = built(networks.LeNet5, channels=3, size=32), built(networks.AllCNN, width=4)
NORMED = built(networks.AllCNNBatchNorm, width=4)
CASES = {
    "plain": (LENET, {}, {}),
    "weighted": (LENET, {"class_weights": np.ones(CLASSES)}, {}),
    "normalised": (LENET, {"class_weights": np.ones(CLASSES), "normalised": True}, {}),
    "dropout, focal": (ALLCNN, {"focal": 2.0}, {"precision": "bf16"}),
    "batch normalisation": (NORMED, {}, {"schedule": "adam"}),
    "a frozen body": (NORMED, {}, {"trainable": ("maps.",)}),
    "patches": (resnet10, {}, {"augmentation": Augmentation(crop=28, mirror=True), "schedule": "rmsprop"}),
    "watched": (LENET, {"learning_rate": 0.1}, {"on_point": lambda k, t, network: 0.5 if t else None, "at": (0, 1)}),
    "ended": (LENET, {}, {"on_point": lambda k, t, network: 0 if k else None, "at": (1,)}),
}


def trained(gpu, engine: str, case: str):
    build, of_members, options = CASES[case]
    schedule = training.Schedule(iterations=3, batch_size=8, optimiser=options.get("schedule", "sgd"))
    options = {name: value for name, value in options.items() if name != "schedule"}
    data = images_on(gpu)
    return (
        build,
        data,
        training.fit_many(build, data, members(**of_members), schedule, engine=engine, group=3, **options),
    )


@pytest.mark.parametrize("case", CASES)
def test_a_group_trains_on_the_gpu(gpu, case):
    build, data, fitted = trained(gpu, "stacked", case)
    assert {one.engine for one in fitted} == {"stacked"}
    assert {value.device.type for one in fitted for value in one.state.values()} == {"cpu"}
    assert training.log_probabilities(training.loaded(build, fitted[0].state), data).device.type == "cuda"


@pytest.mark.parametrize("case", [name for name in CASES if name != "patches"])
def test_one_network_trains_on_the_gpu(gpu, case, monkeypatch):
    """Its optimiser leaves parameters without a gradient as they are."""
    monkeypatch.setattr(torch.Tensor, "backward", lambda loss: None)
    _, _, fitted = trained(gpu, "loop", case)
    assert {value.device.type for one in fitted for value in one.state.values()} == {"cpu"}


@pytest.mark.parametrize(("size", "engine"), [("1", "loop"), ("3", "stacked")])
def test_groups_of_one_are_trained_by_the_loop(gpu, monkeypatch, size, engine):
    monkeypatch.setenv("IMBALANCE_GROUP", size)
    monkeypatch.setattr(torch.Tensor, "backward", lambda loss: None)
    schedule = training.Schedule(iterations=1, batch_size=8)
    assert {one.engine for one in training.fit_many(LENET, images_on(gpu), members(), schedule)} == {engine}


def test_tensors_of_two_devices_are_refused(gpu):
    """Else the tests above could not fail."""
    with pytest.raises(Exception, match="device"):
        torch.stack([torch.zeros(2, device=gpu), torch.zeros(2)])


def test_two_sets_of_labels_share_their_inputs():
    data = images_on("cpu")
    binary = data.labelled(np.arange(N) % 2)
    assert binary.inputs.data_ptr() == data.inputs.data_ptr()
    assert binary.labels.tolist() == [0, 1] * (N // 2) and data.labels.tolist() == [0, 1, 2] * (N // 3)


def test_data_are_held_until_they_are_released():
    loads = []

    @resident.held
    def load(device):
        loads.append(device)
        return images_on(device)

    first = load("cpu")
    assert load("cpu") is first and loads == ["cpu"]
    resident.release()
    assert load("cpu") is not first and loads == ["cpu", "cpu"]


def test_jobs_that_differ_in_their_time_budget_share_what_is_held():
    a, b = (Context(Options(time_budget=budget)) for budget in ("9m", "540s"))
    assert a == b and hash(a) == hash(b) and a.options.seconds() == b.options.seconds()
    assert Context(Options(offline=True)) != a


def test_fp32_is_not_rounded_on_a_gpu():
    assert torch.backends.cudnn.allow_tf32 is False and torch.backends.cuda.matmul.allow_tf32 is False
