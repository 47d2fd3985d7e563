"""Checkpoints: a training killed at any moment goes on from the last one and ends with the same numbers."""

import ast
import os
import time

import numpy as np
import pytest
import torch

from common import checkpoints, networks, paths, training
from common.augmentation import Augmentation
from common.errors import UserError
from common.multiscale import MultiScaleCNN

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

    def state_dict(self, members):
        return {"seen": [self.seen.get(k, []) for k in members]}

    def load_state_dict(self, state, members):
        self.seen |= {k: [tuple(pair) for pair in pairs] for k, pairs in zip(members, state["seen"], strict=True)}


def build(generator):
    return networks.caffe_xavier_(networks.AllCNNBatchNorm(3, width=4), generator)


def fit(folder, recorder, engine, schedule=SCHEDULE, numbers=range(2), **changes):
    members = [training.Member(np.arange(60), k, 10 + k, seed_dropout=20 + k, seed_augmentation=k) for k in numbers]
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


@pytest.mark.parametrize("engine", ENGINES)
def test_nor_one_of_another_identity(tmp_path, often, engine):
    """Networks that look alike, and a rule that nobody sees: only the caller knows."""
    with pytest.raises(Killed):
        fit(tmp_path, Recorder(kill_at=30), engine, hold=True, identity=("study", 1))
    recorder = Recorder()
    fit(tmp_path, recorder, engine, hold=True, identity=("study", 2))
    assert [t for t, _ in recorder.seen[0]] == list(range(0, 61, 5))
    again = Recorder(kill_at=5)
    fit(tmp_path, again, engine, hold=True, identity=("study", 2))  # its ends are held
    assert again.seen == recorder.seen


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (networks.AllCNN(3), networks.AllCNN(3, rectified=False)),
        (MultiScaleCNN(3, 1), MultiScaleCNN(3, 1, pooling="maximum")),
    ],
)
def test_networks_that_differ_in_no_layer_say_what_they_are(one, other):
    assert repr(one) != repr(other)


def test_every_study_says_what_its_trainings_are():
    """Each call that keeps checkpoints, or the dict of its options, has an identity."""
    kept = []
    for path in sorted((paths.ROOT / "common" / "studies").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                names = {keyword.arg for keyword in node.keywords}
            elif isinstance(node, ast.Dict):
                names = {key.value for key in node.keys if isinstance(key, ast.Constant)}
            else:
                continue
            if "checkpoints" in names:
                kept.append((path.name, node.lineno, "identity" in names))
    assert len(kept) >= 7 and [call for call in kept if not call[2]] == []


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (torch.OutOfMemoryError("out of memory"), torch.OutOfMemoryError),
        (MemoryError(), MemoryError),
        (OSError(5, "Input/output error"), UserError),
        (FileNotFoundError(), None),
    ],
)
def test_what_may_pass_costs_no_checkpoint(tmp_path, monkeypatch, raised, expected):
    checkpoint = checkpoints.Checkpoint(tmp_path, ["x"])
    checkpoint.save({"t": 1})

    def refused(*_, **__):
        raise raised

    monkeypatch.setattr(torch, "load", refused)
    if expected is None:
        assert checkpoint.load(torch.device("cpu")) is None
    else:
        with pytest.raises(expected, match="try again, or remove it" if expected is UserError else None):
            checkpoint.load(torch.device("cpu"))
    assert checkpoint.files


def test_an_observer_that_cannot_be_resumed_is_refused(tmp_path):
    with pytest.raises(TypeError, match="expected state_dict and load_state_dict"):
        fit(tmp_path, lambda k, t, network: None, "loop")


@pytest.mark.parametrize("engine", ENGINES)
def test_quick_trainings_write_nothing(tmp_path, engine):
    (one, _) = fit(tmp_path, Recorder(), engine, hold=True)
    assert not list(tmp_path.iterdir()) and one.held == ()


# -- groups, and what has ended ----------------------------------------------------------------------------------------


