"""The overview: who wins, what to use, where papers meet; with everything, a part and nothing measured."""

from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest

from common import claims, cli, comparison, jobs, overview, paths, plots, running
from common import overview_contest as contest
from common import overview_meetings as meetings
from common.papers import PAPERS
from common.replications import replications
from common.statistics import interval

HOOKS = [comparison.hook(paper.stem) for paper in PAPERS]


def scores(table, setting="one", **columns):
    """Rows of one setting from method to values by replicate."""
    rows = [
        {"setting": setting, "method": method, "replicate": number, "value": value}
        for method, values in table.items()
        for number, value in enumerate(values)
    ]
    usual = {"situation": "try", "where": "here", "metric": "auc", "rho": 10.0, "imbalance": "step"}
    return pd.DataFrame(rows).assign(**usual | columns)


CLEAR = {"a": (0.80, 0.81, 0.82), "b": (0.70, 0.72, 0.71), "baseline": (0.60, 0.61, 0.62)}


# -- races -------------------------------------------------------------------------------------------------------------


def test_a_race_by_hand():
    one = contest.race(scores(CLEAR), "baseline")
    assert (one.best, one.next, one.n, one.settings) == ("a", "b", 3, ("one",))
    gap = one.gap("a", "b")  # .10, .09, .11: mean .1, deviation .01; three pairs: 98.33 %
    assert (gap.estimate, gap.high - gap.estimate) == pytest.approx((0.1, 7.648804 * 0.01 / np.sqrt(3)))
    assert (one.level("a", "b"), one.level("a", "baseline")) == pytest.approx((1 - 0.05 / 3, 0.975))
    assert one.better == ["a", "b"] and one.worse == [] and one.ties("a") == []


def test_a_lead_that_the_correction_takes_away_is_not_shown():
    # Differences .01, .03, .05 from the baseline: wholly above 0 at 85 %, not at 95 % and less so corrected.
    one = contest.race(scores({"a": (0.61, 0.63, 0.65), "baseline": (0.6, 0.6, 0.6)}), "baseline")
    assert one.gap("a", "baseline").low < 0 and one.better == [] and one.ties("a") == ["baseline"]
    # Four replicates, mean .02 and deviation .0115: the plain interval is above 0, that corrected for three rivals not.
    values = (0.61, 0.61, 0.63, 0.63)
    four = {"a": values, "b": (0.5,) * 4, "c": (0.4,) * 4, "baseline": (0.6,) * 4}
    one = contest.race(scores(four), "baseline")
    assert interval(one.scores["a"] - one.scores["baseline"]).low > 0 and one.gap("a", "baseline").low < 0
    assert one.better == [] and one.worse == ["b", "c"]


def test_only_methods_with_all_settings_race():
    second = {name: [value - 0.2 for value in values] for name, values in CLEAR.items() if name != "b"}
    one = contest.race(pd.concat([scores(CLEAR), scores(second, "two")]), "baseline")
    assert set(one.scores) == {"a", "baseline"} and set(one.settings) == {"one", "two"}
    assert one.scores["a"].tolist() == pytest.approx([0.70, 0.71, 0.72])
    assert one.left_out == {"b": "not measured on all of it"}


def test_what_diverged_does_not_race_and_is_avoided():
    table = CLEAR | {"wild": (0.9, np.nan, np.nan)}
    one = contest.race(scores(table), "baseline")
    assert "wild" not in one.scores and one.left_out == {"wild": "diverged"}
    rule = contest.advice({"where": "here", "strength": "", "metric": "auc"}, one, {"auc": "AUC"})
    assert rule["avoid"] == "wild (diverged)"


def test_a_replicate_that_has_just_begun_is_left_out():
    begun = CLEAR | {"baseline": (*CLEAR["baseline"], 0.1)}
    assert contest.race(scores(begun), "baseline").n == 3


def test_settings_that_have_just_begun_do_not_cost_replicates():
    begun = [scores({name: values[:2] for name, values in CLEAR.items()}, setting) for setting in ("two", "three")]
    one = contest.race(pd.concat([scores(CLEAR), *begun]), "baseline")
    assert one.n == 3 and one.settings == ("one",)


def test_a_cell_that_does_not_race_costs_no_replicate():
    # Four replicates of five methods in one setting; three of the first two methods in a second, which leaves the race.
    four = {name: (0.5, 0.6, 0.7, 0.8) for name in ("a", "b", "c", "d", "baseline")}
    three = {name: values[:3] for name, values in list(four.items())[:2]}
    rows = pd.concat([scores({n: [v + 0.01 * i for v in four[n]] for i, n in enumerate(four)}), scores(three, "two")])
    one = contest.race(rows, "baseline")
    assert one.settings == ("one",) and one.n == 4 and one.scores.shape[1] == 5
    assert one.scores["b"].tolist() == pytest.approx([0.51, 0.61, 0.71, 0.81])


