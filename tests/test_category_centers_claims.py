"""Effects worked out by hand, the shipped claims on made-up results with the paper's numbers, tables and figures."""

import numpy as np
import pandas as pd
import pytest

from common.claims import evaluate, load
from common.published_numbers import published
from common.studies import category_centers as paper
from common.studies import category_centers_claims as claims
from common.studies import category_centers_figures as figures
from common.studies import category_centers_stability as stability
from common.studies import category_centers_tables as facts


def test_absolute_count_is_a_difference_of_gains():
    values = {(1.0, "C"): 0.7, (1.0, "OC"): 0.75, (0.1, "C"): 0.5, (0.1, "OC"): 0.48}
    rows = pd.DataFrame(
        [{"replicate": 0, "imbalance": "A", "count_scale": s, "method": m, "value": v} for (s, m), v in values.items()]
    )
    # .05 with all images, -.02 with a tenth.
    assert claims.claim_absolute_count(None, rows) == pytest.approx([0.07])
    assert len(claims.claim_absolute_count(None, rows[rows["count_scale"] == 1])) == 0
    assert len(claims.claim_absolute_count(None, rows[rows["method"] == "C"])) == 0


def test_parameters_saved_is_a_share():
    rows = pd.DataFrame({"replicate": [0, 0, 1, 1], "method": ["D", "C"] * 2, "value": [200.0, 150, 200, 100]})
    assert claims.claim_parameters_saved(None, rows) == pytest.approx([0.25, 0.5])
    assert len(claims.claim_parameters_saved(None, rows[rows["method"] == "C"])) == 0


# -- stability ---------------------------------------------------------------------------------------------------------


def test_angle():
    assert stability.angle(np.array([2.0, 0]), np.array([0, 0.1])) == pytest.approx(90)
    assert stability.angle(np.array([1.0, 0]), np.array([1, 1e-9])) == pytest.approx(np.degrees(1e-9))
    assert stability.angle(np.array([1.0, 0]), np.array([-3.0, 0])) == pytest.approx(180)


def test_estimates_move_less_the_more_samples_they_have():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), [150, 150, 30])
    features = np.eye(3)[labels] @ random.normal(0, 1, (3, 10)) + random.normal(0, 0.5, (len(labels), 10))
    found = pd.DataFrame(stability.angles(features, labels, 3, seed=0))
    assert found.loc[found["method"] == stability.CENTER, "samples"].tolist() == [5, 10, 20, 50, 100]
    for _, one in found.groupby("method"):
        assert one.sort_values("samples")["value"].is_monotonic_decreasing
    scaled = pd.DataFrame(stability.angles(7 * features, labels, 3, seed=0))
    assert np.allclose(found["value"], scaled["value"], atol=0.05)  # lengths do not matter


# -- the shipped claims ------------------------------------------------------------------------------------------------

GAIN = {"C": 0.03, "F": 0.03, "OD": 0.01, "linear": 0.02, "cRT": 0.05}


def result(dataset, network, imbalance, scale, sampler, replicate, **row):
    cell = paper.Cell(dataset, replicate, network=network, imbalance=imbalance, count_scale=scale, sampler=sampler)
    common = {name: getattr(cell, name) for name in cell.__dataclass_fields__}
    key = f"{dataset}{network}{imbalance}{scale}{sampler}{replicate}"
    return {**common, "key": key, "status": "ok", "stand_in": False, "variant": "", "class_label": -1,
            "samples": np.nan, "train_seconds": 60.0, "device": "cpu", "epochs": 20, "recessions": 8,
            "iterations_done": 900, "ended_by": "rule", **row}  # fmt: skip


