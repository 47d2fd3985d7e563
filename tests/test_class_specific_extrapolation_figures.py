"""Figures and tables of paper 3, on a small run and on nothing."""

import numpy as np
import pandas as pd
import pytest

from common import study, tables
from common.studies import class_specific_extrapolation as paper
from common.studies import class_specific_extrapolation_figures as show
from common.studies import class_specific_extrapolation_latent_figures as latent_figures
from common.studies import class_specific_extrapolation_overview as overview
from common.studies.class_specific_extrapolation_results import experiment

TINY = {"majors": 30, "minors": 10, "held_out": 5, "epochs": 1, "hidden": 8, "iterations": 1, "head_epochs": 1}
FIGURES = ("figure_1", "gains", "course", "closeness_map", "pictures")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    options = {"store": str(folder / "store"), "workers": 1}
    made = study.Run(paper, {**TINY, "ablation": (10, 5), "replicates": 2}, options, committed=folder / "committed")
    made.execute()
    return made


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_with_its_alternative_text(run, name):
    chart = getattr(experiment(run.frame(), run.curves(), False), name)
    assert chart.render().startswith((b"<?xml", b"\x89PNG")) and "Circle-" in chart.alt


def test_figure_2_has_a_panel_for_each_ratio(run):
    small = experiment(run.frame(), run.curves(), True)
    assert "(a) Circle-Cross, 3:1, n = 2; (b) Circle-Cross, 6:1, n = 2" in small.figure_2.alt
    one_missing = small.frame[(small.frame["rho"] == 3) | (small.frame["replicate"] == 0)]
    assert show.by_ratio(one_missing).columns.tolist() == ["method", "3:1, n = 2", "6:1, n = 1"]
    assert show.by_ratio(small.frame)["method"].tolist() == [paper.BEFORE, *show.NAMES]


def test_what_was_measured_in_a_sentence(run):
    frame = run.frame()
    others = frame[frame["method"] == "random"].assign(starts="real", key="r" + frame["key"])
    less = frame[~frame["ablation"].astype(bool) | (frame["rho"] == 3) | (frame["replicate"] == 0)]
    heads, smaller, variants = (
        part["key"].nunique() for part in (paper.main_rows(frame), paper.main_rows(less, True), others)
    )
    width = TINY["hidden"]
    assert paper.summary(pd.concat([less, others])) == (
        f"{heads} heads of width {width} on 2 VGG-19 backbones (shapes); {smaller} for figure 2, with 1 to 2 "
        f"backbones a ratio; {variants} in variants."
    )
    whole = paper.summary(frame[frame["replicate"] == 0])
    assert "on 1 VGG-19 backbone (shapes); " in whole and whole.endswith("for figure 2, with 1 backbone a ratio.")


def test_figure_1_has_the_papers_panels():
    x = np.linspace(0, 1, 5)
    curves = [
        {"method": method, "curve": f"precision-recall {pair}", "x": x, "y": 1 - x / 2, "rho": 3.0, "replicate": 0}
        for pair, _ in set(show.FIGURE_1)
        for method in show.NAMES
    ]
    curves = pd.concat([pd.DataFrame(curve) for curve in curves], ignore_index=True)
    chart = show.figure_1(curves, list({pair for pair, _ in show.FIGURE_1}))
    assert "(a) Airplane-Automobile; (b) Airplane-Automobile, enlarged; (c) Truck-Ship;" in chart.alt
    assert "(g) Dog-Cat; (h) Horse-Deer" in chart.alt


def test_tables(run):
    whole = experiment(run.frame(), run.curves(), False)
    assert "2 backbones, 0 diverged" in whole.note and "16 heads" in whole.note
    assert whole.table("pr_auc").columns.tolist() == ["method", "n", *whole.pairs] and len(whole.pairs) == 5
    cost = show.cost(whole.frame).set_index("method")
    assert cost.loc["no extrapolation", "samples made"] == "0"
    assert pd.isna(cost.loc["asymmetric", "seconds saved, %"])
    untimed = show.cost(whole.frame[whole.frame["metric"] != "busy_seconds"]).set_index("method")
    assert set(untimed["seconds"]) == {tables.MISSING} and untimed["samples made"].equals(cost["samples made"])
    one_untimed = whole.frame[(whole.frame["metric"] != "busy_seconds") | (whole.frame["replicate"] == 1)]
    assert show.cost(one_untimed).set_index("method").loc["random", "seconds saved, %"] not in (None, tables.MISSING)
    assert show.overlapped(whole.frame)["overlapped in the paper"].isna().all(), "these are not the paper's pairs"
    assert len(latent_figures.closeness(whole.frame)) == 5
    overall = show.overall(whole.frame[(whole.frame["method"] != "random") | (whole.frame["replicate"] == 1)])
    assert set(overall) == {"method", "n", "accuracy", "recall of minor classes"}
    assert set(overall.loc[overall["method"] != "random", "n"]) == {2} and set(overall["n"]) == {1, 2}


