"""Grids: expansion, names and types, and every shipped one."""

import json
from typing import Any

import pytest

from common import cli, grids, jobs, typed
from common.errors import UserError
from common.replications import replications


@pytest.fixture
def folder(tmp_path):
    """A folder whose grids.yaml is what the returned function is given."""

    def write(text):
        (tmp_path / "grids.yaml").write_text(text)
        return tmp_path

    return write


def test_expand_multiplies_grids(folder):
    where = folder("""
        demo:
          toy:
            - run: one
            - {run: two, parameters: {a: 1}, grid: {b: [1, 2], c: [x, y z]}}
    """)
    runs = grids.expand("demo", "toy", folder=where)
    assert [run.name for run in runs] == ["one", "two-1-x", "two-1-y_z", "two-2-x", "two-2-y_z"]
    assert runs[0].parameters == {}
    assert runs[-1].parameters == {"a": 1, "b": 2, "c": "y z"}
    assert grids.expand("demo", "other", folder=where) == []
    assert grids.expand("paper", "toy", folder=where) == []


def test_overrides_win_and_collapse_a_grid(folder):
    where = folder("demo: {toy: [{run: two, parameters: {a: 1}, grid: {b: [1, 2]}}]}")
    assert grids.expand("demo", "toy", {"a": 5, "b": 9}, where) == [grids.GridRun("two", {"a": 5, "b": 9})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quick: {}", "unknown profile 'quick'"),
        ("- a", "expected profile -> stem"),
        ("a: [", "not YAML"),
        ("demo: {toy: {}}", "expected stem -> list"),
        ("demo: {toy: []}", "expected stem -> list"),
        ("demo: {toy: [a]}", "'a'; expected"),
        ("demo: {toy: [{run: a, paramters: {}}]}", "did you mean 'parameters'"),
        ("demo: {toy: [{run: a/b}]}", "expected a name of"),
        ("demo: {toy: [{parameters: {}}]}", "run None"),
        ("demo: {toy: [{run: a, parameters: [1]}]}", "map names to values"),
        ("demo: {toy: [{run: a, grid: {b: 1}}]}", "expected a list of values"),
        ("demo: {toy: [{run: a, grid: {b: []}}]}", "expected a list of values"),
        ("demo: {toy: [{run: a, parameters: {b: 1}, grid: {b: [1]}}]}", "both parameters and grid"),
        ("demo: {toy: [{run: a}, {run: a}]}", "two runs are called 'a'"),
    ],
)
def test_malformed_grids(folder, text, message):
    with pytest.raises(UserError, match=message):
        grids.expand("demo", "toy", folder=folder(text))


def test_unknown_profile_and_missing_file(tmp_path):
    with pytest.raises(UserError, match="unknown profile 'quick'"):
        grids.expand("quick", "toy", folder=tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        grids.expand("demo", "toy", folder=tmp_path)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (True, bool, True),
        (3, int, 3),
        (3, float, 3),
        ("1e-3", float, 0.001),
        ([1, 2.5], tuple[float, ...], [1, 2.5]),
        ([], list[int], []),
        (["a"], list[str], ["a"]),
        (None, int | None, None),
        ("x", Any, "x"),
    ],
)
def test_coerce(value, kind, expected):
    found = typed.coerce(value, kind, "x")
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, bool), ("yes", bool), (True, int), (2.0, int), ("3", int), (True, float), ("high", float),
        (float("nan"), float), (3, str), ("a", list[str]), ([1], list[str]), (["x"], tuple[float, ...]),
        (None, int), (2.5, int | None),
    ],
)  # fmt: skip
def test_coerce_refuses(value, kind):
    with pytest.raises(UserError, match=r"^x is .*; expected"):
        typed.coerce(value, kind, "x")


def test_notebook_types(tmp_path):
    path = tmp_path / "7_toy.ipynb"
    source = "a = 1  # b = 2\nc: float = .5\nd = [\n  'x',\n]\ne = None\nf = a + 1\ng = h = True\nprint(a)\ni = []"
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": "z = 1"},
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": source.splitlines(keepends=True)},
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "y = 1"},
    ]
    path.write_text(json.dumps({"cells": cells}))
    assert typed.notebook_types(path) == {
        "a": int, "c": float, "d": list[str], "e": Any, "f": Any, "g": bool, "h": bool, "i": list,
    }  # fmt: skip
    for text in ("no json", "{}", json.dumps({"cells": [{"metadata": {"tags": ["parameters"]}, "source": "a ="}]})):
        path.write_text(text)
        with pytest.raises(UserError, match="parameters cannot be read"):
            typed.notebook_types(path)


