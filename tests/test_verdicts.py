"""Which of several groups a verdict hangs on."""

import numpy as np
import pytest

from common.claim_file import Claim
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
    found, verdict = decide(asked(every="method (against)"), groups, notes)
    assert verdict is Verdict.SUPPORTED and found.estimate == pytest.approx(0.0026)
    assert notes == ["least favourable of 2: small"]


def test_every_shows_the_group_that_refutes_it():
    groups = {"surely": np.array([-0.011, -0.010, -0.009]), "perhaps": np.array([-0.09, -0.05, -0.01])}
    found, verdict = decide(asked(every="method (against)"), groups, [])
    assert verdict is Verdict.NOT_SUPPORTED and found.estimate == pytest.approx(-0.010)


def test_some_shows_the_group_that_supports_it():
    groups = {"surely": np.array([0.009, 0.010, 0.011]), "perhaps": np.array([0.010, 0.050, 0.090])}
    found, verdict = decide(asked(some="method (against)"), groups, [])
    assert verdict is Verdict.SUPPORTED and found.estimate == pytest.approx(0.010)


def test_some_shows_the_largest_effect_where_all_are_refuted():
    groups = {"small": np.array([-0.0028, -0.0026, -0.0024]), "noisy": np.array([-0.0310, -0.0240, -0.0170])}
    found, verdict = decide(asked(some="method (against)"), groups, [])
    assert verdict is Verdict.NOT_SUPPORTED and found.estimate == pytest.approx(-0.0026)
