"""Claims: every test and verdict on small frames with a known effect, what is left out, and the shipped files."""

import re
from dataclasses import make_dataclass
from itertools import combinations, product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from common import claims, matching, paths
from common.cells import completed
from common.claim_words import caveats
from common.claims import Claim, evaluate, load
from common.errors import UserError
from common.papers import PAPERS
from common.published_numbers import published

NOISE = np.random.default_rng(0).normal(0, 1e-4, 1000)


def results(effect, replicates=range(4), rhos=(10, 100), mus=(0.2, 0.8), **columns) -> pd.DataFrame:
    """Rows of two methods; 'better' is `effect(rho, mu)` above 'plain', up to noise."""
    rows = []
    for i, (replicate, rho, mu) in enumerate(product(replicates, rhos, mus)):
        shared = {"dataset": "mnist", "iterations": 10_000, "replicate": replicate, "rho": float(rho), "mu": mu}
        base = 0.9 - 0.02 * np.log10(rho) + 0.01 * replicate  # replicates differ more than methods: pairing matters
        for method, value in {"plain": base, "better": base + effect(rho, mu) + NOISE[i]}.items():
            rows.append(shared | {"method": method, "metric": "auc", "value": value, "status": "ok", "seed_init": i})
    return pd.DataFrame(rows).assign(**columns)


def claim(**changes) -> Claim:
    entry = {
        "id": "x", "statement": "better is better", "where": "here", "test": "difference", "metric": "auc",
        "of": {"method": "better"}, "against": {"method": "plain"}, "direction": "greater", "margin": 0,
    }  # fmt: skip
    return Claim.parse({k: v for k, v in (entry | changes).items() if v is not None})


def judge(frame, module=None, **changes):
    return evaluate([claim(**changes)], frame, module).iloc[0]


UP = results(lambda rho, mu: 0.01)


# -- tests and verdicts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "margin", "verdict"),
    [
        ("greater", 0, "supported"),
        ("greater", 0.005, "supported"),
        ("greater", 0.01, "undecided"),
        ("greater", 0.02, "not supported"),
        ("less", 0, "not supported"),
        ("not less", 0.001, "supported"),
        ("not greater", 0.005, "not supported"),
        ("not greater", 0.02, "supported"),
    ],
)
def test_difference(direction, margin, verdict):
    row = judge(UP, direction=direction, margin=margin)
    assert row.verdict == verdict
    assert row.effect == pytest.approx(0.01, abs=2e-4) and row.n == 4 and row.cells == 4
    assert row.low < row.effect < row.high


@pytest.mark.parametrize(("margin", "verdict"), [(0.02, "supported"), (0.005, "not supported"), (0.01, "undecided")])
def test_equivalence(margin, verdict):
    assert judge(UP, test="equivalence", direction=None, margin=margin).verdict == verdict


def test_level():
    row = judge(UP, test="level", against=None, on={"rho": 10}, value=0.85, direction="greater")
    assert row.verdict == "supported" and row.effect == pytest.approx(0.88 + 0.015 + 0.01, abs=1e-3)
    assert judge(UP, test="level", against=None, value=0.99, direction="greater").verdict == "not supported"
    assert judge(UP, test="level", against=None, value=0.9, direction="equal", margin=0.05).verdict == "supported"


def test_trend_of_the_difference_and_of_the_level():
    falling = results(lambda rho, mu: 0.03 - 0.02 * mu - 0.01 * np.log10(rho), rhos=(10, 100, 1000))
    row = judge(falling, test="trend", over="mu", direction="less")
    assert row.verdict == "supported" and row.effect == pytest.approx(-0.02, abs=5e-4)
    row = judge(falling, test="trend", over="rho", scale="log10", direction="less")
    assert row.verdict == "supported" and row.effect == pytest.approx(-0.01, abs=5e-4)
    row = judge(
        falling, test="trend", over="rho", scale="log10", direction="less", against=None, of={"method": "plain"}
    )
    assert row.effect == pytest.approx(-0.02)
    flat = {"test": "trend", "over": "mu", "direction": "flat"}
    assert judge(UP, margin=0.01, **flat).verdict == "supported"
    assert judge(falling, margin=0.01, **flat).verdict == "not supported"


def test_trend_is_not_tilted_by_a_missing_cell():
    frame = results(lambda rho, mu: 0.1 * np.log10(rho) + 0.01 * mu)
    frame = frame[(frame["rho"] != 100) | (frame["mu"] != 0.8)]
    assert judge(frame, test="trend", over="mu").effect == pytest.approx(0.01, abs=1e-3)


def test_the_rivals_of_one_network_are_no_settings_of_their_own():
    """Five rivals that are the same leave as much doubt as one, and a setting without a second counts as it is."""
    mixed = results(lambda rho, mu: 0.02 if rho == 10 else 0.01)
    scatter = np.random.default_rng(1).normal(0, 0.01, len(mixed)) * (mixed["method"] == "better")
    mixed["value"] += scatter
    rivals = [f"rival {i}" for i in range(5)]
    many = pd.concat([mixed, *(mixed[mixed["method"] == "plain"].assign(method=name) for name in rivals)])
    one, five = judge(mixed), judge(many, against={"method": rivals})
    assert one[["effect", "low", "high"]].tolist() == pytest.approx(five[["effect", "low", "high"]].tolist())
    for row in (one, five):
        assert "widened to the spread of replicates within each setting" in row.verdict_note or row.low < row.effect