def test_folds_that_share_images_have_wider_intervals():
    plain, folds = (contest.race(rows, "baseline") for rows in (scores(CLEAR), scores(CLEAR, test_share=0.5)))
    # The variance of a mean of three becomes (1 / 3 + 1) of that of one.
    ratio = [np.diff([one.gap("a", "b").low, one.gap("a", "b").high])[0] for one in (folds, plain)]
    assert ratio[0] / ratio[1] == pytest.approx(2)


def test_no_race_without_a_baseline_or_a_rival():
    assert contest.race(scores({"a": (1.0, 1.0), "b": (0.5, 0.5)}), "baseline") is None
    assert contest.race(scores({"baseline": (1.0, 1.0)}), "baseline") is None
    assert contest.race(scores({"baseline": (np.nan,), "a": (np.nan,)}), "baseline") is None


def test_winners_say_what_is_shown():
    (row,) = contest.winners(contest.races(scores(CLEAR), "baseline", contest.PLACE), {"auc": "AUC"}).to_dict("records")
    assert (row["data"], row["measure"], row["best"]) == ("here", "AUC", "a, of 3")
    # 7.648804 * .01 / sqrt(3) either way.
    assert row["lead over the next"] == "+0.100 [0.056,\N{NO-BREAK SPACE}0.144], shown (over b)"
    assert (row["no lead shown over"], row["level"]) == ("none: shown over all", "97.5%, between others 98.33%")
    assert row["mean"].endswith(", 1 setting")
    assert row["lead over the baseline"].endswith("], shown") and row["n"] == 3
    own = {"baseline": CLEAR["a"], "a": CLEAR["baseline"]}
    (row,) = contest.winners(contest.races(scores(own), "baseline", contest.PLACE), {"auc": "AUC"}).to_dict("records")
    assert row["lead over the baseline"] == "is the baseline"
    # Ahead of the next on average, by .01 in each replicate; of the third nothing is shown.
    third = {"a": (0.80, 0.81, 0.82), "b": (0.79, 0.80, 0.81), "c": (0.9, 0.7, 0.75), "baseline": (0.6, 0.6, 0.6)}
    (row,) = contest.winners(contest.races(scores(third), "baseline", contest.PLACE), {"auc": "AUC"}).to_dict("records")
    assert row["lead over the next"].endswith("shown (over b)") and "not shown" not in row["lead over the next"]
    assert row["no lead shown over"] == "c"


def test_a_method_that_changes_nothing_is_the_baseline():
    one = contest.race(
        scores({"a": (0.5, 0.6, 0.4), "same": (0.6, 0.61, 0.62), "baseline": CLEAR["baseline"]}), "baseline"
    )
    assert list(one.scores) == ["baseline", "a"] and one.left_out == {"same": "the same as baseline here"}
    rule = contest.advice({"where": "here", "strength": "", "metric": "auc"}, one, {"auc": "AUC"})
    assert "no method is above baseline so far" in rule["use"] and rule["evidence"].startswith("baseline − a: ")
    alike = scores({"same": CLEAR["baseline"], "baseline": CLEAR["baseline"]})
    assert contest.race(alike, "baseline") is None


def test_of_equals_one_that_never_diverged_is_advised():
    rows = scores(CLEAR | {"b": (0.79, 0.82, 0.80)})
    elsewhere = scores({"a": (np.nan, 0.5), "baseline": (0.4, 0.4)}, "other")
    one, lost = contest.race(rows, "baseline"), contest.unstable(pd.concat([rows, elsewhere]))
    assert one.best == "a" and one.unbeaten == ["a", "b"] and lost == {"a"}
    group = {"where": "here", "strength": "", "metric": "auc"}
    rule = contest.advice(group, one, {"auc": "AUC"}, lost)
    assert rule["use"] == "b; not told apart from it: a (diverged elsewhere)"
    assert rule["evidence"].startswith("b − baseline: ") and "(97.5% interval)" in rule["evidence"]
    # One that is clearly better stays, whatever happened elsewhere.
    assert contest.advice(group, contest.race(scores(CLEAR), "baseline"), {"auc": "AUC"}, lost)["use"].startswith("a")