def test_experiments_do_not_mix(run):
    """Neither data sets nor what segments start from."""
    frame = run.frame()
    other = frame.assign(dataset="cifar10", value=0.5, key="c" + frame["key"])
    assert set(paper.main_rows(pd.concat([frame, other]))["dataset"]) == {"cifar10"}
    real = frame[frame["method"] == "random"].assign(starts="real", key="r" + frame["key"], value=0.25)
    both = pd.concat([frame, real])
    assert paper.main_rows(both).equals(paper.main_rows(frame)) and paper.judged(both).equals(frame)
    wide = frame[frame["replicate"] == 0].assign(hidden=4096, key="w" + frame["key"], value=0.75)
    assert paper.judged(pd.concat([frame, wide], ignore_index=True)).equals(frame), "one replicate has the wide head"
    table = show.by_starts(both)
    assert table["starts"].tolist() == ["nothing", "images and synthetic samples", "images only"]
    assert table.loc[2, show.pairs_of(paper.main_rows(frame))[0]].startswith("0.2500") and show.by_starts(frame).empty


def test_two_arms_of_one_rule_differ_by_chance_alone():
    rows = [
        {"replicate": 0, "pair": pair, "method": method, "metric": "pr_auc", "value": value}
        for pair, value in {"A-B": 0.9, "C-D": 0.8}.items()
        for method, value in {"random": value, paper.METHODS["run"]: value + 0.02}.items()
    ]
    run = {"replicate": 0, "method": paper.METHODS["run"], "metric": "overlapped"}
    rows += [{**run, "pair": "A-B", "value": 0.0}, {**run, "pair": "C-D", "value": 1.0}]
    (found,) = show.by_chance(pd.DataFrame(rows)).to_dict("records")
    assert found["pair"] == "A-B" and found["difference"] == pytest.approx(0.02)
    assert show.by_chance(pd.DataFrame(rows[:2])).empty


def samples(method, replicate, **values):
    """Rows of how a pair's samples came about."""
    place = {"method": method, "pair": "A-B", "replicate": replicate}
    return [{**place, "metric": name, "value": value} for name, value in {"pr_auc": 0.5, **values}.items()]


def test_how_samples_came_about():
    values = {"generated": 40, "distinct": 30, "skipped": 90, "clipped": 0.25}
    frame = pd.DataFrame([row for method in ("top", "asymmetric") for row in samples(method, 0, **values)])
    top, asymmetric = show.sampling(frame).to_dict("records")
    assert (top["pairs without a crossing, %"], top["repeated, %"], top["samples"]) == (75, 25, "40")
    # Without equation 1 there is no target to clip.
    assert (top["targets clipped, %"], asymmetric["targets clipped, %"]) == (tables.MISSING, "25.0")


def test_shares_of_samples_are_of_all_replicates_that_made_some():
    first = {"generated": 40, "distinct": 30, "skipped": 10, "clipped": 0.5, "overlapped": 1}
    second = {"generated": 10, "distinct": 10, "skipped": 30, "clipped": 0.1, "overlapped": 1}
    skips = {"generated": 0, "overlapped": 0}  # as written: a separable pair is not tried
    unbiased = {"generated": 50, "distinct": 50, "skipped": 0, "clipped": 0.0, "overlapped": 0}  # as run: at random
    written, run = paper.METHODS["written"], paper.METHODS["run"]
    rows = [samples(method, r, **values) for method in (written, run) for r, values in enumerate((first, second))]
    rows += [samples(written, 2, **skips), samples(run, 2, **unbiased), samples("no extrapolation", 0, **skips)]
    table = show.sampling(pd.DataFrame([row for part in rows for row in part])).set_index("method")
    assert table.loc[written, ["n", "samples"]].tolist() == [2, "10 to 40"] and set(table.index) == {written, run}
    assert table.loc[written, "pairs without a crossing, %"] == pytest.approx(100 * (10 + 30) / (40 + 40))
    assert table.loc[written, "repeated, %"] == pytest.approx(100 * (10 + 0) / (40 + 10))
    assert table.loc[run, "repeated, %"] == pytest.approx(100 * 10 / 100)
    clipped = f"{100 * (0.5 * 30 + 0.1 * 10) / 40:.1f}"
    assert table.loc[written, "targets clipped, %"] == clipped
    assert table.loc[run, "targets clipped, %"] == f"{clipped} (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}2)"
    shares = table.filter(like="%").drop(columns="targets clipped, %")
    assert shares.ge(0).all(axis=None) and shares.le(100).all(axis=None)
    assert show.sampling(pd.DataFrame(samples(written, 2, **skips))).empty


