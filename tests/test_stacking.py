"""Groups of networks with dropout and batch normalisation, and looking at them while they train."""

import numpy as np
import pytest
import torch

from common import networks, training
from common.errors import UserError

RANDOM = np.random.default_rng(0)
LABELS = np.arange(80) % 4
IMAGES = RANDOM.normal(size=(80, 3, 16, 16)).astype(np.float32)
IMAGES[:, 0] += LABELS[:, None, None]
SCHEDULE = training.Schedule(batch_size=16, bias_rate=1.0).compressed(8)
ENGINES = ("loop", "stacked")


def all_cnn(generator):
    return networks.caffe_xavier_(networks.AllCNN(4, width=8), generator)


def all_cnn_batch_norm(generator):
    return networks.caffe_xavier_(networks.AllCNNBatchNorm(4, width=8), generator)


def resnet10(generator):
    return networks.kaiming_(networks.ResNet10(4), generator)


def member(k, **changes):
    plan = np.random.default_rng(k).permutation(80)[: 40 + 10 * (k % 3)]
    return training.Member(plan, k, 100 + k, **{"seed_dropout": 200 + k, **changes})


def distance(a, b):
    assert list(a.state) == list(b.state)
    return max((a.state[name].double() - b.state[name].double()).abs().max().item() for name in a.state)


@pytest.fixture
def data():
    return training.Resident(IMAGES, LABELS)


@pytest.fixture
def exact():
    """In float64: rectifiers and batch normalisation make two roundings in float32 drift apart within few steps."""
    return training.Resident(IMAGES.astype(np.float64), LABELS)


# -- the contract, for networks with chance and with statistics --------------------------------------------------------


@pytest.mark.parametrize("build", [all_cnn, all_cnn_batch_norm])
def test_a_member_of_a_group_equals_the_network_alone(exact, build):
    def in_float64(generator):
        return build(generator).double()

    members = [member(k, learning_rate=[None, 0.02][k % 2]) for k in range(3)]
    group = training.fit_many(in_float64, exact, members, SCHEDULE, engine="stacked")
    for k in (0, 2):
        (alone,) = training.fit_many(in_float64, exact, [members[k]], SCHEDULE, engine="loop")
        # Running statistics are part of the state.
        assert distance(alone, group[k]) < 1e-6
        assert np.allclose(alone.loss, group[k].loss, atol=1e-6)
    if build is all_cnn_batch_norm:
        assert group[0].state["norm.num_batches_tracked"] == SCHEDULE.iterations
        assert group[0].state["norm.running_mean"].abs().max() > 0


def test_resnet10_in_a_group(data):
    schedule = training.Schedule(batch_size=8, iterations=2, learning_rate=0.01, policy="linear", bias_rate=1.0)
    members = [member(k) for k in range(2)]
    group = training.fit_many(resnet10, data, members, schedule, engine="stacked")
    (alone,) = training.fit_many(resnet10, data, members[1:], schedule, engine="loop")
    assert distance(alone, group[1]) < 1e-3


@pytest.mark.parametrize("engine", ENGINES)
def test_only_the_members_own_seed_decides_its_dropout(data, engine):
    members = [member(0), member(0, seed_dropout=7), member(0)]
    one, other, again = training.fit_many(all_cnn, data, members, SCHEDULE, engine=engine)
    assert distance(one, again) < 1e-6
    assert distance(one, other) > 1e-4


@pytest.mark.parametrize("build", [all_cnn, all_cnn_batch_norm])
def test_bf16_runs_in_both_engines(data, build):
    one, other = (
        training.fit_many(build, data, [member(0), member(1)], SCHEDULE, engine=e, precision="bf16") for e in ENGINES
    )
    # Later ones drift apart, by rounding.
    assert np.isclose(one[1].loss[0], other[1].loss[0], rtol=0.01)
    assert np.isfinite(other[1].loss).all()
    assert all(value.dtype in (torch.float32, torch.int64) for value in other[1].state.values())


def test_what_was_learnt_with_dropout_and_batches_is_there_in_evaluation(data):
    schedule = training.Schedule(batch_size=40, bias_rate=1.0).compressed(60)
    (fitted,) = training.fit_many(all_cnn_batch_norm, data, [training.Member(np.arange(80), 1, 2)], schedule)
    network = all_cnn_batch_norm(torch.Generator())
    network.load_state_dict(fitted.state)
    assert (training.log_probabilities(network, data).argmax(1).numpy() == LABELS).mean() > 0.9


# -- second phases ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_a_second_phase_of_all_cnn_moves_the_two_last_convolutions(data, engine):
    start = all_cnn(torch.Generator().manual_seed(7)).state_dict()
    members = [member(k, initial=start) for k in range(2)]
    for fitted in training.fit_many(all_cnn, data, members, SCHEDULE, engine=engine, trainable=("head.",)):
        moved = {name for name, value in start.items() if not torch.equal(value, fitted.state[name])}
        assert moved == {"head.hidden.weight", "head.hidden.bias", "head.maps.weight", "head.maps.bias"}


