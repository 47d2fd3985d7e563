"""The checks of parameters that several studies make, each in one wording: value, what was expected."""

from __future__ import annotations

from collections.abc import Iterable

from common.errors import UserError


def known(parameters, **choices: Iterable) -> None:
    """Raise `UserError` where a parameter, or a value in its list, is none of its choices."""
    for name, there in choices.items():
        for value in _values(parameters, name):
            if value not in there:
                listed = ", ".join(str(one) or "''" for one in there)
                raise UserError(f"{name}: {value!r} is unknown; there are {listed}")


def at_least(parameters, **bounds: int) -> None:
    """Raise `UserError` where a parameter, or a value in its list, is below its bound."""
    for name, bound in bounds.items():
        for value in _values(parameters, name):
            if not value >= bound:
                raise UserError(f"{name}: {value!r}; expected at least {bound}")


def positive(parameters, *names: str) -> None:
    """Raise `UserError` where a parameter, or a value in its list, is not above zero."""
    for name in names:
        for value in _values(parameters, name):
            if not value > 0:
                raise UserError(f"{name}: {value!r}; expected a positive number")


def ratios(parameters, *names: str, of: str = "largest to smallest class") -> None:
    """Raise `UserError` where a value in a parameter's list is no ratio of what is many to what is few."""
    for name in names:
        for value in _values(parameters, name):
            if not value >= 1:
                raise UserError(f"{name}: {value!r} is no ratio of {of}; expected at least 1")


def _values(parameters, name: str) -> tuple:
    value = getattr(parameters, name)
    return value if isinstance(value, (list, tuple)) else (value,)