@pytest.mark.parametrize(
    ("table", "use"),
    [
        (CLEAR, "a"),
        (CLEAR | {"b": (0.80, 0.81, 0.82)}, "a; not told apart from it: b"),
        (CLEAR | {"baseline": (0.9, 0.9, 0.9)}, "baseline: every other method that was measured is worse (a, b)"),
        (
            {"a": (0.5, 0.7, 0.6), "baseline": (0.6, 0.5, 0.6)},
            "undecided: nothing is shown to be better than baseline; highest so far is a",
        ),
        ({"a": (0.7, 0.7), "baseline": (0.6, 0.6)}, "undecided, n = 2 of at least 3: highest so far is a"),
        (
            {"a": (0.6001, 0.7001, 0.8001), "baseline": (0.6, 0.7, 0.8)},
            "makes no difference: a is better than baseline, by less than 0.002",
        ),
    ],
)
def test_advice(table, use):
    one = contest.race(scores(table), "baseline")
    group = {"where": "here", "strength": "ratio above 10", "metric": "auc"}
    rule = contest.advice(group, one, {"auc": "AUC"})
    assert (rule["use"], rule["measured on"], rule["judged by"]) == (use, "here, ratio 10", "AUC")  # what was measured
    assert rule["evidence"].endswith(f"1 setting, n = {one.n}")


def test_what_is_clearly_worse_is_to_be_avoided():
    one = contest.race(scores(CLEAR | {"bad": (0.40, 0.41, 0.42), "near": (0.5999, 0.6099, 0.6199)}), "baseline")
    rule = contest.advice({"where": "here", "strength": "", "metric": "auc"}, one, {"auc": "AUC"})
    assert rule["avoid"].startswith("bad (−0.200") and "near" not in rule["avoid"]


def test_imbalance_is_mild_up_to_a_ratio_of_ten():
    rows = pd.concat([scores(CLEAR, rho=rho) for rho in (10.0, 10.5, np.nan)])
    assert contest.by_strength(rows)["strength"].unique().tolist() == ["ratio up to 10", "ratio above 10", ""]


# -- papers ------------------------------------------------------------------------------------------------------------