def test_settings_that_share_a_reference_still_widen_an_interval():
    """Against one balanced network all settings would be one column, whose spread is that of the mean alone."""
    signs = {10.0: (1, -1, 1, -1), 100.0: (-1, 1, -1, 1)}  # what one ratio gains in a replicate the other loses
    shared = {"dataset": "mnist", "iterations": 10_000, "metric": "auc", "status": "ok", "method": "plain"}
    cells = [shared | {"replicate": k, "rho": 1.0, "imbalance": "none", "value": 0.95 + NOISE[k]} for k in range(4)]
    for rho, sign in signs.items():
        step = shared | {"rho": rho, "imbalance": "step"}
        cells += [step | {"replicate": k, "value": 0.9 + 0.03 * sign[k]} for k in range(4)]
    arms = {"of": {"imbalance": "step"}, "against": {"imbalance": "none"}, "unmatched": ["rho"], "direction": "less"}
    row = judge(pd.DataFrame(cells), **arms)
    # Each ratio's deviation is .0346, that of their mean .0245; 6 degrees of freedom give 2.447 of its half.
    assert "within each setting" in row.verdict_note
    assert (row.high - row.low) / 2 == pytest.approx(2.447 * 0.0245 / 2, rel=0.01)


def test_every_shows_the_least_and_some_the_most_favourable():
    mixed = results(lambda rho, mu: 0.02 if rho == 10 else -0.01)
    row = judge(mixed, every="rho")
    assert row.verdict == "not supported" and "least favourable of 2: rho = 100" in row.verdict_note
    row = judge(mixed, some=["rho"])
    assert row.verdict == "supported" and "most favourable of 2: rho = 10" in row.verdict_note
    assert judge(mixed, some="rho", direction="less", margin=0.015).verdict == "not supported"
    assert judge(UP, every=["rho", "mu"]).verdict == "supported"


def test_a_function_of_the_study():
    def claim_best(claim, rows):
        assert set(rows["method"]) == {"better"} and set(rows["rho"]) == {10.0}
        return rows.groupby("replicate")["value"].mean() - 0.9

    found = {"test": "claim_best", "quantity": "x", "of": None, "against": None, "on": {"method": "better", "rho": 10}}
    assert judge(UP, SimpleNamespace(claim_best=claim_best), **found).n == 4
    with pytest.raises(UserError, match=r"claim 'x': no function claim_best"):
        judge(UP, SimpleNamespace(), **found)
    row = judge(UP, SimpleNamespace(), **found, requires={"dataset": "cifar10"})
    assert row.verdict == "no data"


def test_difference_of_two_metrics():
    train = UP.assign(
        metric="train", value=UP["value"] + np.where(UP["method"] == "better", 0.02, 0.05 + NOISE[: len(UP)])
    )
    row = judge(pd.concat([UP, train]), metric="train - auc", direction="less")
    assert row.verdict == "supported" and row.effect == pytest.approx(-0.03, abs=1e-4)


def test_folds_that_share_images_get_the_wider_interval():
    naive, corrected = judge(UP), judge(UP, test_share=0.5)
    assert corrected.high - corrected.low == pytest.approx((naive.high - naive.low) * np.sqrt(1.25 / 0.25))


@pytest.mark.parametrize("other", [{"imbalance": "linear"}, {"iterations": 10_000}])
def test_what_a_claim_requires_has_to_be_judged(other):
    step = UP.assign(imbalance="step", iterations=2500)
    third = UP[UP["method"] == "better"].assign(imbalance="step", iterations=2500, method="third")
    third["value"] += NOISE[: len(third)]
    rivals = {"against": {"method": ["plain", "third"]}, "on": {"imbalance": "step"}, "every": "method (against)"}
    required = rivals | {"requires": {"method": ["plain", "third"]}, "direction": "not less", "margin": 0.001}
    assert judge(pd.concat([step, third]), **required).verdict == "supported"
    row = judge(pd.concat([step, third[third["rho"] == 10].assign(**other)]), **required)
    assert row.verdict == "no data" and "nothing to judge with method = third" in row.verdict_note


@pytest.mark.parametrize("quantifier", ["some", "every"])
def test_a_group_without_all_that_is_required_is_left_out(quantifier):
    """The best of three readings must not be one tried only where it is easy, nor the worst one where it is hard."""
    plain, better = (UP[UP["method"] == name] for name in ("plain", "better"))
    shift = 0.1 if quantifier == "some" else -0.1
    partial = better[better["rho"] == 10].assign(method="partial", value=better["value"] + shift)
    frame = pd.concat([plain, better, partial])
    changes = {"of": {"method": ["better", "partial"]}, "requires": {"rho": [10, 100]}, quantifier: "method"}
    row = judge(frame, **changes)
    assert row.verdict == "supported" and row.effect == pytest.approx(0.01, abs=1e-3)
    assert "left out: method = partial (nothing to judge with rho = 100)" in row.verdict_note
    row = judge(frame[(frame["method"] != "better") | (frame["rho"] == 100)], **changes)
    assert row.verdict == "no data" and "rho = " in row.verdict_note


def test_what_is_required_decides_which_replicates_stay():
    """Two whole replicates, and a third that has begun: six cells either way, but only the two have rho 100."""
    frame = results(lambda rho, mu: 0.01, range(3), (1, 10, 100), (0.2,))
    begun = frame[(frame["replicate"] < 2) | (frame["rho"] < 100)]
    row = judge(begun, requires={"rho": [1, 10, 100]})
    assert row.low > 0 and row.n == 2 and row.cells == 3
    row = judge(frame[(frame["replicate"] == 0) | (frame["rho"] == 1)], requires={"rho": [1, 10, 100]})
    assert row.verdict == "undecided" and row.n == 1 and row.cells == 3


def test_a_function_gets_the_replicates_that_have_what_is_required():
    module = SimpleNamespace(claim_mean=lambda claim, rows: rows.groupby("replicate")["value"].mean())
    found = {"test": "claim_mean", "quantity": "x", "of": None, "against": None, "on": {"method": "better"}}
    frame = UP[(UP["replicate"] > 0) | (UP["rho"] == 10)]
    row = judge(frame, module, requires={"rho": [10, 100]}, **found)
    assert row.n == 3 and "1 of 4 replicates left out: nothing to judge with rho = 100" in row.verdict_note
    assert judge(frame, module, requires={"rho": [10, 5000]}, **found).verdict == "no data"
    row = judge(frame, module, **found)  # nothing required: over common cells all the same
    assert row.n == 3 and row.cells == 4 and "1 of 4 replicates" in row.verdict_note
    frame = results(lambda rho, mu: 0.01, rhos=(10, 100, 1000, 5000))
    hardest = (frame["rho"] == 5000) & (frame["mu"] == 0.8)
    row = judge(frame[~hardest | (frame["replicate"] != 2)], module, **found)
    common = frame[~hardest & (frame["method"] == "better")].groupby("replicate")["value"].mean()
    assert (row.n, row.cells) == (4, 7) and row.effect == pytest.approx(common.mean())