@pytest.mark.parametrize("engine", ENGINES)
def test_statistics_of_frozen_layers_stay(data, engine):
    start = all_cnn_batch_norm(torch.Generator().manual_seed(7)).state_dict()
    members = [member(k, initial=start) for k in range(2)]
    options = {"engine": engine, "trainable": ("maps.", "norm.")}
    for fitted in training.fit_many(all_cnn_batch_norm, data, members, SCHEDULE, **options):
        for name, value in start.items():
            assert torch.equal(value, fitted.state[name]) == name.startswith("body."), name


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_to_train_is_named(data, engine):
    with pytest.raises(UserError, match=r"trainable \('head\.',\): no parameter's name"):
        training.fit_many(all_cnn_batch_norm, data, [member(0)], SCHEDULE, engine=engine, trainable=("head.",))


# -- looking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trainable", [("",), ("maps.", "norm.")])
@pytest.mark.parametrize("engine", ENGINES)
def test_looking_changes_nothing(data, engine, trainable):
    seen = {}

    def look(k, iteration, network):
        assert not network.training and not torch.is_grad_enabled()
        seen[k, iteration] = {name: value.clone() for name, value in network.state_dict().items()}
        training.log_probabilities(network, data)

    members = [member(k) for k in range(2)]
    options = {"engine": engine, "trainable": trainable}
    watched = training.fit_many(all_cnn_batch_norm, data, members, SCHEDULE, on_point=look, at=(0, 3, 8), **options)
    alone = training.fit_many(all_cnn_batch_norm, data, members, SCHEDULE, **options)
    assert all(distance(a, b) == 0 for a, b in zip(watched, alone, strict=True))
    assert sorted(seen) == [(k, t) for k in range(2) for t in (0, 3, 8)]
    for k in range(2):
        start = all_cnn_batch_norm(torch.Generator().manual_seed(k)).state_dict()
        assert all(torch.equal(start[name], value) for name, value in seen[k, 0].items())
        assert all(torch.equal(watched[k].state[name], value) for name, value in seen[k, 8].items())
    assert seen[0, 3].keys() == watched[0].state.keys()


@pytest.mark.parametrize("engine", ENGINES)
def test_both_engines_end_a_member_that_diverged(data, engine):
    seen = []
    members = [member(0), member(1, learning_rate=1e20)]
    options = {"engine": engine, "on_point": lambda k, t, _: seen.append((k, t)), "at": range(0, 9)}
    sound, broken = training.fit_many(all_cnn, data, members, SCHEDULE, **options)
    assert (sound.diverged, broken.diverged) == (False, True)
    assert [t for k, t in seen if k == 0] == list(range(9))
    # Up to the end of the stretch in which the loss overflowed.
    assert [t for k, t in seen if k == 1] == list(range(broken.loss_at[-1] + 1))


def test_a_group_that_diverged_altogether_stops(data):
    members = [member(k, learning_rate=1e20) for k in range(2)]
    for fitted in training.fit_many(all_cnn, data, members, SCHEDULE, engine="stacked"):
        assert fitted.diverged and len(fitted.loss) < SCHEDULE.iterations
        assert not np.isfinite(fitted.loss[-1]) and np.isfinite(fitted.loss[:-1]).all()


def test_points_beyond_the_schedule_are_named(data):
    with pytest.raises(UserError, match="at 9: expected iterations between 0 and 8"):
        training.fit_many(all_cnn, data, [member(0)], SCHEDULE, on_point=print, at=(3, 9))


# -- groups and memory -------------------------------------------------------------------------------------------------


def seen_by(record):
    return lambda k, iteration, network: record.append((k, iteration))


def test_groups_give_what_all_together_give(exact):
    def in_float64(generator):
        return all_cnn(generator).double()

    members, record = [member(k) for k in range(5)], []
    together = training.fit_many(in_float64, exact, members, SCHEDULE, engine="stacked")
    in_groups = training.fit_many(
        in_float64, exact, members, SCHEDULE, engine="stacked", group=2, on_point=seen_by(record), at=[8]
    )
    assert all(distance(a, b) < 1e-9 for a, b in zip(together, in_groups, strict=True))
    assert record == [(k, 8) for k in range(5)]


@pytest.fixture
def room_for(monkeypatch):
    """A device that runs out of memory with more than so many networks."""

    original = training.Resident.gather

    def limit(most, error=None):
        def gather(self, positions, cut=None):
            if len(positions) > most * SCHEDULE.batch_size:
                raise error or torch.OutOfMemoryError("out of memory")
            return original(self, positions, cut)

        monkeypatch.setattr(training.Resident, "gather", gather)

    return limit


