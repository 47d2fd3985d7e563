"""Optimisers, losses and the ending of a training, in both engines, against torch and by hand."""

import numpy as np
import pytest
import torch

from common import networks, training
from common.errors import UserError
from common.optimisers import direction

RANDOM = np.random.default_rng(0)
LABELS = np.arange(60) % 3
FEATURES = RANDOM.normal(size=(60, 5)) + LABELS[:, None]
ENGINES = ("loop", "stacked")
EVERYTHING = np.arange(60)


def build(generator):
    return networks.kaiming_(networks.Head(5, 3), generator).double()


@pytest.fixture
def data():
    """In float64, all of it in every batch, so that the order of data moves nothing."""
    return training.Resident(torch.from_numpy(FEATURES), LABELS)


def schedule(iterations=4, **changes):
    plain = {"batch_size": 60, "policy": "constant", "bias_rate": 1.0, "weight_decay": 0.0, "momentum": 0.0}
    return training.Schedule(iterations=iterations, **{**plain, **changes})


def by_hand(step, iterations=4, decay=0.0):
    """Weights after `iterations` of ``step(gradient, memory, t)``, from the same start."""
    network = build(torch.Generator().manual_seed(0))
    memories = [{} for _ in network.parameters()]
    for t in range(1, iterations + 1):
        loss = torch.nn.functional.cross_entropy(network(torch.from_numpy(FEATURES)), torch.from_numpy(LABELS))
        for value, memory, slope in zip(
            network.parameters(), memories, torch.autograd.grad(loss, list(network.parameters())), strict=True
        ):
            with torch.no_grad():
                value -= 0.01 * step(slope + decay * value, memory, t)
    return network.state_dict()


def keras_rmsprop(slope, memory, t):
    memory["v"] = 0.9 * memory.get("v", 0) + 0.1 * slope**2
    return slope / torch.sqrt(memory["v"] + 1e-7)


def adam(slope, memory, t):
    memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * slope
    memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * slope**2
    return memory["m"] / (1 - 0.9**t) / (torch.sqrt(memory["v"] / (1 - 0.999**t)) + 1e-8)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "step"), [("rmsprop", keras_rmsprop), ("adam", adam)])
def test_the_rules_by_hand(data, engine, name, step):
    members = [training.Member(EVERYTHING, 0, k) for k in range(2)]
    shared = schedule(optimiser=name, weight_decay=0.01)
    expected = by_hand(step, decay=0.01)
    for fitted in training.fit_many(build, data, members, shared, engine=engine):
        assert all(torch.allclose(fitted.state[key], expected[key], atol=1e-6) for key in expected)


def test_rmsprop_is_keras_own():
    """The rule of the installed Keras, where gradients are so small that the place of the constant decides."""
    keras = pytest.importorskip("keras")
    value = keras.Variable(np.zeros(3, "float32"))
    optimiser = keras.optimizers.RMSprop(learning_rate=0.01)
    slopes = [np.array([1e-5, -1e-3, 2.0], "float32"), np.array([2e-5, 1e-3, -1.0], "float32")]
    for slope in slopes:
        optimiser.apply([keras.ops.convert_to_tensor(slope)], [value])
    memory, ours = {}, torch.zeros(3)
    for slope in slopes:
        ours -= 0.01 * direction(training.Schedule(optimiser="rmsprop"), torch.from_numpy(slope), memory)
    assert np.allclose(value.numpy(), ours.numpy(), rtol=1e-5)


def test_unknown_optimiser_is_named():
    with pytest.raises(UserError, match="optimiser 'lion': expected one of sgd, adam, rmsprop"):
        training.Schedule(optimiser="lion")


# -- focal loss --------------------------------------------------------------------------------------------------------


def test_focal_loss_by_hand():
    """p = .25 and .75 of the right class: -(1 - p)^2 log p; the exponent 0 is the cross-entropy."""
    logits = torch.log(torch.tensor([[0.25, 0.75], [0.25, 0.75]]))
    labels = torch.tensor([0, 1])
    expected = (-(0.75**2) * np.log(0.25) - 0.25**2 * np.log(0.75)) / 2
    assert training.batch_loss(logits, labels, None, 2.0).item() == pytest.approx(expected, rel=1e-6)
    plain = training.batch_loss(logits, labels, None)
    assert training.batch_loss(logits, labels, None, torch.tensor(0.0)).item() == pytest.approx(plain.item(), rel=1e-6)