@pytest.mark.parametrize(
    ("rhos", "changes", "note"),
    [
        ((10, 100), {}, "on 4 settings (rho 10, 100; mu 0.2, 0.8)"),
        ((10, 100), {"on": {"rho": 10}}, "on 2 settings (mu 0.2, 0.8)"),
        ((10,), {}, "on 2 settings (rho 10; mu 0.2, 0.8)"),
        ((1, 2, 3, 4, 5, 6), {"on": {"mu": 0.2}}, "on 6 settings (rho 1 to 6, 6 values)"),
        ((10,), {"on": {"rho": 10, "mu": 0.2}}, ""),
    ],
)
def test_a_verdict_says_on_what_it_rests(rhos, changes, note):
    assert judge(results(lambda rho, mu: 0.01, rhos=rhos), **changes).verdict_note == note


# -- which rows meet ---------------------------------------------------------------------------------------------------


def test_pairing_drops_cells_without_a_partner():
    frame = UP.copy()
    gone = (frame["method"] == "plain") & (frame["rho"] == 100) & (frame["mu"] == 0.8)
    frame.loc[gone, "mu"] = 0.9  # neither the better at .8 nor the plain at .9 has a partner
    row = judge(frame)
    assert row.cells == 3 and "8 without a partner left out" in row.verdict_note
    assert row.effect == pytest.approx(0.01, abs=2e-4)


def test_arms_without_a_cell_in_common_say_in_what_they_differ():
    frame = UP.assign(loss=np.where(UP["method"] == "better", "focal", "plain"))
    row = judge(frame)
    assert row.verdict == "no data" and row.verdict_note.endswith("results without a partner; they differ in loss)")
    assert judge(frame, unmatched="loss").verdict == "supported"


def test_rounding_of_computed_numbers_does_not_part_a_pair():
    frame = UP.assign(mu=np.where(UP["method"] == "plain", UP["mu"] + 1e-16, UP["mu"]))
    assert judge(frame, on={"mu": [0.2]}).cells == 2


def test_arms_may_name_columns_and_a_reference_serves_all():
    reference = results(lambda rho, mu: 0, rhos=(1,), mus=(np.nan,)).query("method == 'plain'")
    step = UP.assign(imbalance="step", value=UP["value"] + NOISE[: len(UP)])
    frame = pd.concat([step, reference.assign(imbalance="none")])
    row = judge(
        frame, of={"method": "plain", "imbalance": "step"}, against={"imbalance": "none"}, unmatched=["rho", "mu"],
        direction="less",
    )  # fmt: skip
    assert row.verdict == "supported" and row.cells == 4 and row.effect == pytest.approx(-0.03, abs=1e-4)


def test_missing_text_and_missing_number_are_values():
    frame = UP.assign(prior=np.where(UP["method"] == "plain", None, "original"), to_rho=np.nan)
    assert judge(frame, against={"method": "plain", "prior": ""}, on={"to_rho": ""}).verdict == "supported"


def test_a_half_finished_replicate_goes_as_a_whole():
    frame = UP[(UP["replicate"] < 3) | ((UP["rho"] == 10) & (UP["mu"] == 0.2))]
    row = judge(frame)
    assert row.n == 3 and row.cells == 4 and "1 of 4 replicates" in row.verdict_note


def test_a_diverged_cell_costs_the_cell_not_the_replicate():
    frame = results(lambda rho, mu: 0.01, rhos=(10, 100, 1000, 5000))
    one = (frame["replicate"] == 2) & (frame["rho"] == 5000) & (frame["mu"] == 0.8) & (frame["method"] == "plain")
    frame.loc[one, ["status", "value"]] = ["diverged", 0.1]
    row = judge(frame)
    assert row.n == 4 and row.cells == 7 and row.effect == pytest.approx(0.01, abs=2e-4)
    assert "1 diverged of method = plain left out" in row.verdict_note and "1 of 8 cells" in row.verdict_note


WIDE = {"rhos": (10, 100, 1000, 5000), "mus": (0.2, 0.5, 0.8)}


def diverged(frame, method, **where):
    """The frame with these networks of a method diverged."""
    gone = frame["method"].isin([method] if isinstance(method, str) else method)
    for column, value in where.items():
        gone &= frame[column] == value
    return frame.assign(status=frame["status"].mask(gone, "diverged"), value=frame["value"].mask(gone))