@pytest.mark.reliability("Processes and disks", "out of memory for a group of 7 networks, with room for 2 of them")
def test_out_of_memory_halves_the_group(data, room_for, happened):
    members = [member(k) for k in range(7)]
    alone = [training.fit_many(all_cnn, data, [one], SCHEDULE)[0] for one in members]
    room_for(2)
    with pytest.warns(RuntimeWarning, match="networks do not fit into memory") as said:
        group = training.fit_many(all_cnn, data, members, SCHEDULE, engine="stacked")
    assert len(group) == 7 and all(distance(a, b) < 1e-3 for a, b in zip(group, alone, strict=True))
    happened(f"'{said[-1].message}'; all 7 networks trained, each as it is alone")


@pytest.mark.parametrize("engine", ["loop", "stacked"])
def test_libraries_of_torch_that_get_no_memory_count_as_out_of_memory(data, room_for, engine):
    denied = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
    room_for(0, denied)
    with pytest.raises(UserError, match="out of memory on cpu with one network"):
        training.fit_many(all_cnn, data, [member(0)], SCHEDULE, engine=engine)
    room_for(0, RuntimeError("CUDA error: an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal memory access"):
        training.fit_many(all_cnn, data, [member(0)], SCHEDULE, engine=engine)
    room_for(1, denied)
    with pytest.warns(RuntimeWarning, match="2 networks do not fit into memory; 1 at a time"):
        assert len(training.fit_many(all_cnn, data, [member(0), member(1)], SCHEDULE, engine="stacked", group=2)) == 2


class Course:
    """Gathers what it is shown, and ends a member's training at the third look; memory runs out at one of them."""

    def __init__(self, out_at=None):
        self.seen, self.out_at = [[] for _ in range(5)], out_at

    def __call__(self, k, iteration, network):
        if (k, iteration) == self.out_at:
            self.out_at = None
            raise torch.OutOfMemoryError("out of memory")
        self.seen[k].append(iteration)
        return 0 if len(self.seen[k]) == 3 else 0.5

    def state_dict(self, members):
        return {"seen": [self.seen[k] for k in members]}

    def load_state_dict(self, state, members):
        for k, seen in zip(members, state["seen"], strict=True):
            self.seen[k] = seen


@pytest.mark.parametrize("out_at", [(0, 4), (2, 4), (4, 4)])
def test_what_a_group_that_did_not_fit_was_seen_to_do_is_forgotten(data, out_at):
    members, found = [member(k) for k in range(5)], []
    for course in (Course(), Course(out_at)):
        options = {"engine": "stacked", "group": 3, "on_point": course, "at": [2, 4, 6, 8]}
        if course.out_at:
            with pytest.warns(RuntimeWarning, match="networks do not fit into memory"):
                fitted = training.fit_many(all_cnn, data, members, SCHEDULE, **options)
        else:
            fitted = training.fit_many(all_cnn, data, members, SCHEDULE, **options)
        assert course.seen == [[2, 4, 6]] * 5
        found.append(fitted)
    assert all(distance(a, b) < 1e-4 for a, b in zip(*found, strict=True))
    assert [one.iterations for one in found[1]] == [6] * 5


def test_a_network_that_does_not_fit_alone_is_an_error(data, room_for):
    room_for(0)
    with pytest.warns(RuntimeWarning), pytest.raises(UserError, match="out of memory on cpu with one network"):
        training.fit_many(all_cnn, data, [member(0), member(1)], SCHEDULE, engine="stacked", group=2)
    with pytest.raises(UserError, match="out of memory on cpu with one network"):
        training.fit_many(all_cnn, data, [member(0)], SCHEDULE, engine="loop")


def test_where_not_even_two_images_fit_one_network_is_tried(data, room_for):
    room_for(0)
    with pytest.raises(UserError, match="out of memory on cpu with one network"):
        training.fit_many(all_cnn, data, [member(0), member(1)], SCHEDULE, engine="stacked")


@pytest.mark.parametrize("engine", ENGINES)
def test_factors_on_the_rate_add_up(data, engine):
    """Halving the rate after the second and the fourth step is what a schedule with these milestones does."""
    members = [member(0), member(1, learning_rate=0.02)]
    constant = training.Schedule(8, 16, policy="constant", bias_rate=1.0)
    stepped = training.Schedule(8, 16, policy="multistep", milestones=(2, 4), factor=0.5, bias_rate=1.0)
    halved = training.fit_many(
        all_cnn, data, members, constant, engine=engine, on_point=lambda k, t, network: 0.5, at=(2, 4)
    )
    expected = training.fit_many(all_cnn, data, members, stepped, engine=engine)
    assert all(distance(a, b) < 1e-6 for a, b in zip(halved, expected, strict=True))