def test_parse_value():
    assert typed.parse_value("16", str) == "16"
    assert typed.parse_value("[1, 2]", list[int]) == [1, 2]
    assert typed.parse_value("[1", list[int]) == "[1"
    assert typed.parse_value("[0, 10, -3, 0x10, 0.5, 1e3]", list[float]) == [0, 10, -3, 16, 0.5, "1e3"]


@pytest.mark.parametrize("text", ["010", "-010", "1:30", "1:30.5", "9" * 5000])
@pytest.mark.parametrize("kind", [int, float, list[int], int | None])
def test_a_number_that_yaml_reads_as_another_one_is_refused(text, kind):
    """YAML 1.1 has octal and sexagesimal numbers; and Python reads no more than 4300 digits."""
    text = f"[{text}]" if kind == list[int] else text
    with pytest.raises(UserError, match=rf"x is '\[?{text.strip('[]')[:40]}.*; expected a "):
        typed.coerce(typed.parse_value(text, kind), kind, "x")


@pytest.mark.parametrize("value", [2**53 + 1, -(10**30), 10**400, pytest.param(1 << 20000, id="bits")])
@pytest.mark.parametrize("kind", [int, float, int | None])
def test_a_number_too_large_for_arrays_and_floats_is_refused(value, kind):
    with pytest.raises(UserError, match=r"^x is (-?\d+|a whole number of \d+ bits); expected a"):
        typed.coerce(value, kind, "x")
    assert typed.coerce(2**53, kind, "x") == 2**53


@pytest.mark.parametrize("profile", grids.PROFILES)
@pytest.mark.parametrize("with_notebook", [True, False])
def test_shipped_grids_are_valid(profile, with_notebook):
    """Names, types and the study's own check of every run; no data is read."""
    for paper in replications(with_notebook):
        kinds = jobs.parameter_types(paper)
        for run in grids.expand(profile, paper.stem):
            job = jobs.build(
                paper, run.name, profile, typed.check(run.parameters, kinds, run.name), {"profile": profile}
            )
            assert job.study is None or job.study.cells


def test_shipped_grids_have_no_stray_stems():
    stems = {paper.stem for with_notebook in (True, False) for paper in replications(with_notebook)}
    for profile, entries in grids.load().items():
        assert set(entries) <= stems, profile


def test_sizes_of_the_systematic_study():
    """The numbers of trainings that the comments in grids.yaml state."""
    paper = next(paper for paper in replications(False) if paper.stem == "systematic_study")
    sizes = {}
    for profile in ("reduced", "paper"):
        for run in grids.expand(profile, paper.stem):
            sizes[profile, run.name] = len(jobs.build(paper, run.name, profile, run.parameters, {}).study.cells)
    table_4 = {("paper", f"table-4-{name}-{r}"): 3 for name in ("imagenet", "tiny_imagenet") for r in range(3)}
    table_4 |= {("paper", f"table-4-mu1-{name}-{r}"): 4 for name in ("imagenet", "tiny_imagenet") for r in range(3)}
    table_4 |= {("paper", f"table-4-mu8-{name}-{r}"): 3 for name in ("imagenet", "tiny_imagenet") for r in range(3)}
    assert sizes == {
        ("reduced", "original"): 5,
        ("reduced", "cifar10-short"): 3,
        ("reduced", "reduced-ratios"): 5 * 3 * 2 * 3,
        ("reduced", "grid"): 5 * (1 + 4 * 3 * 4 + 2 * 4),
        ("reduced", "normalised"): 3 * 4 * 3,
        ("paper", "cifar10"): 3 * 8 * (1 + (4 * 3 + 4) * 3),
        ("paper", "convergence"): 3 * 8 * 3,
        ("paper", "convergence-mnist"): 5 * 3,
        ("paper", "reduced-ratios"): 50 * 9 * 2 * 9,
        ("paper", "full"): 50 * (2 + 9 * 9 * 3 + 9 * 3),
        **table_4,
    }


def test_an_optional_run_without_its_data_is_left_out_and_said_so(monkeypatch, capsys):
    def check_data(study):
        if study.parameters.dataset in missing:
            raise UserError(f"{study.parameters.dataset}: not found")

    monkeypatch.setattr(jobs, "check_data", check_data)
    arguments = cli.parse(["reduced", "--no-notebook", "--only", "4"])[2]
    missing = {"cifar10"}
    planned = jobs.plan("reduced", arguments)
    assert [job.run for job in planned] == ["original", "reduced-ratios", "normalised", "grid"]
    assert [job.last for job in planned] == [False, False, False, True]
    assert "cifar10-short: left out: cifar10: not found" in capsys.readouterr().err
    missing = {"mnist"}
    with pytest.raises(UserError, match="mnist: not found"):
        jobs.plan("reduced", arguments)