@pytest.mark.parametrize(
    ("method", "direction", "effect", "cells", "verdict"),
    [
        # One cell of twelve: no score that it may have had outweighs a large effect, any outweighs a small one.
        ("better", "greater", 0.1, {"rho": 5000, "mu": 0.8}, "supported"),
        ("better", "not less", 0.1, {"rho": 5000, "mu": 0.8}, "supported"),
        ("better", "less", 0.1, {"rho": 5000, "mu": 0.8}, "not supported"),
        ("plain", "less", -0.1, {"rho": 5000, "mu": 0.8}, "supported"),
        ("plain", "greater", 0.01, {"rho": 5000, "mu": 0.8}, "undecided"),
        ("better", "greater", 0.01, {"rho": 5000, "mu": 0.8}, "undecided"),
        ("better", "not less", 0.01, {"rho": 5000, "mu": 0.8}, "undecided"),
        ("better", "less", 0.01, {"rho": 5000, "mu": 0.8}, "undecided"),
        # A quarter of the cells.
        ("better", "greater", 0.1, {"rho": 5000}, "undecided"),
        # Both sides: neither is better there.
        (["better", "plain"], "greater", 0.01, {"rho": 5000, "mu": 0.8}, "supported"),
        # One network of one replicate.
        ("better", "not less", 0.0, {"rho": 5000, "mu": 0.8, "replicate": 2}, "undecided"),
    ],
)
def test_a_verdict_is_the_same_whatever_diverged_networks_would_have_scored(method, direction, effect, cells, verdict):
    whole = results(lambda rho, mu: effect, **WIDE)
    before = judge(whole, direction=direction, margin=0.001)
    row = judge(diverged(whole, method, **cells), direction=direction, margin=0.001)
    assert row.verdict == verdict and row.effect == pytest.approx(before.effect, abs=1e-4)
    said = f"undecided because of what diverged: the rest alone would be {before.verdict}"
    assert (said in row.verdict_note) == (verdict == "undecided")
    assert ("whose partner did not" in row.verdict_note) == isinstance(method, str)


def test_a_level_counts_what_diverged_at_its_worst_and_best():
    level = {"test": "level", "against": None, "value": 0.8, "direction": "greater"}
    assert (
        judge(diverged(results(lambda rho, mu: 0, **WIDE), "better", rho=5000, mu=0.8), **level).verdict == "undecided"
    )
    less = level | {"value": 0.89, "direction": "less"}
    whole = results(lambda rho, mu: 0, **WIDE)
    assert judge(whole, **less).verdict == "supported"
    assert judge(diverged(whole, "better", rho=5000, mu=0.8), **less).verdict == "undecided"
    low = level | {"value": 0.5}
    assert judge(diverged(results(lambda rho, mu: 0, **WIDE), "better", rho=5000, mu=0.8), **low).verdict == "supported"


@pytest.mark.parametrize("margin", [0.01, 0.001])
def test_what_diverges_is_neither_equivalent_nor_refutes_it(margin):
    """At its best it would be above the margin, at its worst below, and between it would lie inside."""
    same = {"test": "equivalence", "direction": None, "margin": margin}
    whole = results(lambda rho, mu: 0.0)
    assert judge(whole, **same).verdict == "supported"
    assert judge(diverged(whole, "better", rho=100, mu=0.8), **same).verdict == "undecided"
    assert judge(diverged(whole, ["better", "plain"], rho=100, mu=0.8), **same).verdict == "supported"
    many = diverged(results(lambda rho, mu: 0.0, range(50), (10,), (0.2,)), "better", replicate=7)
    assert judge(many, **same).verdict == "undecided"
    one = diverged(whole[whole["replicate"] == 0], "better", rho=100)
    assert judge(one, **same).verdict == "undecided"


def test_no_group_decides_by_what_diverged():
    """Neither the one that `some` needs nor the one that refutes `every`."""
    third = UP[UP["method"] == "better"].assign(method="third", value=lambda rows: rows["value"] - 0.02)
    arms = {"of": {"method": ["better", "third"]}}
    frame = pd.concat([UP, third])
    assert judge(frame, some="method", **arms).verdict == "supported"
    assert judge(diverged(frame, "better", rho=100), some="method", **arms).verdict == "undecided"
    assert judge(diverged(frame, "third", rho=100), some="method", **arms).verdict == "supported"
    assert judge(frame, every="method", **arms).verdict == "not supported"
    row = judge(diverged(frame, "third", rho=100), every="method", **arms)
    assert row.verdict == "undecided" and "least favourable of 2: method = third" in row.verdict_note
    assert judge(diverged(frame, "better", rho=100), every="method", **arms).verdict == "not supported"
    assert judge(diverged(frame, "plain", rho=100), every="method", **arms).verdict == "undecided"


@pytest.mark.parametrize("effect", [0.5, -0.5])
def test_what_has_no_worst_and_best_is_undecided_where_it_diverged(effect):
    frame = results(lambda rho, mu: effect * (1 + mu), **WIDE)
    trend, mean = {"test": "trend", "over": "mu"}, {"metric": "seconds"}
    module = SimpleNamespace(claim_mean=lambda claim, rows: rows.groupby("replicate")["value"].mean() - 0.8)
    own = {"test": "claim_mean", "quantity": "x", "of": None, "against": None, "on": {"method": "better"}}
    for changes in (trend, mean, own):
        judged = frame.assign(metric=changes.get("metric", "auc"))
        assert judge(judged, module, **changes).verdict in ("supported", "not supported")
        row = judge(diverged(judged, "better", rho=5000, mu=0.8), module, **changes)
        assert row.verdict == "undecided" and "undecided because of what diverged" in row.verdict_note
    # What it took from one group says nothing of the others.
    frame = frame.assign(metric="seconds")
    lost = diverged(frame, "better", rho=5000)
    row = judge(lost, some="rho", **mean)
    assert row.verdict == ("supported" if effect > 0 else "undecided")
    assert judge(lost, every="rho", **mean).verdict == ("undecided" if effect > 0 else "not supported")


@pytest.mark.parametrize("replicates", [2, 5])
def test_few_equal_replicates_decide_only_an_identity(replicates):
    frame = UP[UP["replicate"] == 0]
    same = pd.concat([frame.assign(replicate=i) for i in range(replicates)])
    # Up to rounding: 0.1 + 0.2 is not 0.3.
    same["value"] += np.where(same["method"] == "plain", 0, 1e-16) * same["replicate"]
    row = judge(same)
    assert row.verdict == "undecided" and row.n == replicates and row.high - row.low < 1e-12
    assert f"undecided because {replicates} equal replicates show nothing of chance" in row.verdict_note
    row = judge(same, identity=True)
    assert row.verdict == "supported" and "equal" not in row.verdict_note
    assert judge(frame, identity=True).verdict == "undecided"
    many = pd.concat([frame.assign(replicate=i) for i in range(6)])
    assert judge(many).verdict == "supported"