def systematic(replicates=3):
    """Paper 4: thresholding gains .10 of accuracy, oversampling .05 and loses nothing in AUC."""
    gains = {"baseline": 0, "thresholding": 0.10, "oversampling": 0.05}
    rows = [
        {"method": method, "metric": metric, "rho": rho, "replicate": number,
         "value": 0.8 + 0.01 * number + (gain if metric == "accuracy" else 0.0) + 0.001 * number * (gain > 0)}
        for method, gain in gains.items() for metric in ("accuracy", "auc") for rho in (10.0, 100.0)
        for number in range(replicates)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    sampler = table["method"].replace({"baseline": "none", "thresholding": "none"})
    return table.assign(
        key=sampler + table["rho"].astype(str) + table["replicate"].astype(str),
        sampler=sampler,
        prior=np.where(table["method"] == "thresholding", "original", ""),
        study="systematic_study", version=1, profile="reduced", dataset="mnist", stand_in=False, network="lenet5",
        imbalance="step", mu=0.5, to_rho=1.0, seeds="", learning_rate=0.01, iterations=2500, schedule="",
        precision="fp32", selection="last", class_label=-1, status="ok", train_seconds=36.0, device="a CPU",
        code_version="x", created="2018-07-10T00:00:00Z",
    )  # fmt: skip


@pytest.fixture(scope="module")
def measured():
    """Accounts of which only paper 4's has results."""
    import importlib

    found = {paper.stem: overview.Account(paper, None, pd.DataFrame()) for paper in PAPERS}
    paper = found["systematic_study"].paper
    module = importlib.import_module("common.studies.systematic_study")
    return found | {paper.stem: overview.Account(paper, module, systematic())}


def test_a_meeting_has_our_numbers_where_there_are_any(measured):
    pairs = {stem: (one.frame, one.module) for stem, one in measured.items()}
    table = meetings.meeting("thresholding", pairs)
    assert table["which is"].tolist()[0].startswith("better; shortened schedule: 2500 of 10000")
    assert table["which is"].tolist()[1:] == ["not measured yet"] * 6
    assert table["effect [95% interval]"].iloc[0].startswith("+0.101 [0.099")  # gains .100, .101, .102
    assert table["n"].tolist() == [3, 0, 0, 0, 0, 0, 0]
    assert {"CIFAR-10, All-CNN", "CIFAR-10, VGG-16"} < set(table["data"])  # of a paper with several networks, each


def test_every_comparison_of_a_meeting_names_a_known_method():
    for topic, rows in meetings.TOPICS.items():
        for stem, on, metric, method, against, *own in rows:
            claim = meetings._question(stem, on, metric, method, against, *own)
            assert claim.of["method"] == (method,) and claim.against["method"] == (against,), topic
            assert not set(claim.on) & {*claim.of, *claim.against}
            # Centres are compared with what is fitted on the same images.
            equal = {"variant": ("training images only",)} if method == "C" else {}
            assert claim.of == {"method": (method,), **equal}
            assert claim.against == {"method": (against,), **dict.fromkeys(equal, ("",))}
    for stem, share in meetings.SHARES.items():
        stated = [c for c in claims.load(stem) if c.on.get("dataset", ("cifar10", "mnist")) == ("cifar10", "mnist")]
        assert share in {claim.test_share for claim in stated}


def test_an_account_of_what_was_measured(measured):
    one = measured["systematic_study"]
    (rule, *_), text = overview.advice(measured), str(overview.best(one))
    assert (
        "MNIST, 2,500 of 10,000 iterations, accuracy on the official test set: thresholding has the highest mean"
        in text
    )
    assert "If you train a small network from scratch on an easy task (paper 4)" in rule
    assert rule.index("iterations, ratio 10<") < rule.index("iterations, ratio 100<")
    shown = overview.account(one, "demo")
    assert any(isinstance(part, plots.Chart) for part in shown)
    text = " ".join(map(str, shown))
    assert "2,500" in text and "Deviations that matter most" in text and "Thresholding improves the accuracy" in text
    table = overview.winners(measured)
    assert table["best"].tolist() == ["oversampling, of 2", "thresholding, of 3"]
    assert len(overview.winners(measured, by_setting=True)) == 4
    numbers = overview.printed(measured)
    assert numbers["ours"].isna().all()  # the original set was not measured
    assert "0 of 180 printed results" in overview.beside(numbers)[1]
    assert "paper 4" in overview.provenance(measured) and "paper 1" not in overview.provenance(measured)


@pytest.mark.parametrize("own", HOOKS, ids=lambda own: own.__name__.rpartition(".")[2])
def test_deviations_that_matter_are_deviations_of_the_study(own):
    stem = own.__name__.rpartition(".")[2].removesuffix("_overview")
    modules = [path for path in (paths.ROOT / "common" / "studies").glob(f"{stem}*.py") if "overview" not in path.name]
    text = "".join(path.read_text() for path in modules)
    for name in own.MATTER:
        assert f'"{name}"' in text, name


# -- nothing measured --------------------------------------------------------------------------------------------------


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """No store, no committed results, no pages."""
    monkeypatch.setenv("IMBALANCE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("IMBALANCE_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    return tmp_path


def test_the_notebook_runs_when_nothing_was_measured(empty, monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", lambda *values: shown.extend(values))
    content = nbformat.read(paths.NOTEBOOKS / "0_overview.ipynb", as_version=4)
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    source = "".join(cell.source for cell in code)
    assert all(f'papers["{paper.stem}"]' in source for paper in PAPERS), "a section of each paper"
    values = {}
    for cell in code:
        exec(cell.source, values)
    assert not any(values["papers"].values()) and values["numbers"]["ours"].isna().all()
    text = " ".join(map(str, shown))
    assert text.count("Not measured yet.") >= 6 and "supported" not in text.replace("not supported", "")


def test_links_lead_to_pages_that_exist(empty):
    one = overview.accounts()["systematic_study"]
    assert one.page("reduced") == "no page yet"
    for profile in ("demo", "paper"):
        (empty / "reports" / profile).mkdir(parents=True)
        (empty / "reports" / profile / one.paper.page).write_text("")
    assert '"../paper/4_systematic_study.html"' in one.page("reduced")
    assert '"../demo/4_systematic_study.html"' in one.page("demo")
    (empty / "reports" / "paper" / one.paper.page).unlink()
    assert one.page("reduced") == "no page yet"  # demo pages are not committed


# -- running it --------------------------------------------------------------------------------------------------------


def test_the_overview_comes_last_and_minds_no_parameter_of_cells(monkeypatch):
    monkeypatch.setattr(jobs, "check_data", lambda study: None)
    monkeypatch.delenv("IMBALANCE_STORE", raising=False)
    assert [str(paper) for paper in replications(True)][-1] == "0_overview"
    for profile in ("demo", "reduced", "paper"):
        last = jobs.plan(profile, cli.parse([profile, "--set", "replicates=2", "--only", "0,2"])[2])[-1]
        assert str(last.paper) == "0_overview" and last.last and last.parameters == {}
        assert last.options == {"profile": profile}
    with pytest.raises(jobs.UserError, match="unknown parameter 'replicates'"):
        jobs.plan("demo", cli.parse(["demo", "--set", "replicates=2", "--only", "0"])[2])


def test_the_overview_waits_for_all_that_measure():
    own, other = (SimpleNamespace(study=study, last=True, paper=str(study)) for study in (None, "cells"))
    assert not running._may_start(own, [own, other], [])
    assert not running._may_start(own, [own], [SimpleNamespace(job=other)])
    assert running._may_start(own, [own], []) and running._may_start(other, [own, other], [])
