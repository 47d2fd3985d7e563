"""Dropout masks: random enough, and a function of seed, iteration, layer and element alone."""

import numpy as np
import pytest
import torch

from common import dropout

SHAPE = torch.Size((8, 16, 32, 32))


def keys(seed=0, iterations=4, n_layers=3):
    return torch.from_numpy(dropout.take_keys(np.random.default_rng(seed), iterations, n_layers))


def mask(seed=0, iteration=0, layer=0, rate=0.5, shape=SHAPE):
    return dropout.keep_mask(shape, keys(seed)[iteration, layer], rate)


def correlation(a, b):
    return np.corrcoef(a.flatten().double(), b.flatten().double())[0, 1]


def test_the_hash_is_lowbias32():
    """With a second word of zero; expected values by Python's integers."""

    def expected(x):
        x ^= x >> 16
        x = x * 0x7FEB352D % 2**32
        x ^= x >> 15
        x = x * 0x846CA68B % 2**32
        return x ^ x >> 16

    numbers = [0, 1, 2, 77, 2**31 - 1]
    key = 0xDEADBEEF
    ours = dropout._scramble(
        torch.tensor(numbers, dtype=torch.int32), torch.tensor([key - 2**32, 0], dtype=torch.int32)
    )
    assert [v % 2**32 for v in ours.tolist()] == [expected(n ^ key) for n in numbers]


def test_the_hash_is_uniform():
    values = dropout._scramble(torch.arange(2**20, dtype=torch.int32), keys()[0, 0]).numpy().view(np.uint32)
    for part in (values >> 24, values & 0xFF):
        counts = np.bincount(part, minlength=256)
        chi_square = ((counts - 4096.0) ** 2 / 4096).sum()
        assert 150 < chi_square < 380  # 255 degrees of freedom: five standard deviations


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5])
def test_the_share_that_stays(rate):
    kept = mask(rate=rate).double()
    assert kept.mean().item() == pytest.approx(1 - rate, abs=5 * (rate * (1 - rate) / kept.numel()) ** 0.5)
    # Also within every channel and image.
    for over in ((0, 2, 3), (1, 2, 3)):
        assert (kept.mean(over) - (1 - rate)).abs().max() < 0.03


@pytest.mark.parametrize("changes", [{"seed": 1}, {"iteration": 1}, {"layer": 1}, {"layer": 2}])
def test_masks_of_other_seeds_iterations_and_layers_are_independent(changes):
    limit = 5 / SHAPE.numel() ** 0.5
    one, other = mask(), mask(**changes)
    assert abs(correlation(one, other)) < limit
    # Nor is one a shifted copy of the other.
    assert max(abs(correlation(one.flatten()[:-s], other.flatten()[s:])) for s in (1, 2, 16, 512)) < limit


def test_neighbours_are_independent():
    limit = 5 / SHAPE.numel() ** 0.5
    flat = mask().permute(0, 2, 3, 1).flatten()
    assert max(abs(correlation(flat[:-s], flat[s:])) for s in (1, 2, 3, 16, 512, 16384)) < limit


def test_keys_that_differ_in_one_bit_give_no_rearranged_mask():
    one = torch.tensor([5, 9], dtype=torch.int32)
    values = {
        tuple(key): set(dropout._scramble(torch.arange(4096, dtype=torch.int32), torch.tensor(key)).tolist())
        for key in one.add(torch.tensor([[0, 0], [0, 1]], dtype=torch.int32)).tolist()
    }
    first, second = values.values()
    assert len(first & second) < 10


def test_keys_do_not_depend_on_how_they_are_read():
    generator = np.random.default_rng(3)
    parts = [dropout.take_keys(generator, n, 3) for n in (1, 2, 4)]
    assert np.array_equal(np.concatenate(parts), keys(3, 7))
    assert len(np.unique(keys(0, 1000).reshape(-1, 2), axis=0)) == 3000


def test_kept_elements_are_scaled_and_eval_mode_changes_nothing():
    layer = dropout.Dropout(0.2)
    layer.key = keys()[0, 0]
    x = torch.rand(SHAPE) + 1
    out = layer(x)
    kept = mask(rate=0.2)
    assert torch.equal(out == 0, ~kept)
    assert torch.allclose(out[kept], x[kept] / 0.8)
    assert layer.eval()(x) is x
    assert layer.train()(x.bfloat16()).dtype == torch.bfloat16
    assert layer.state_dict() == {}


def test_the_mask_does_not_depend_on_the_memory_format():
    layer = dropout.Dropout(0.5)
    layer.key = keys()[1, 1]
    x = torch.rand(SHAPE)
    last = layer(x.contiguous(memory_format=torch.channels_last))
    assert torch.equal(layer(x), last)
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_of_keys_under_vmap():
    x = torch.rand(3, 4, 5, 6, 6)

    def one(key, x):
        return torch.func.functional_call(layer, {"key": key}, (x,))

    layer = dropout.Dropout(0.5)
    together = torch.func.vmap(one)(keys()[:3, 0], x)
    assert all(torch.equal(together[k], one(keys()[k, 0], x[k])) for k in range(3))


def test_impossible_rates_are_refused():
    with pytest.raises(ValueError, match="rate 1: expected"):
        dropout.Dropout(1)