def test_a_flat_trend_or_an_equal_level_that_lost_cells_is_undecided():
    same = results(lambda rho, mu: 0.0, mus=(0.2, 0.5, 0.8))
    lost = same.assign(status=np.where((same["method"] == "better") & (same["mu"] == 0.8), "diverged", "ok"))
    flat = {"test": "trend", "over": "mu", "direction": "flat", "margin": 0.01}
    level = {"test": "level", "against": None, "value": 0.88, "direction": "equal", "margin": 0.05}
    for changes in (flat, flat | {"against": None}, level):
        assert judge(same, **changes).verdict == "supported"
        assert judge(lost, **changes).verdict == "undecided"


def test_a_group_that_diverged_is_not_forgotten():
    def judged(effect, **changes):
        frame = results(lambda rho, mu: effect)
        frame.loc[frame["rho"] == 100, "status"] = "diverged"  # on both sides: no pair is lopsided
        return judge(frame, **changes)

    row = judged(0.01, every="rho")
    assert row.verdict == "undecided" and "not judged, for it diverged: rho = 100" in row.verdict_note
    assert judged(-0.01, every="rho").verdict == "not supported"
    assert judged(0.01, some="rho").verdict == "supported"
    assert judged(-0.01, some="rho").verdict == "undecided"


def test_the_group_shown_is_the_one_that_decides():
    frame = results(lambda rho, mu: 0.001 if rho == 10 else 0.01)
    wide = (frame["rho"] == 100) & (frame["method"] == "better")
    frame.loc[wide, "value"] += np.resize([-0.05, 0.05], wide.sum()) * (frame.loc[wide, "replicate"] % 2 * 2 - 1)
    frame.loc[wide, "value"] += 0.02 * (frame.loc[wide, "replicate"] - 1.5)
    row = judge(frame, every="rho")
    assert row.verdict == "undecided" and "least favourable of 2: rho = 100" in row.verdict_note and row.low < 0


def test_nothing_but_diverged_rows():
    row = judge(UP.assign(status="diverged"))
    assert row.verdict == "no data" and "diverged" in row.verdict_note


def test_two_values_of_one_cell_are_an_error():
    with pytest.raises(UserError, match=r"claim 'x': two values of auc for one cell .*rho = 10"):
        judge(pd.concat([UP, UP.head(1)]))


def test_a_result_from_before_a_field_was_added_has_its_default():
    older = UP["method"] == "plain"
    frame = UP.assign(width=np.where(older, np.nan, 96.0), whiten=np.where(older, None, True))
    cell = make_dataclass("Cell", [("dataset", str), ("width", int, 96), ("whiten", bool, True), ("mu", float, None),
                                   ("later", str, "no")])  # fmt: skip
    assert judge(frame).verdict == "no data"
    whole = completed(frame, cell)
    assert set(whole["later"]) == {"no"} and whole["whiten"].all() and whole["mu"].equals(frame["mu"])
    assert judge(whole).verdict == "supported"
    assert judge(completed(frame.assign(width=frame["width"] * 2), cell)).verdict == "no data"


def test_columns_that_only_record_do_not_part_pairs():
    frame = UP.assign(n_train=np.arange(len(UP)), engine=np.arange(len(UP)) % 3, memory=np.arange(len(UP)))
    assert judge(frame).verdict == "no data"
    assert judge(frame, SimpleNamespace(NOT_DESIGN=["memory"])).verdict == "supported"


# -- schedules and stand-ins -------------------------------------------------------------------------------------------


def test_schedules_are_never_mixed():
    short = results(lambda rho, mu: -0.05, iterations=2500)
    row = judge(pd.concat([short, UP]), SimpleNamespace(FULL_ITERATIONS={"mnist": 10_000}))
    assert row.verdict == "supported" and row.n == 4 and "shortened" not in row.verdict_note
    # One replicate of the full schedule gives no interval, so the shorter one is judged, and says so.
    row = judge(pd.concat([short, UP[UP["replicate"] == 0]]), SimpleNamespace(FULL_ITERATIONS={"mnist": 10_000}))
    assert row.verdict == "not supported" and row.n == 4
    assert row.verdict_note == (
        "10000 iterations not judged, too few: 0 of 4 comparisons in two replicates; "
        "shortened schedule: 2500 of 10000 iterations; on 4 settings (rho 10, 100; mu 0.2, 0.8)"
    )


@pytest.mark.parametrize(
    ("rhos", "judged"), [((10,), 2500), ((10, 100, 250, 500), 10_000), ((10, 100, 250, 500, 1000, 2500), 10_000)]
)
def test_a_longer_schedule_is_judged_once_it_covers_the_grid(rhos, judged):
    short = results(lambda rho, mu: -0.05, rhos=(10, 100, 250, 500, 1000), iterations=2500)
    row = judge(pd.concat([short, results(lambda rho, mu: 0.01, replicates=range(2), rhos=rhos)]))
    assert row.verdict == ("undecided" if judged == 10_000 else "not supported") and (row.effect > 0) == (judged > 2500)
    assert row.n == (2 if judged == 10_000 else 4) and row.cells == 2 * (len(rhos) if judged == 10_000 else 5)
    assert ("10000 iterations not judged, too few: 2 of 10 comparisons" in row.verdict_note) == (judged == 2500)
    assert ("two replicates only" in caveats(row.verdict_note)[0]) == (row.n == 2)


def test_a_longer_schedule_is_not_passed_over_for_what_diverged_in_it():
    long = UP.assign(status=np.where((UP["method"] == "better") & (UP["rho"] == 100), "diverged", "ok"))
    short = results(lambda rho, mu: 0.01, iterations=2500)
    row = judge(pd.concat([short, long]))
    assert row.cells == 2 and row.verdict == "undecided" and "8 diverged of method = better" in row.verdict_note