class Counter(Recorder):
    """Is killed at iteration 30 of one member, and counts looks by member; ends nobody."""

    def __init__(self, kill=None):
        super().__init__()
        self.kill, self.looks = kill, []

    def __call__(self, k, iteration, network):
        if (k, iteration) == (self.kill, 30):
            raise Killed
        self.looks.append((k, iteration))
        super().__call__(k, iteration, network)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_had_ended_before_a_kill_is_not_trained_again(tmp_path, often, engine):
    """Two groups of two; by the loop, four members one after the other."""
    uninterrupted = Counter()
    expected = fit(None, uninterrupted, engine, numbers=range(4), group=2)
    with pytest.raises(Killed):
        fit(tmp_path, Counter(kill=2), engine, numbers=range(4), group=2, hold=True)
    recorder = Counter()
    resumed = fit(tmp_path, recorder, engine, numbers=range(4), group=2, hold=True)
    assert min(recorder.looks) == (2, 30)  # member 2 goes on from there
    assert all(equal(a, b) for a, b in zip(resumed, expected, strict=True))
    assert recorder.seen == uninterrupted.seen
    assert [a.loss_at.tolist() for a in resumed] == [b.loss_at.tolist() for b in expected]
    assert sorted(file for one in resumed for file in one.held) == sorted(tmp_path.glob("*.pt"))
    for file in (file for one in resumed for file in one.held):
        file.unlink()


def test_what_has_ended_is_found_in_other_company_and_by_the_other_engine(tmp_path, often):
    earlier = fit(tmp_path, Counter(), "stacked", numbers=range(3), hold=True)
    recorder = Counter()
    later = fit(tmp_path, recorder, "loop", numbers=[5, 2], hold=True)
    assert equal(later[1], earlier[2]) and {k for k, _ in recorder.looks} == {0}
    assert [t for t, _ in recorder.seen[1]] == list(
        range(0, 61, 5)
    )  # what was seen of it is there under its new number
    other = Counter()
    fit(tmp_path, other, "stacked", numbers=[2], hold=True, precision="bf16")
    assert other.looks


@pytest.mark.parametrize(("before", "after"), [(4, 3), (3, 4), (2, 6)])
def test_a_group_is_found_whatever_fits_into_memory_now(tmp_path, often, before, after):
    with pytest.raises(Killed):
        fit(tmp_path, Counter(kill=0), "stacked", numbers=range(6), group=before)
    recorder = Counter()
    fit(tmp_path, recorder, "stacked", numbers=range(6), group=after)
    assert [t for k, t in recorder.looks if k < before] == [t for t in range(30, 61, 5) for _ in range(before)]
    assert not list(tmp_path.glob("*.pt"))


def test_a_group_that_does_not_fit_any_more_begins_anew(tmp_path, often, monkeypatch):
    expected = fit(None, Counter(), "stacked", numbers=range(4), group=2)
    with pytest.raises(Killed):
        fit(tmp_path, Counter(kill=0), "stacked", numbers=range(4), group=4)
    original = training.Resident.gather

    def gather(self, positions, cut=None):
        if len(positions) > 2 * SCHEDULE.batch_size:
            raise torch.OutOfMemoryError("out of memory")
        return original(self, positions, cut)

    monkeypatch.setattr(training.Resident, "gather", gather)
    recorder = Counter()
    with pytest.warns(RuntimeWarning, match="4 networks do not fit into memory; 2 at a time"):
        resumed = fit(tmp_path, recorder, "stacked", numbers=range(4), group=4)
    assert all(equal(a, b) for a, b in zip(resumed, expected, strict=True))
    assert all([t for t, _ in seen] == list(range(0, 61, 5)) for seen in recorder.seen.values())
    assert not list(tmp_path.glob("*.pt"))


def test_only_old_checkpoints_are_removed(tmp_path):
    old, new, half, other = (tmp_path / name for name in ("a.pt", "b.pt", ".c.pt.x1", "notes.txt"))
    for path in (old, new, half, other):
        path.write_bytes(b"")
    for path in (old, half, other):
        os.utime(path, (0, time.time() - 86_400 * (checkpoints.OLD + 1)))
    os.utime(new, (0, time.time() - 86_400 * (checkpoints.OLD - 1)))
    assert checkpoints.remove_old(tmp_path) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"b.pt", "notes.txt"}
    assert checkpoints.remove_old(tmp_path / "nowhere") == 0