def grid(replicates=3):
    """Results that agree with everything the paper says."""
    random, made = np.random.default_rng(0), []
    places = [("cifar10", "allcnn", 1.0), ("cifar10", "allcnn", 0.1), ("cifar10", "vgg16", 1.0)]
    for dataset, network, scale in [*places, ("cifar10", "vgg16", 0.1), ("cifar100", "vgg16", 1.0)]:
        layers = ("C",) if network == "allcnn" else ("C", "F")
        helps = 0.02 if dataset == "cifar10" and scale == 1 else -0.02
        for imbalance in "ABC":
            for replicate in range(replicates):
                level = {"A": 0.6, "B": 0.5, "C": 0.7}[imbalance] * (0.8 if scale < 1 else 1)
                for sampler, methods in (
                    ("none", ("D", *layers, "cRT")),
                    ("oversampling", ("OD", *map("O{}".format, layers))),
                ):

                    def add(method, metric, value, at=(dataset, network, imbalance, scale, sampler, replicate), **more):
                        noise = 0 if metric == "parameters" else random.normal(0, 1e-3)
                        made.append(result(*at, method=method, metric=metric, value=value + noise, **more))

                    for method in methods:
                        plain = method.removeprefix("O") if method != "OD" else method
                        gain = GAIN.get(plain, 0.0) + (helps if method in ("OC", "OF") else 0.0)
                        add(method, "accuracy", level + gain)
                        add(method, "recall_few", level - 0.1 + 3 * gain)
                        add(method, "recall_many", level + 0.1 - gain)
                        add(method, "parameters", {"D": 100, "OD": 100, "F": 99, "OF": 99}.get(method, 60))
                        for label in range(10 if dataset == "cifar10" else 100):
                            add(method, "recall", level, class_label=label)
                    add(methods[1], "accuracy", level + 0.02, variant="normalised centres")
                    for samples in stability.SAMPLES if sampler == "none" else ():
                        for method, factor in ((stability.CENTER, 1), (stability.BETWEEN, 2), (stability.LINEAR, 3)):
                            add(method, "angle", 10 * factor + 100 / samples, samples=samples)
    return pd.DataFrame(made)


@pytest.fixture(scope="module")
def frame():
    return grid()


def test_every_claim_finds_its_results(frame):
    """A misspelt method, metric or column would read 'no data' for ever."""
    found = evaluate(load(paper.STEM), paper.selected(frame), paper).set_index("id")
    expected = dict.fromkeys(found.index, "supported") | {"parameters-saved-f": "not supported"}
    assert found["verdict"].to_dict() == expected, found[["verdict", "effect", "verdict_note"]]
    assert (found["n"] == 3).all() and not found["verdict_note"].str.contains("left out|shortened").any()


def test_claims_turn_with_the_results(frame):
    """Centres that are worse by as much refute what they supported."""
    arm = frame["method"].isin(["C", "F"]) & frame["metric"].isin(["accuracy", "recall_few"])
    worse = frame.assign(value=frame["value"] - 0.2 * arm)
    found = evaluate(load(paper.STEM), worse, paper).set_index("id")["verdict"]
    names = (
        "allcnn-c-above-d",
        "allcnn-c-above-od",
        "vgg-cifar10-few",
        "vgg-cifar100-above-od",
        "vgg-cifar100-oc-below-c",
    )
    assert found[list(names)].eq("not supported").all()


def test_a_shortened_schedule_is_said(frame):
    found = evaluate(load(paper.STEM), frame.assign(iterations=700), paper)
    judged = found[found["verdict"] != "no data"]
    assert len(judged) and judged["verdict_note"].str.contains("shortened schedule: 700 of 40000").all()


# -- tables and figures ------------------------------------------------------------------------------------------------


def test_gaps_stand_beside_the_papers(frame):
    part = paper.main_rows(frame, "cifar10", "allcnn")
    table = facts.gap_table(published(paper.STEM), part, "VII")
    row = table[(table["difference"] == "C − D") & (table["imbalance"] == "A")].iloc[0]
    assert row["paper"] == "+0.019" and row["n"] == 3  # .656 - .637
    assert row["ours [95% interval]"].startswith("+0.0")
    mean = table[(table["difference"] == "C − D") & (table["imbalance"] == facts.MEAN)].iloc[0]
    assert mean["paper"] == "+0.008"  # (.019 + .001 + .004) / 3
    assert table.loc[table["difference"] == "C − OD", "paper"].eq("–").all()  # table VII has no oversampling


