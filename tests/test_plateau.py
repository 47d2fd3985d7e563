"""The learning rate that falls with validation accuracy."""

import math

import pytest

from common.errors import UserError
from common.plateau import Recessions


def rates(rule, accuracies, patience=100):
    course, rate, seen = Recessions(rule, patience), 1.0, []
    for accuracy in accuracies:
        rate *= course.after(accuracy)
        seen.append(rate)
    return seen, course.count


def test_exponential_is_half_times_e_to_minus_a_tenth_of_the_recessions():
    seen, count = rates("exponential", [0.5, 0.6, 0.55, 0.6, 0.7, 0.1, 0.69])
    expected = [1, 1, 0.5 * math.exp(-0.1), 0.5 * math.exp(-0.1), 0.5 * math.exp(-0.1)]
    expected += [0.5 * math.exp(-0.2), 0.5 * math.exp(-0.3)]
    assert seen == pytest.approx(expected) and count == 3


def test_halving():
    assert rates("halving", [0.5, 0.4, 0.45, 0.5])[0] == [1, 0.5, 0.25, 0.25]


def test_patience_ends_the_training():
    assert rates("exponential", [0.5, 0.4, 0.3, 0.2], patience=2)[0][-2:] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("thirding", 8), "plateau 'thirding': expected one of exponential, halving"), (("halving", 0), "patience 0")],
)
def test_bad_rules_are_named(arguments, message):
    with pytest.raises(UserError, match=message):
        Recessions(*arguments)