def test_weighted_losses_by_hand():
    """Losses log 4 and log (4 / 3) with weights 3 and 1: their plain mean, and torch's weighted one."""
    logits = torch.log(torch.tensor([[0.25, 0.75], [0.25, 0.75]]))
    labels, weights = torch.tensor([0, 1]), torch.tensor([3.0, 1.0])
    total = 3 * np.log(4) + np.log(4 / 3)
    assert training.batch_loss(logits, labels, weights).item() == pytest.approx(total / 2, rel=1e-6)
    theirs = torch.nn.functional.cross_entropy(logits, labels, weights).item()
    assert theirs == pytest.approx(total / 4, rel=1e-6)
    for normalised in (True, torch.tensor(True)):
        assert training.batch_loss(logits, labels, weights, normalised=normalised).item() == pytest.approx(theirs)
    plain = training.batch_loss(logits, labels, weights, normalised=torch.tensor(False))
    assert plain.item() == pytest.approx(total / 2, rel=1e-6)
    assert training.batch_loss(logits, labels, None, normalised=True) == training.batch_loss(logits, labels, None)


def test_members_of_a_group_normalise_each_for_itself(data):
    weights = np.linspace(0.1, 3.0, int(data.labels.max()) + 1)
    members = [
        training.Member(EVERYTHING, 0, 0, class_weights=w, normalised=n)
        for w, n in ((weights, False), (weights, True), (None, True), (None, False))
    ]
    group = training.fit_many(build, data, members, schedule(), engine="stacked")
    alone = training.fit_many(build, data, members, schedule(), engine="loop")
    for one, other in zip(group, alone, strict=True):
        assert all(torch.allclose(one.state[key], other.state[key], atol=1e-5) for key in one.state)
    loss = [float(one.loss[-1]) for one in group]
    assert loss[0] != pytest.approx(loss[1], rel=1e-3) and loss[2] == pytest.approx(loss[3], rel=1e-5)


def test_focal_loss_of_a_certain_network_has_a_slope():
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    training.batch_loss(logits, torch.tensor([0]), None, 0.5).backward()
    assert logits.grad.isfinite().all()


def test_members_of_a_group_have_their_own_focal_loss(data):
    members = [training.Member(EVERYTHING, 0, 0, focal=gamma) for gamma in (0.0, 2.0)]
    group = training.fit_many(build, data, members, schedule(), engine="stacked")
    alone = training.fit_many(build, data, members, schedule(), engine="loop")
    for one, other in zip(group, alone, strict=True):
        assert torch.allclose(one.state["head.weight"], other.state["head.weight"], atol=1e-6)
    assert not torch.allclose(group[0].state["head.weight"], group[1].state["head.weight"], atol=1e-4)


def test_a_negative_exponent_is_named():
    with pytest.raises(UserError, match="focal -1: expected an exponent of at least 0"):
        training.Member(EVERYTHING, 0, 0, focal=-1)


# -- changing the rate and ending a training while it runs -------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_what_on_point_returns_multiplies_the_members_rate(data, engine):
    """Half the rate from the third step on is two steps, then two of another training that starts there."""
    members = [training.Member(EVERYTHING, 0, 0), training.Member(EVERYTHING, 0, 0)]
    halved, plain = training.fit_many(
        build, data, members, schedule(4), engine=engine, at=[2], on_point=lambda k, t, network: (0.5, None)[k]
    )
    (first,) = training.fit_many(build, data, members[:1], schedule(2))
    second = training.Member(EVERYTHING, 0, 0, learning_rate=0.005, initial=first.state)
    (expected,) = training.fit_many(build, data, [second], schedule(2))
    assert torch.allclose(halved.state["head.weight"], expected.state["head.weight"], atol=1e-7)
    assert not torch.allclose(plain.state["head.weight"], expected.state["head.weight"], atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_zero_ends_the_members_training(data, engine):
    """Of 100 iterations with 50 stored losses, one member ends after 5 and the others go on."""
    members = [training.Member(EVERYTHING, 0, k) for k in range(3)]
    ends = {0: 100, 1: 5, 2: 100}
    group = training.fit_many(
        build, data, members, schedule(100), engine=engine, at=range(1, 100),
        on_point=lambda k, t, network: 0 if t == ends[k] else None,
    )  # fmt: skip
    (short,) = training.fit_many(build, data, [members[1]], schedule(5))
    assert [fitted.iterations for fitted in group] == [100, 5, 100]
    assert torch.allclose(group[1].state["head.weight"], short.state["head.weight"], atol=1e-7)
    assert group[1].loss_at.tolist() == [2, 4] and len(group[1].loss) == 2 and not group[1].diverged
    assert len(group[0].loss) == 50


@pytest.mark.parametrize("engine", ENGINES)
def test_a_group_whose_members_all_end_stops(data, engine):
    seen = []

    def end(k, t, network):
        seen.append((k, t))
        return 0 if t >= 2 else None

    members = [training.Member(EVERYTHING, 0, k) for k in range(2)]
    group = training.fit_many(build, data, members, schedule(50), engine=engine, at=range(1, 51), on_point=end)
    assert sorted(seen) == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [fitted.iterations for fitted in group] == [2, 2]