def test_closest_pairs_say_in_how_many_replicates(run):
    distances = {0: (1, 5, 5, 1), 1: (1, 5, 5, 1), 2: (5, 1, 1, 5)}
    rows = [
        {"replicate": r, "method": "backbone", "metric": metric, "pair": pair, "value": value}
        for r, values in distances.items()
        for pair, value in zip(("Truck-Ship", "Dog-Ship", "Truck-Cat", "Dog-Cat"), values, strict=True)
        for metric in ("centre_distance", "nearest_share")
    ]
    table = latent_figures.closeness(pd.DataFrame(rows)).set_index("minor class")
    assert table.loc["Ship", ["one to one", "paper"]].tolist() == ["Truck (2 of 3)"] * 2
    assert table.loc["Cat", "one to one"] == "Dog (2 of 3)"
    of_shapes = latent_figures.closeness(experiment(run.frame(), run.curves(), False).frame)
    assert of_shapes["paper"].isna().all() and of_shapes["one to one"].str.endswith(" of 2)").all()


def test_the_share_of_time_that_samples_take(run):
    frame = experiment(run.frame(), run.curves(), False).frame
    seconds = {"sampling_seconds": [1.0, 3.0], "seconds": [10.0, 30.0]}
    for metric, values in seconds.items():
        frame.loc[(frame["metric"] == metric) & (frame["method"] == "random"), "value"] = values
    column = "making samples, % of time"
    shares = show.cost(frame).set_index("method")[column]
    assert shares["random"] == "10.0" and shares["no extrapolation"] == "0.0"
    one = frame[(frame["metric"] != "seconds") | (frame["replicate"] == 0)]
    assert show.cost(one).set_index("method").loc["random", column].startswith("10.0 (n")
    untimed = show.cost(frame[~frame["metric"].isin(list(seconds))])
    assert set(untimed[column]) == {tables.MISSING}


def test_what_starts_change_is_told_with_the_deviation(run):
    """Of random selection, on the pairs where its gain rises and falls most, on the replicates that have both."""
    frame = run.frame()
    first, *_, last = show.pairs_of(paper.main_rows(frame))
    scores = frame[(frame["metric"] == "pr_auc") & ~frame["ablation"].astype(bool) & (frame["replicate"] == 1)]
    gains = scores.pivot_table(index="pair", columns="method", values="value")
    gain = gains["random"] - gains["no extrapolation"]
    moved = {first: 0.2, last: -0.1}
    real = frame[(frame["method"] == "random") & (frame["replicate"] == 1)]
    real = real.assign(starts="real", key="r" + real["key"], value=real["value"] + real["pair"].map(moved).fillna(0.0))

    def told(measured):
        (row,) = (r for r in paper.deviations(run.parameters, measured) if r["what"] == overview.MATTER[2])
        return row["why"]

    both = told(pd.concat([frame, real]))
    expected = [
        f"{tables.effect(gain[pair], sign=True)} on {pair}, with images alone "
        f"{tables.effect(gain[pair] + change, sign=True)}"
        for pair, change in moved.items()
    ]
    assert ", and ".join(expected) in both and both.endswith("; 1 replicate)")
    assert told(None) == told(frame) and "PR-AUC" not in told(None)
    assert "what segments begin at" not in {row["what"] for row in paper.deviations(paper.Parameters(starts="real"))}


def test_nothing_measured_gives_nothing(tmp_path):
    empty = study.Run(paper, {}, {"store": str(tmp_path)}, committed=tmp_path / "none")
    found = experiment(empty.measured(), empty.store.curves(paper.STEM, set()), False)
    assert not found and found.note == "Not measured yet." and found.pairs == []
    assert all(getattr(found, name) is None for name in (*FIGURES, "figure_2"))
    assert paper.parameters_of(empty.measured()) is None


def test_measured_rows_are_the_papers_own_setting(run):
    assert paper.selected(run.frame()).empty, "a demo's sizes are not the paper's"
    usual = run.frame().assign(
        majors=3000, minors=1000, held_out=500, depth=19, width=64, epochs=10, batch_size=128, head_epochs=10
    )
    assert len(paper.selected(usual)) == len(usual)
    assert paper.selected(usual.assign(gamma=-0.2)).empty
    wide = pd.concat([usual, usual[usual["replicate"] == 0].assign(hidden=4096)])
    assert set(paper.main_rows(wide)["hidden"]) == {8}, "one replicate does not replace two"


def test_deviations_follow_the_parameters(run):
    full = paper.Parameters(
        dataset="cifar10", majors=3000, minors=1000, depth=19, width=64, hidden=4096, epochs=10, iterations=19,
        head_epochs=10, image_size=224, dropout=0.5, batch_norm=False, ablation=(1000, 500, 300),
    )  # fmt: skip
    named = {row["what"] for row in paper.deviations(full)}
    assert named == {"what is trained on synthetic samples", "no extrapolation", "what segments begin at"}
    assert {"data", "batch normalisation", "iterations"} < {row["what"] for row in paper.deviations(paper.Parameters())}
    again = paper.parameters_of(run.frame())
    assert (again.majors, again.replicates, again.ablation, again.samplers) == (30, 2, (10, 5), run.parameters.samplers)