def test_differences_are_paired_within_replicates():
    rows = [
        result("cifar10", "allcnn", imbalance, 1.0, "none", r, method=m, metric="accuracy", value=v)
        for imbalance, r, m, v in [
            ("A", 0, "D", 0.5), ("A", 0, "C", 0.6), ("A", 1, "D", 0.7), ("A", 1, "C", 0.8),
            ("B", 0, "D", 0.4), ("B", 0, "C", 0.6),
        ]
    ]  # fmt: skip
    found = facts.differences(pd.DataFrame(rows), [("C", "D"), ("F", "D")]).set_index("imbalance")
    assert found["mean"].to_dict() == pytest.approx({"A": 0.1, "B": 0.2, facts.MEAN: 0.15})
    assert found["n"].to_dict() == {"A": 2, "B": 1, facts.MEAN: 1}  # only one replicate has both imbalances
    assert found.loc["A", ["low", "high"]].tolist() == pytest.approx([0.1, 0.1])


def test_tables_follow_the_data(frame):
    part = paper.main_rows(frame, "cifar10", "vgg16")
    assert facts.accuracies(part)["method"].iloc[0] in {"cRT", "OC", "OF"}
    assert list(facts.accuracies(part)) == ["method", "A", "B", "C", facts.MEAN]
    assert facts.rivals(part)[["centres", "minus"]].to_numpy().tolist() == [["C", "cRT"], ["F", "cRT"]]
    assert facts.ablations(part)[["method", "variant"]].to_numpy().tolist() == [
        ["C", "normalised centres"], ["OC", "normalised centres"]
    ]  # fmt: skip
    assert facts.sizes(part).set_index("method")["saved, %"].to_dict() == pytest.approx({"C": 40, "D": 0, "F": 1})
    assert "minus the best of the others (cRT)" in facts.winner(part)
    assert set(facts.few_and_many(part)["difference"]) == {"C − D", "F − D", "OD − D", "OC − D", "OF − D"}
    assert facts.training_table(part)["by_rule"].tolist() == [3] * 6
    assert facts.cost(part)["networks"].sum() == 18
    papers = part.assign(pretraining="imagenet", input_size=224)
    assert facts.is_full(papers) and facts.is_full(paper.main_rows(frame, "cifar10", "allcnn"))
    assert not any(map(facts.is_full, (part, papers.assign(iterations=700), papers.iloc[:0])))
    assert "pre-training are not the paper's" in facts.summary("V", "VGG", part)
    assert "shortened" in facts.summary("V", "VGG", part.assign(iterations=700))
    found = facts.parameters_of(part)
    assert (found.network, found.imbalances, found.replicates, found.count_scale) == ("vgg16", ("A", "B", "C"), 3, 1)


def test_table_2_as_printed():
    table = facts.counts_table(published(paper.STEM), "II").set_index("label")
    assert table.loc["80~89", "C train"] == 350 and table.loc["80~89", "C valid"] == 87
    assert list(table) == ["A train", "A valid", "B train", "B valid", "C train", "C valid", "test"]


def test_figures_follow_the_data(frame):
    ten, hundred = (figures.per_label(paper.main_rows(frame, name, "vgg16")) for name in ("cifar10", "cifar100"))
    assert [axes.get_title(loc="left") for axes in ten.axes] == [f"({x.lower()}) imbalance {x}" for x in "ABC"]
    assert {len(line.get_xdata()) for axes in hundred.axes for line in axes.lines if line.get_label()[0] != "_"} == {10}
    drawn = figures.stability(paper.main_rows(frame, "cifar10", "allcnn"))
    assert [t.get_text() for t in drawn.axes[0].get_xticklabels()] == ["5", "10", "20", "50", "100"]
    curves = pd.DataFrame(
        {"curve": "validation accuracy", "imbalance": "A", "method": "D", "x": [9, 18], "y": [0.1, 0.3]}
    )
    assert figures.convergence(curves).axes[0].lines[0].get_ydata().tolist() == [0.1, 0.3]


def test_nothing_measured_gives_nothing(frame):
    none = frame.iloc[:0]
    assert figures.per_label(none) is None and figures.stability(none) is None
    assert figures.convergence(pd.DataFrame(columns=["curve"])) is None
    assert "not measured yet" in facts.summary("V", "VGG", none) and facts.parameters_of(none) is None
    for table in (facts.gap_table(published(paper.STEM), none, "V"), facts.few_and_many(none), facts.ablations(none),
                  facts.rivals(none), facts.accuracies(none), facts.sizes(none)):  # fmt: skip
        assert len(table) == 0
    assert facts.winner(none) == ""
    assert "0.779" in facts.compare(published(paper.STEM), none, "V", levels=False)