def test_a_level_from_a_shortened_schedule_has_no_verdict():
    level = {"test": "level", "against": None, "value": 0.5}
    row = judge(UP.assign(iterations=2500), SimpleNamespace(FULL_ITERATIONS={"mnist": 10_000}), **level)
    assert row.verdict == "no data" and "full schedule only" in row.verdict_note and row.effect > 0.8
    assert judge(UP, SimpleNamespace(FULL_ITERATIONS={"mnist": 10_000}), **level).verdict == "supported"


def test_a_level_on_other_data_has_no_verdict():
    study = SimpleNamespace(levels=lambda settings: "a reconstruction" if set(settings["rho"]) == {10, 100} else "")
    level = {"test": "level", "against": None, "value": 0.5}
    row = judge(UP, study, **level)
    assert row.verdict == "no data" and "a reconstruction" in row.verdict_note and row.effect > 0.8
    assert judge(UP, study, **level, on={"rho": 10}).verdict == judge(UP, study).verdict == "supported"


@pytest.mark.parametrize(
    ("direction", "value", "verdict"),
    [
        ("not less", 5, "supported"),
        ("not greater", 5, "supported"),
        ("greater", 5, "not supported"),
        ("less", 5, "not supported"),
        ("not less", 4, "not supported"),
        ("not greater", 6, "not supported"),
    ],
)
def test_a_count_at_its_bound_is_neither_less_nor_greater(direction, value, verdict):
    entry = {"id": "few", "statement": "Five.", "where": "here", "test": "count_numbers", "margin": 0, "value": 5,
             "quantity": "numbers", "direction": direction}  # fmt: skip
    study = SimpleNamespace(count_numbers=lambda claim: value)
    assert evaluate([Claim.parse(entry)], pd.DataFrame(), study).iloc[0].verdict == verdict


def test_groups_are_told_apart_however_close_their_values_are():
    frame = results(lambda rho, mu: -0.05 if rho == 1_000_000 else 0.05, rhos=(1_000_000, 1_000_001))
    row = judge(frame, every=["rho"])
    assert row.verdict == "not supported" and "least favourable of 2: rho = 1000000" in row.verdict_note


@pytest.mark.parametrize(("value", "verdict"), [(0.11, "supported"), (0.09, "not supported")])
def test_what_is_counted_needs_no_results(value, verdict):
    entry = {"id": "few", "statement": "Few numbers.", "where": "here", "test": "count_numbers", "margin": 0.1,
             "quantity": "share saved", "direction": "greater", "on": {"dataset": "cifar10"}}  # fmt: skip
    study = SimpleNamespace(count_numbers=lambda claim: value)
    for frame in (pd.DataFrame(), UP):
        row = evaluate([Claim.parse(entry)], frame, study).iloc[0]
        assert (row.verdict, row.effect, row.n) == (verdict, value, 0) and np.isnan(row.low)
        assert row.verdict_note == "counted, not measured: without an interval"
    with pytest.raises(UserError, match="no function count_numbers"):
        evaluate([Claim.parse(entry)], UP, SimpleNamespace())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "auc"}, "metric does not go with count_numbers"),
        ({"quantity": ""}, "quantity is missing"),
        ({"direction": "equal"}, "direction 'equal'; expected 'greater'"),
    ],
)
def test_a_count_is_checked(change, message):
    entry = {"id": "few", "statement": "Few.", "where": "here", "test": "count_numbers", "margin": 0.1,
             "quantity": "share saved", "direction": "greater"}  # fmt: skip
    with pytest.raises(UserError, match=message):
        Claim.parse(entry | change)


def test_why_results_are_not_judged_is_said_of_claims_on_them_alone():
    told = SimpleNamespace(judged=lambda frame: frame.iloc[:0], unjudged=lambda frame: f"{len(frame)} not learned")
    both = pd.concat([UP, UP.assign(dataset="cifar10")])
    assert judge(both, told, on={"dataset": "cifar10"}).verdict_note == f"no results; {len(UP)} not learned"


def test_what_a_study_does_not_judge_has_a_reason():
    study = SimpleNamespace(judged=lambda frame: frame.iloc[:0], unjudged=lambda frame: f"{len(frame)} not learned")
    row = judge(UP, study)
    assert row.verdict == "no data" and row.verdict_note == f"no results; {len(UP)} not learned"


def test_stand_ins_never_count():
    assert "stand-in" in judge(UP.assign(stand_in=True)).verdict_note
    mixed = pd.concat([UP.assign(stand_in=False), results(lambda rho, mu: -1, range(4, 9), stand_in=True)])
    row = judge(mixed)
    assert row.verdict == "supported" and row.n == 4


@pytest.mark.parametrize(
    ("frame", "changes", "note"),
    [
        (pd.DataFrame(), {}, "no results"),
        (UP, {"requires": {"dataset": ["mnist", "cifar10"]}}, "dataset = cifar10"),
        (UP, {"on": {"rho": 5000}}, "rho = 5000"),
        (UP, {"on": {"prior": "original"}}, "no column 'prior'"),
        (UP, {"metric": "recall"}, "metric = recall"),
        (UP, {"test": "trend", "over": "rho", "on": {"rho": 10}}, "two values of rho"),
    ],
)
def test_no_data_says_what_is_missing(frame, changes, note):
    row = judge(frame, **changes)
    assert row.verdict == "no data" and note in row.verdict_note and np.isnan(row.effect)


def test_one_replicate_is_undecided():
    row = judge(UP[UP["replicate"] == 0])
    assert row.verdict == "undecided" and row.n == 1 and "needs two" in row.verdict_note


def test_of_blocks_of_one_size_that_of_more_replicates_counts():
    table = pd.DataFrame(
        [(replicate, rho, 0.5) for replicate, cells in ((0, 3), (1, 3), (2, 2)) for rho in range(cells)],
        columns=["replicate", "rho", "value"],
    )
    assert matching.complete_block(table)[0].shape == (3, 2)


SHORT, LONG = {"iterations": 2500, "precision": "fp32"}, {"iterations": 10_000, "precision": "bf16"}


