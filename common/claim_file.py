"""Reading what a paper claims: one entry of ``common/published/<stem>_claims.yaml`` a claim.

Every field is checked before anything is computed, and every message names file, claim, field and way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields

import numpy as np
import yaml

from common import paths
from common.errors import UserError

#: Directions of each test. With margin m, `greater` needs the whole interval above m, `less` below -m; `not less` above
#: -m, `not greater` below m. Without a direction, or with flat or equal, it has to lie inside +-m. The opposite of
#: supported needs the whole interval on the other side of the same bound; everything between is undecided.
#: A level's bounds are counted from its `value`; a trend's margin is a slope, per unit or per decade of `over`.
ORDERS = ("greater", "less", "not less", "not greater")
TESTS = {"difference": ORDERS, "equivalence": ("",), "level": (*ORDERS, "equal"), "trend": (*ORDERS, "flat")}
FUNCTION, COUNT = "claim_", "count_"


@dataclass(frozen=True)
class Claim:
    """One claim; `parse` makes and checks it.

    Parameters
    ----------
    id, statement, where : str
        Short name, the claim in our words, its place in the paper.
    test : str
        One of `TESTS`, or ``claim_<name>``: a function of the study module that takes the claim and the tidied rows
        (of `on`, `of`, `metric` and one schedule; pairs where there is an `against`) and returns one effect per
        replicate, judged as a difference. Or ``count_<name>``: one that takes the claim alone and returns a number that
        follows from how things are defined, such as a network's parameters; it needs no results and has no interval.
    quantity : str
        What such a function returns, in words that stand before its bound: ``share of settings below the baseline``.
    metric : str
        A metric, or the difference of two: ``train_accuracy - accuracy``.
    of, against, on : filters
        The two arms, and what holds for both. Column to tuple of wanted values.
    requires : filters
        For every combination of these values there must be a result among those judged, else the verdict is 'no data'.
    direction, margin, value : str, float, float
        See `TESTS`; `value` is what a level, or what a function of the study returns, is compared with.
    over, scale : str
        Column of a trend; linear or log10.
    unmatched : tuple of str
        Columns in which the arms may differ beside those they name.
    every, some : tuple of str
        Judge each group of these columns for itself. With `every` all have to hold; with `some` one has to, at a level
        corrected for how many are tried (Bonferroni), as is the counterexample that refutes `every`. The effect shown
        is that of the least favourable group, or the most favourable.
    test_share : float or None
        Replicates are folds that share images: Nadeau and Bengio's interval.
    identity : bool
        What is measured does not vary by chance, such as what holds by algebra, so that equal replicates decide. Of
        anything else fewer than six do not, for they may agree by chance.
    note : str
        Shown with the claim.
    changed : str
        What of the claim was changed after first results were seen, when and why; shown with the verdict.
    headline : bool
        Whether the README shows it: one of the few that a reader with a minute should see.
    """

    id: str
    statement: str
    where: str
    test: str
    margin: float
    direction: str = ""
    metric: str = ""
    quantity: str = ""
    of: Mapping[str, tuple] = field(default_factory=dict)
    against: Mapping[str, tuple] = field(default_factory=dict)
    on: Mapping[str, tuple] = field(default_factory=dict)
    requires: Mapping[str, tuple] = field(default_factory=dict)
    value: float | None = None
    over: str = ""
    scale: str = "linear"
    unmatched: tuple[str, ...] = ()
    every: tuple[str, ...] = ()
    some: tuple[str, ...] = ()
    test_share: float | None = None
    identity: bool = False
    note: str = ""
    changed: str = ""
    headline: bool = False

    @classmethod
    def parse(cls, entry: Mapping) -> Claim:
        """Make a claim from its entry.

        Raises
        ------
        UserError
            Naming the claim and the first field that is not as it should be.
        """
        if not isinstance(entry, Mapping):
            raise UserError(f"{entry!r} is no claim; expected fields such as id, statement, where, test, margin")
        name = f"claim {entry.get('id', '?')!r}"
        known = {f.name: f for f in fields(cls)}
        for key in entry:
            if key not in known:
                raise UserError(
                    f"{name}: unknown field {key!r}; expected one of {', '.join(known)}; correct or remove it"
                )
        for key, f in known.items():
            if f.default is MISSING and f.default_factory is MISSING and entry.get(key) in (None, ""):
                raise UserError(f"{name}: {key} is missing; add it")
        values = {key: _field(name, known[key], value) for key, value in entry.items()}
        claim = cls(**values)
        problem = claim._problem()
        if problem:
            raise UserError(f"{name}: {problem}")
        return claim

    @property
    def columns(self) -> set[str]:
        """The columns of results that it names."""
        filters = {*self.of, *self.against, *self.on, *self.requires}
        return filters | {*self.unmatched, *self.every, *self.some, self.over} - {""}

    def _problem(self) -> str:
        """What is wrong with how the fields go together, or ""."""
        if self.test.startswith(COUNT):
            useless = [name for name in ("metric", "of", "against", "requires", "every", "some") if getattr(self, name)]
            if useless:
                return f"{useless[0]} does not go with {self.test}, which takes no results; remove it"
            if self.direction not in ORDERS:
                return f"direction {self.direction!r}; expected {_any(ORDERS)}"
            return "" if self.quantity else f"quantity is missing; add in words what {self.test} returns"
        if self.test.startswith(FUNCTION):
            if self.every or self.some:
                return f"every and some do not go with {self.test}; let the function say what it takes together"
            if not self.metric:
                return "metric is missing; add it"
            if not self.quantity:
                return f"quantity is missing; add in words what {self.test} returns"
            return "" if self.direction in ("", *ORDERS) else f"direction {self.direction!r}; expected {_any(ORDERS)}"
        if self.test not in TESTS:
            return f"unknown test {self.test!r}; expected {_any(TESTS)}, or {FUNCTION}... for a function of the study"
        allowed = TESTS[self.test]
        two_sided = self.direction in ("", "flat", "equal")
        named = {*self.of, *self.against, *self.unmatched}
        checks = [
            (self.direction not in allowed, f"direction {self.direction!r}; {self.test} takes {_any(allowed)}"),
            (self.margin < 0, f"margin {self.margin}; expected 0 or more, the direction says the side"),
            (
                two_sided and self.margin == 0,
                "margin 0; nothing lies inside it, expected the largest negligible effect",
            ),
            (not self.metric, "metric is missing; add it"),
            (bool(self.quantity), f"quantity goes with {FUNCTION}... of the study; remove it, the metric says it"),
            (not self.of, "of is missing; add the filter of the arm"),
            (self.test in ("difference", "equivalence") and not self.against, "against is missing; add the other arm"),
            (self.test == "level" and self.value is None, "value is missing; add the number to compare with"),
            (self.test == "level" and bool(self.against), "against does not go with a level; use value or difference"),
            (
                self.value is not None and self.test != "level",
                "value goes with a level or a function of the study; remove it",
            ),
            (self.test == "trend" and not self.over, "over is missing; add the column of the trend"),
            (self.scale not in ("linear", "log10"), f"scale {self.scale!r}; expected linear or log10"),
            (bool(self.every and self.some), "every and some exclude each other; remove one"),
            (
                bool(named & {"dataset", "iterations"}),
                f"arms differ in data set or iterations; these are never mixed here, use {FUNCTION}... of the study",
            ),
        ]
        return next((text for wrong, text in checks if wrong), "")


def _any(names) -> str:
    return ", ".join(repr(name) for name in names if name) or "none"


def _field(name: str, f, value):
    """A value as its field's type."""
    kind = f.type
    if kind == "str":
        if isinstance(value, str):
            return " ".join(value.split())
        raise UserError(f"{name}: {f.name} is {value!r}; expected text")
    if kind == "bool":
        if isinstance(value, bool):
            return value
        raise UserError(f"{name}: {f.name} is {value!r}; expected true or false")
    if kind.startswith("float"):
        if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value):
            return float(value)
        raise UserError(f"{name}: {f.name} is {value!r}; expected a number such as 0.001")
    if kind.startswith("tuple"):
        value = [value] if isinstance(value, str) else value
        if isinstance(value, list) and all(isinstance(column, str) for column in value):
            return tuple(value)
        raise UserError(f"{name}: {f.name} is {value!r}; expected a column or a list of columns")
    if not isinstance(value, Mapping) or not all(isinstance(column, str) for column in value):
        raise UserError(
            f"{name}: {f.name} is {value!r}; expected a filter such as {{method: baseline, rho: [10, 100]}}"
        )
    wanted = {column: tuple(v) if isinstance(v, list) else (v,) for column, v in value.items()}
    for column, options in wanted.items():
        if not options or any(isinstance(option, Mapping | list) for option in options):
            raise UserError(
                f"{name}: {f.name} filters {column} by {value[column]!r}; expected a value or a list of values"
            )
    return wanted


class _Loader(yaml.SafeLoader):
    """Only true and false are booleans, as in YAML 1.2: in 1.1 the field `on` would read as true."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(stem: str) -> list[Claim]:
    """The claims of a paper, in the order of its file.

    Raises
    ------
    UserError
        Naming file, claim and field, if a claim cannot be judged as it is written.
    """
    path = paths.PUBLISHED / f"{stem}_claims.yaml"
    if not path.exists():
        known = ", ".join(sorted(p.name.removesuffix("_claims.yaml") for p in paths.PUBLISHED.glob("*_claims.yaml")))
        raise UserError(f"no claims of {stem!r}; expected the stem of a paper ({known or 'none yet'})")
    try:
        entries = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise UserError(f"{path.name}: not YAML ({' '.join(str(error).split())}); correct it") from error
    if not isinstance(entries, list):
        raise UserError(f"{path.name}: expected a list of claims, each beginning with '- id:'")
    try:
        claims = [Claim.parse(entry) for entry in entries]
    except UserError as error:
        raise UserError(f"{path.name}, {error}") from None
    ids = [claim.id for claim in claims]
    for name in ids:
        if ids.count(name) > 1:
            raise UserError(f"{path.name}, claim {name!r}: the id is used twice; rename one")
    return claims
