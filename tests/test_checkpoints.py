"""Checkpoints: a training killed at any moment goes on from the last one and ends with the same numbers."""

import numpy as np
import pytest
import torch

from common import checkpoints, networks, training
from common.augmentation import Augmentation

RANDOM = np.random.default_rng(0)
LABELS = np.arange(60) % 3
IMAGES = RANDOM.integers(0, 255, (60, 18, 18, 3), dtype=np.uint8)
SCHEDULE = training.Schedule(iterations=60, batch_size=8, learning_rate=0.02)
ENGINES = ("loop", "stacked")


class Killed(Exception):
    pass


class Recorder:
    """Keeps one number a look, ends member 1 at iteration 40, and 'is killed' at `kill_at`."""

    def __init__(self, kill_at=None):
        self.seen, self.kill_at = {}, kill_at

    def __call__(self, k, iteration, network):
        if iteration == self.kill_at and k == 1:
            raise Killed
        total = sum(value.double().sum().item() for value in network.parameters())
        self.seen.setdefault(k, []).append((iteration, total))
        return 0 if (k, iteration) == (1, 40) else 0.9

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = {k: [tuple(pair) for pair in pairs] for k, pairs in state["seen"].items()}


def build(generator):
    return networks.caffe_xavier_(networks.AllCNNBatchNorm(3, width=4), generator)


def fit(folder, recorder, engine, schedule=SCHEDULE, **changes):
    members = [training.Member(np.arange(60), k, 10 + k, seed_dropout=20 + k, seed_augmentation=k) for k in range(2)]
    return training.fit_many(
        build, training.Resident(IMAGES, LABELS), members, schedule, engine=engine, augmentation=Augmentation(crop=16),
        on_point=recorder, at=range(0, 61, 5), checkpoints=folder, **changes,
    )  # fmt: skip


def equal(a, b):
    return all(torch.equal(a.state[name], b.state[name]) for name in b.state) and np.array_equal(a.loss, b.loss)


@pytest.fixture
def often(monkeypatch):
    """A checkpoint after every stretch."""
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("optimiser", ["sgd", "adam", "rmsprop"])
def test_a_killed_training_ends_as_an_uninterrupted_one(tmp_path, often, engine, optimiser):
    from dataclasses import replace

    schedule = replace(SCHEDULE, optimiser=optimiser, learning_rate=1e-3)
    uninterrupted, whole = Recorder(), tmp_path / "whole"
    expected = fit(whole, uninterrupted, engine, schedule)
    with pytest.raises(Killed):
        fit(tmp_path, Recorder(kill_at=30), engine, schedule)
    assert list(tmp_path.glob("*.pt"))
    recorder = Recorder()
    resumed = fit(tmp_path, recorder, engine, schedule)
    assert all(equal(a, b) for a, b in zip(resumed, expected, strict=True))
    assert recorder.seen == uninterrupted.seen
    assert [fitted.iterations for fitted in resumed] == [60, 40]
    assert not list(tmp_path.glob("*.pt")) and not list(whole.glob("*.pt"))


@pytest.mark.parametrize("engine", ENGINES)
def test_resuming_does_not_begin_again(tmp_path, often, engine):
    with pytest.raises(Killed):
        fit(tmp_path, Recorder(kill_at=30), engine)
    fit(tmp_path, Recorder(kill_at=5), engine)  # passes iteration 5 only if it starts after it


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint"])
def test_a_damaged_checkpoint_is_no_checkpoint(tmp_path, often, damage):
    expected = fit(None, Recorder(), "loop")
    with pytest.raises(Killed):
        fit(tmp_path, Recorder(kill_at=30), "loop")
    (file,) = tmp_path.glob("*.pt")
    file.write_bytes(damage)
    with pytest.warns(RuntimeWarning, match="training starts again"):
        resumed = fit(tmp_path, Recorder(), "loop")
    assert all(equal(a, b) for a, b in zip(resumed, expected, strict=True))


def test_another_training_does_not_take_it(tmp_path, often):
    with pytest.raises(Killed):
        fit(tmp_path, Recorder(kill_at=30), "stacked")
    recorder = Recorder(kill_at=5)
    with pytest.raises(Killed):  # begins at the beginning, because another precision gives other numbers
        fit(tmp_path, recorder, "stacked", precision="bf16")


def test_an_observer_that_cannot_be_resumed_is_refused(tmp_path):
    with pytest.raises(TypeError, match="expected state_dict and load_state_dict"):
        fit(tmp_path, lambda k, t, network: None, "loop")


def test_quick_trainings_write_nothing(tmp_path):
    fit(tmp_path, Recorder(), "loop")
    assert not list(tmp_path.iterdir())
