"""Which of several groups a verdict hangs on, and how many verdicts may be wrong by chance."""

import numpy as np
import pandas as pd
import pytest

from common.claim_file import Claim
from common.ledger import by_chance
from common.verdicts import Verdict, decide

FIELDS = {
    "id": "x", "statement": "x", "where": "here", "test": "difference", "metric": "auc", "margin": 0,
    "direction": "greater", "of": {"method": "a"}, "against": {"method": ["b", "c"]},
}  # fmt: skip


def asked(**fields):
    return Claim.parse(FIELDS | fields)


def test_every_shows_the_smallest_effect_where_all_hold():
    # Both lie above 0 at 95 %, the noisy one not at the level corrected for two groups, which decides nothing here.
    groups = {"small": np.array([0.0024, 0.0026, 0.0028]), "noisy": np.array([0.0170, 0.0240, 0.0310])}
    notes = []
    found, verdict = decide(asked(every="method (against)"), [groups], notes)
    assert verdict is Verdict.SUPPORTED and found.estimate == pytest.approx(0.0026)
    assert notes == ["least favourable of 2: small"]


def test_every_shows_the_group_that_refutes_it():
    groups = {"surely": np.array([-0.011, -0.010, -0.009]), "perhaps": np.array([-0.09, -0.05, -0.01])}
    found, verdict = decide(asked(every="method (against)"), [groups], [])
    assert verdict is Verdict.NOT_SUPPORTED and found.estimate == pytest.approx(-0.010)


def test_some_shows_the_group_that_supports_it():
    groups = {"surely": np.array([0.009, 0.010, 0.011]), "perhaps": np.array([0.010, 0.050, 0.090])}
    notes = []
    found, verdict = decide(asked(some="method (against)"), [groups], notes)
    assert verdict is Verdict.SUPPORTED and found.estimate == pytest.approx(0.010)
    # Student's t of 2 degrees at 97.5 % is 6.205, the standard error .001 / sqrt(3): .010 -+ .00358.
    assert notes == ["most favourable of 2: surely", "corrected for 2 groups, its interval is [0.00642, 0.0136]"]


def test_some_shows_the_largest_effect_where_all_are_refuted():
    groups = {"small": np.array([-0.0028, -0.0026, -0.0024]), "noisy": np.array([-0.0310, -0.0240, -0.0170])}
    found, verdict = decide(asked(some="method (against)"), [groups], [])
    assert verdict is Verdict.NOT_SUPPORTED and found.estimate == pytest.approx(-0.0026)


def test_a_group_decides_what_it_decides_in_every_reading():
    up, down = np.array([0.010, 0.011, 0.012]), np.array([-0.010, -0.011, -0.012])
    for others, verdict in {"": Verdict.SUPPORTED, "b": Verdict.UNDECIDED, "c": Verdict.UNDECIDED}.items():
        readings = [{"b": up, "c": up}, {"b": down if others == "b" else up, "c": down if others == "c" else up}]
        notes = []
        found, said = decide(asked(every="method (against)"), readings, notes)
        assert said is verdict and found.estimate == pytest.approx(0.011)
        assert f"least favourable of 2: {others or 'b'}" in notes
        assert ("undecided because of what diverged: the rest alone would be supported" in notes) == bool(others)


def test_what_spans_the_margin_does_not_refute_an_equivalence():
    same = asked(test="equivalence", direction="", margin=0.001)
    above, below = np.array([0.010, 0.011, 0.012]), np.array([-0.010, -0.011, -0.012])
    assert (
        decide(same, [{"": above}], [])[1] is decide(same, [{"": above}, {"": above}], [])[1] is Verdict.NOT_SUPPORTED
    )
    assert decide(same, [{"": above}, {"": below}, {"": above}], [])[1] is Verdict.UNDECIDED


def test_a_group_that_cannot_be_judged_counts_among_those_tried():
    barely = {"b": np.array([0.012, 0.025, 0.021])}  # above 0 at 95 %, not at the level for two
    assert decide(asked(some="method (against)"), [barely], [])[1] is Verdict.SUPPORTED
    assert decide(asked(some="method (against)"), [barely], [], {"c"})[1] is Verdict.UNDECIDED


def test_how_many_verdicts_may_be_wrong_by_chance():
    """Half of one in twenty, of those that have an interval, whether it decides or not."""
    one = {"verdict": "undecided", "low": 0.1}
    rows = [one] * 30 + [one | {"verdict": "supported"}] * 9 + [one | {"verdict": "not supported"}]
    rows += [one | {"verdict": "no data"}, one | {"low": np.nan}, {"verdict": "no data", "low": np.nan}]
    said = by_chance(pd.DataFrame(rows))
    assert "up to 1.0 of the 40 claims with an interval, of which 10 are decided" in said and "2.5%" in said
    assert by_chance(pd.DataFrame(rows[-3:])) == ""


def test_a_verdict_at_the_bound_is_wrong_as_often_as_said():
    """The chance that `by_chance` counts with, for each kind of claim at its own bound."""
    rng, n = np.random.default_rng(0), 500
    kinds = {
        "order": (asked(), [rng.normal(0, 1, (n, 4))], Verdict.SUPPORTED),
        "harm": (asked(direction="not less", margin=2), [rng.normal(-2, 1, (n, 4))], Verdict.NOT_SUPPORTED),
        "same": (asked(test="equivalence", direction="", margin=9), [rng.normal(9, 1, (n, 4))], Verdict.SUPPORTED),
        "some": (asked(some="method (against)"), list(rng.normal(0, 1, (3, n, 4))), Verdict.SUPPORTED),
        "every": (asked(every="method (against)"), list(rng.normal(0, 1, (3, n, 4))), Verdict.NOT_SUPPORTED),
    }
    for kind, (claim, groups, wrong) in kinds.items():
        told = [decide(claim, [{str(g): effects[i] for g, effects in enumerate(groups)}], [])[1] for i in range(n)]
        assert 0.005 < np.mean([verdict is wrong for verdict in told]) < 0.046, kind  # 3 standard errors


def test_folds_that_share_images_are_corrected_for_how_many_groups_are_tried():
    """Half-widths of Nadeau and Bengio's interval: .041 at 95 %, .054 at the 97.5 % of two groups; the mean is .047."""
    groups = {"b": np.array([0.037, 0.037, 0.057, 0.057]), "c": np.array([-0.1, 0.1, -0.1, 0.1])}
    assert decide(asked(some="method (against)", test_share=0.5), [groups], [])[1] is Verdict.UNDECIDED
    assert decide(asked(test_share=0.5), [{"b": groups["b"]}], [])[1] is Verdict.SUPPORTED


def test_of_equal_levels_the_one_farthest_from_the_number_is_shown():
    level = asked(test="level", against={}, value=0.9, direction="equal", margin=0.3, every="method")
    groups = {"near": np.array([0.901, 0.902, 0.903]), "far": np.array([0.701, 0.702, 0.703])}
    found, verdict = decide(level, [groups], [])
    assert verdict is Verdict.SUPPORTED and found.estimate == pytest.approx(0.702)