@pytest.mark.parametrize(
    ("short", "long", "verdict", "cells"),
    [
        ((10, 100, 250, 500, 1000), (10, 100, 250, 500), "supported", 8),  # 4 of 5 settings; precision is no setting
        ((10, 100, 250, 500, 1000), (10, 100, 250), "not supported", 10),  # 3 of 5 are too few
        ((10, 100), (1000, 5000), "supported", 4),  # of equal ones the longest
    ],
)
def test_the_longest_schedule_counts_that_covers_the_grid(short, long, verdict, cells):
    frame = pd.concat([
        results(lambda rho, mu: -0.05, rhos=short, **SHORT), results(lambda rho, mu: 0.01, rhos=long, **LONG)
    ])  # fmt: skip
    row = judge(frame)
    assert (row.verdict, row.cells) == (verdict, cells)


def test_each_data_set_has_its_own_schedule():
    """MNIST counts at the longer one (.01), CIFAR-10, which has no other, at the short one (-.05)."""
    frame = pd.concat([
        results(lambda rho, mu: -0.05, **SHORT), results(lambda rho, mu: 0.01, **LONG),
        results(lambda rho, mu: -0.05, **SHORT, dataset="cifar10"),
    ])  # fmt: skip
    assert judge(frame).effect == pytest.approx(-0.02, abs=1e-3)


def test_complete_block_prefers_more_values():
    table = pd.DataFrame([(r, c, 1.0) for r, c in product(range(3), "abcd")], columns=["replicate", "cell", "value"])
    block, settings, note = matching.complete_block(table)
    assert block.shape == (3, 4) and list(settings["cell"]) == list("abcd") and note == ""
    block, _, note = matching.complete_block(table.drop(index=[0, 1, 2]))
    assert list(block.index) == [1, 2] and note == "incomplete, left out: 1 of 3 replicates"
    block, settings, note = matching.complete_block(table.drop(index=[3]))
    assert block.shape == (3, 3) and "1 of 4 cells" in note and not block.isna().any(axis=None)


def test_a_replicate_with_settings_of_its_own_costs_the_others_nothing():
    """Replicate 3 has more cells than any other, of which others have one: they stand as before, without it."""
    measured = {0: "ab", 1: "ab", 2: "ab", 3: "acde"}
    table = pd.DataFrame(
        [(replicate, cell, 1.0) for replicate, cells in measured.items() for cell in cells],
        columns=["replicate", "cell", "value"],
    )
    block, settings, note = matching.complete_block(table)
    assert list(block.index) == [0, 1, 2] and list(settings["cell"]) == ["a", "b"]
    assert note == "incomplete, left out: 1 of 4 replicates and 3 of 5 cells"


@pytest.mark.parametrize("seed", range(30))
def test_no_block_of_complete_replicates_is_larger(seed):
    """Against all sets of two or more replicates, one by one."""
    rng = np.random.default_rng(seed)
    there = rng.random((rng.integers(2, 7), rng.integers(2, 12))) < rng.choice([0.5, 0.7, 0.9])
    table = pd.DataFrame([(r, c, 1.0) for r, c in np.argwhere(there)], columns=["replicate", "cell", "value"])
    sets = [list(rows) for n in range(2, len(there) + 1) for rows in combinations(range(len(there)), n)]
    largest = max(len(rows) * there[rows].all(axis=0).sum() for rows in sets)
    if largest:
        assert matching.complete_block(table)[0].size == largest
    else:
        with pytest.raises(matching.NoData, match="in two replicates"):
            matching.complete_block(table)


@pytest.mark.parametrize("most", [1024, 8])
def test_many_replicates_that_each_lack_something(monkeypatch, most):
    """Forty replicates, each without a cell of its own: twenty of them have the twenty cells that the others lack."""
    monkeypatch.setattr(matching, "BLOCKS", most)
    table = pd.DataFrame(
        [(r, c, 1.0) for r, c in product(range(40), range(40)) if r != c], columns=["replicate", "cell", "value"]
    )
    block = matching.complete_block(table)[0]
    assert block.size == 20 * 20 and not block.isna().any(axis=None)


# -- files -------------------------------------------------------------------------------------------------------------

STEMS = sorted(path.name.removesuffix("_claims.yaml") for path in paths.PUBLISHED.glob("*_claims.yaml"))


@pytest.mark.parametrize("stem", STEMS)
def test_shipped_claims_load(stem):
    shipped = load(stem)
    found = evaluate(shipped, pd.DataFrame())
    assert len(shipped) == len(found) and set(found["verdict"]) == {"no data"}
    assert list(found.columns) == claims.evaluate([], pd.DataFrame()).columns.tolist()


def test_what_was_changed_of_a_shipped_claim_says_when():
    for paper in PAPERS:
        for claim in load(paper.stem):
            when = r"\d{4}-\d\d-\d\d(, (after|before|with) .+|: )"
            assert not claim.changed or re.match(when, claim.changed), (paper.stem, claim.id)


@pytest.mark.parametrize("stem", sorted(path.stem for path in paths.PUBLISHED.glob("*.csv")))
def test_shipped_numbers_load(stem):
    frame = published(stem)
    assert len(frame) and frame["value"].notna().all() and frame["metric"].ne("").all() and frame["where"].ne("").all()


def test_table_4_is_as_printed():
    table = published("systematic_study").query("table == '4'")
    assert len(table) == 15
    last = table[(table["method"] == "undersampling") & (table["rho"] == 100)].sort_values("run")
    assert last["value"].tolist() == [88.35, 84.08, 83.74] and last["comparable"].tolist()[0] == 0.8835


def test_on_is_not_a_boolean_and_scalars_are_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "PUBLISHED", tmp_path)
    (tmp_path / "s_claims.yaml").write_text(GOOD)
    (only,) = load("s")
    assert only.on == {"imbalance": ("none",), "rho": (10, 100)} and only.margin == 0.0


GOOD = """
- id: a
  statement: more is more
  where: section 1
  test: difference
  metric: auc
  of: {method: more}
  against: {method: less}
  on: {imbalance: none, rho: [10, 100]}
  direction: greater
  margin: 0
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("margin: 0", "margn: 0", "unknown field 'margn'"),
        ("  margin: 0\n", "", "margin is missing"),
        ("margin: 0", "margin: 1e-3", "margin is '1e-3'; expected a number"),
        ("margin: 0", "margin: -1", "margin -1.0"),
        ("test: difference", "test: diference", "unknown test 'diference'"),
        ("test: difference", "test: claim_x", "quantity is missing; add in words what claim_x returns"),
        ("metric: auc", "metric: auc\n  quantity: gain", "quantity goes with claim_"),
        ("direction: greater", "direction: up", "direction 'up'"),
        ("test: difference", "test: equivalence", "equivalence takes none"),
        ("  against: {method: less}\n", "", "against is missing"),
        ("  metric: auc\n", "", "metric is missing"),
        ("{method: more}", "more", "of is 'more'; expected a filter"),
        ("rho: [10, 100]", "rho: []", "filters rho"),
        ("{method: less}", "{dataset: less}", "never mixed"),
        ("test: difference", "test: level", "value is missing"),
        ("test: difference", "test: trend", "over is missing"),
        ("margin: 0", "margin: 0\n  value: 0.9", "value goes with a level"),
        ("  id: a".strip(), "id: 5", "id is 5; expected text"),
    ],
)
def test_a_wrong_entry_names_file_claim_and_way_out(tmp_path, monkeypatch, old, new, message):
    monkeypatch.setattr(paths, "PUBLISHED", tmp_path)
    assert old in GOOD
    (tmp_path / "s_claims.yaml").write_text(GOOD.replace(old, new))
    with pytest.raises(UserError) as error:
        load("s")
    text = str(error.value)
    assert text.startswith("s_claims.yaml, claim ") and message in text and "\n" not in text


@pytest.mark.parametrize(
    ("text", "message"),
    [(GOOD + GOOD, "used twice"), ("a: b", "expected a list"), ("- [", "not YAML"), ("- 5", "5 is no claim")],
)
def test_a_wrong_file(tmp_path, monkeypatch, text, message):
    monkeypatch.setattr(paths, "PUBLISHED", tmp_path)
    (tmp_path / "s_claims.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load("s")
    with pytest.raises(UserError, match=r"'other'; expected the stem of a paper \(s\)"):
        load("other")


def test_a_frame_of_something_else_is_refused():
    with pytest.raises(UserError, match="no column 'metric'"):
        judge(pd.DataFrame({"value": [1.0]}))


def test_numbers_that_differ_in_a_small_digit_are_other_cells():
    frame = UP.assign(weight_decay=np.where(UP["method"] == "better", 5e-4, 1e-4))
    assert judge(frame).verdict_note.endswith("they differ in weight_decay)")


def test_means_over_settings_that_agree_by_chance_decide_nothing():
    # By replicate +.03 and -.01 in one setting, the reverse in the other: their means are all .01.
    frame = results(lambda rho, mu: 0.01, rhos=(10,))
    swing = np.where(frame["mu"] == 0.2, 0.02, -0.02) * np.where(frame["replicate"] % 2, 1, -1)
    frame["value"] += np.where(frame["method"] == "better", swing, 0)
    row = judge(frame)
    assert row.effect == pytest.approx(0.01, abs=1e-3) and row.verdict == "undecided" and row.high - row.low > 0.03
    assert "interval widened to the spread of replicates within each setting; " in row.verdict_note
    # Classes of one network are no settings of their own: what one gains another loses.
    classes = frame.assign(class_label=(frame["mu"] * 10).astype(int), mu=0.2)
    assert judge(classes).verdict == "supported" and judge(classes).effect == pytest.approx(row.effect)


def test_classes_weigh_alike_whatever_the_number_in_a_setting():
    frame = results(lambda rho, mu: 0.02 if rho == 10 else 0.01)
    frame = frame[(frame["rho"] == 10) | (frame["mu"] == 0.2)]
    classes = frame.assign(class_label=(frame["mu"] * 10).astype(int), mu=0.2)
    assert judge(classes).effect == pytest.approx((2 * 0.02 + 0.01) / 3, abs=2e-4)


def test_two_replicates_decide_nothing():
    row = judge(UP[UP["replicate"] < 2])
    assert row.verdict == "undecided" and row.low > 0
    assert "two replicates only: supported by their one difference, a verdict needs 3" in row.verdict_note


def test_arms_that_are_alike_say_what_chance_makes_of_a_difference():
    asked = []

    def chance(metric, judged, rows):
        asked.append((metric, len(judged), len(rows)))
        return 0.03, 20

    row = judge(UP, SimpleNamespace(chance=chance))
    half = 2.08596 * 0.03 / np.sqrt(4) / np.sqrt(4)  # a mean over four settings, of four replicates
    assert (row.high - row.low) / 2 == pytest.approx(half, rel=1e-4) and asked == [("auc", 4, len(UP))]
    assert "interval widened to the spread of arms that are alike" in row.verdict_note
    assert row.verdict == "undecided" and judge(UP, SimpleNamespace(chance=lambda *_: None)).verdict == "supported"
    level = {"test": "level", "against": None, "direction": "greater", "margin": 0, "value": 0.5}
    assert judge(UP, SimpleNamespace(chance=chance), **level).verdict == "supported" and len(asked) == 1


def test_what_is_said_of_an_arm_is_said_of_the_replicates_that_are_judged():
    study = SimpleNamespace(caveats=lambda metric, rows: [f"replicates {rows['replicate'].unique().tolist()}"])
    unfinished = UP[(UP["replicate"] < 3) | (UP["rho"] == 10)]
    row = judge(unfinished, study)
    assert row.n == 3 and row.cells == 4 and "replicates [0, 1, 2]; on" in row.verdict_note
