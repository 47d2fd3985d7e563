"""Effects worked out by hand, the shipped claims on made-up results with the paper's numbers, tables and figures."""

import numpy as np
import pandas as pd
import pytest

from common import readme
from common.claims import evaluate, load
from common.published_numbers import published
from common.studies import category_centers as paper
from common.studies import category_centers_claims as claims
from common.studies import category_centers_figures as figures
from common.studies import category_centers_runs as runs
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


def test_parameters_saved_are_counted():
    """VGG-16 has 134,301,514 parameters with ten classes; fc7 4096 x 4096 + 4096, the last layer 4096 x 10 + 10."""
    saved = {one.id: getattr(claims, one.test)(one) for one in load(paper.STEM) if one.test.startswith("count_")}
    whole, layer = 134_301_514, 4096 * 10 + 10
    expected = {"parameters-saved-c": (4096 * 4096 + 4096 + 10) / whole}
    expected |= {"parameters-below-classification-layer": 10 / layer, "parameters-saved-f": 10 / whole}
    assert saved == pytest.approx(expected)
    row = evaluate(load(paper.STEM), pd.DataFrame(), paper).set_index("id")
    assert row.loc[list(saved), "verdict"].tolist() == ["supported", *["not supported"] * 2] and (row["n"] == 0).all()


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

MEAN = "mean of A, B, C"
GAIN = {"C": 0.03, "F": 0.03, "OD": 0.01, "linear": 0.02, "cRT": 0.05}


def result(dataset, network, imbalance, scale, sampler, replicate, **row):
    own = {"input_size": 224, "pretraining": "imagenet"} if network == "vgg16" else {}
    cell = paper.Cell(
        dataset, replicate, network=network, imbalance=imbalance, count_scale=scale, sampler=sampler, **own
    )
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
    counted = ("parameters-saved-f", "parameters-below-classification-layer")
    expected = dict.fromkeys(found.index, "supported") | dict.fromkeys(counted, "not supported")
    assert found["verdict"].to_dict() == expected, found[["verdict", "effect", "verdict_note"]]
    counted = found["test"].str.startswith("count_")
    assert (found.loc[~counted, "n"] == 3).all() and not found["verdict_note"].str.contains("left out|shortened").any()


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


def test_a_schedule_that_the_limit_cut_short_is_said(frame):
    """Whatever the limit is: of a long one the rule may have ended all trainings, of a short one too."""
    cut = frame["key"].str.contains("cifar10allcnnA1.0none")
    found = evaluate(load(paper.STEM), frame.assign(ended_by=np.where(cut, "limit", "rule"), iterations=700), paper)
    found = found[found["verdict"] != "no data"].set_index("id")["verdict_note"]
    said = found[
        found.str.contains(
            "shortened schedule: 3 of the 18 networks of this schedule ended by the limit of 700 updates"
        )
    ]
    assert "allcnn-few" in said.index and said.index.str.contains("allcnn|centers|boundary").all()


def test_what_vgg_stood_on_is_said(frame):
    changed = {"pretraining": "tiny_imagenet", "input_size": 64, "batch_norm": True}
    small = frame.assign(**changed).where(frame["network"] == "vgg16", frame)
    found = evaluate(load(paper.STEM), small, paper).set_index("id")
    note = found.loc["vgg-cifar10-few", "verdict_note"]
    stand_in = "stand-in for VGG-16 with ImageNet's weights at 224 pixels"
    assert f"{stand_in}: pre-trained on tiny_imagenet, input of 64 pixels, batch normalisation; all rep" in note
    assert "stand-in" not in found.loc["allcnn-few", "verdict_note"]
    row = {"note": "", "paper": 1, "data": "CIFAR-10", **found.loc["vgg-cifar10-few"].to_dict()}
    assert readme._row(row)[-1].count("stand-in") == 1


def test_networks_that_have_not_learned_are_not_judged_and_said(frame):
    tenth = (frame["count_scale"] < 1) & (frame["network"] == "allcnn")
    scores = frame["metric"].isin(["accuracy", "recall_few", "recall_many"])
    blind = frame.assign(value=np.where(tenth & scores, 0.1, frame["value"]))
    found = evaluate(load(paper.STEM), blind, paper).set_index("id")
    assert found.loc["allcnn-few", "verdict"] == "supported"
    row = found.loc["allcnn-absolute-count"]
    assert (
        row["verdict"] == "no data"
        and "with 0.1 times the images: its own classifier reaches 0.1" in row["verdict_note"]
    )
    for reached, counts in ((0.31, False), (0.33, True)):  # half of table VII's .636 is .318
        near = frame.assign(value=np.where((frame["network"] == "allcnn") & scores & (frame["method"] == "D"),
                                           reached, frame["value"]))  # fmt: skip
        near = evaluate(load(paper.STEM), near, paper).set_index("id")
        assert (near.loc["allcnn-many-decline", "verdict"] != "no data") == counts, reached
    all_blind = frame.assign(value=np.where(scores, 0.1, frame["value"]))
    assert paper.judged(all_blind).empty
    part = paper.main_rows(all_blind, "cifar10", "allcnn")
    assert "has not learned its task in 40,000 updates" in runs.summary("VII", "All-CNN", part)


def test_one_precision_counts(frame):
    one = frame[(frame["network"] == "allcnn") & (frame["replicate"] == 0)]
    both = pd.concat([frame, one.assign(precision="bf16", key=one["key"] + "bf16", value=one["value"] - 0.3)])
    assert set(paper.selected(both)["precision"]) == {"fp32"} and len(paper.selected(both)) == len(frame)


# -- tables and figures ------------------------------------------------------------------------------------------------


def test_gaps_stand_beside_the_papers(frame):
    part = paper.main_rows(frame, "cifar10", "allcnn")
    table = facts.gap_table(published(paper.STEM), part, "VII")
    row = table[(table["difference"] == "C − D") & (table["imbalance"] == "A")].iloc[0]
    assert row["paper"] == "+0.019" and row["n"] == 3  # .656 - .637
    assert row["ours [95% interval]"].startswith("+0.0")
    mean = table[(table["difference"] == "C − D") & (table["imbalance"] == MEAN)].iloc[0]
    assert mean["paper"] == "+0.008"  # (.019 + .001 + .004) / 3
    table = facts.gap_table(published(paper.STEM), part[part["imbalance"] != "B"], "VII")
    mean = table[(table["difference"] == "C − D") & (table["imbalance"] == "mean of A, C")].iloc[0]
    assert mean["paper"] in ("+0.011", "+0.012")  # (.019 + .004) / 2, of the same imbalances as ours
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
    assert found["mean"].to_dict() == pytest.approx({"A": 0.1, "B": 0.2, "mean of A, B": 0.15})
    assert found["n"].to_dict() == {"A": 2, "B": 1, "mean of A, B": 1}  # only one replicate has both imbalances
    assert found.loc["A", ["low", "high"]].tolist() == pytest.approx([0.1, 0.1])


def test_means_are_of_the_imbalances_that_all_methods_have(frame):
    """Oversampled networks of A alone, the easier one, must not lead."""
    part = paper.main_rows(frame, "cifar10", "allcnn")
    part = part[(part["imbalance"] == "A") | ((part["imbalance"] == "B") & (part["sampler"] == "none"))]
    found = facts.differences(part, [("C", "D"), ("OC", "OD")])
    assert found["imbalance"].tolist() == ["A", "B", "A"]
    assert list(facts.accuracies(part)) == ["method", "A", "B"]
    assert facts.winner(part).startswith("The best centres (OC)") and "mean of A:" in facts.winner(part)
    one = facts.winner(part[part["replicate"] == 0])
    assert "in one replicate, which cannot tell them apart" in one and "(n = 3)" in facts.winner(part)


def test_methods_are_ranked_on_the_replicates_that_all_of_them_have(frame):
    """Oversampled networks of the best replicate alone must not lead by it."""
    part = paper.main_rows(frame, "cifar10", "vgg16")
    one = part[(part["sampler"] == "none") | (part["replicate"] == 1)]
    raised = one.assign(value=one["value"] + 0.5 * (one["replicate"] == 1))
    found, own = facts.accuracies(raised), facts.accuracies(raised[raised["replicate"] == 1])
    assert list(found)[-1] == f"{MEAN} in 1 of 3 replicates" and found["method"].tolist() == own["method"].tolist()
    assert "picked by their mean of A, B, C in 1 of 3 replicates" in facts.winner(raised)
    assert runs.counted(one) == "n = 1 to 3, no interval where it is 1" and runs.counted(part) == "n = 3"
    assert runs.counted(part[part["replicate"] == 1]) == "one replicate, no intervals"
    lacking = (part["replicate"] > 0) & (part["imbalance"] == "C")
    assert runs.counted(part[~lacking]) == "n = 1 to 3, no interval where it is 1", "each imbalance for itself"
    angles = part[part["replicate"] == 0].assign(metric="angle", method="centre")
    assert runs.counted(pd.concat([part, angles])) == "n = 3", "what one network's angles cost, another may leave out"


def test_tables_follow_the_data(frame):
    part = paper.main_rows(frame, "cifar10", "vgg16")
    assert facts.accuracies(part)["method"].iloc[0] in {"cRT", "OC", "OF"}
    assert list(facts.accuracies(part)) == ["method", "A", "B", "C", MEAN]
    assert facts.rivals(part)[["centres", "minus"]].to_numpy().tolist() == [["C", "cRT"], ["F", "cRT"]]
    assert facts.ablations(part)[["method", "variant"]].to_numpy().tolist() == [
        ["C", "normalised centres"], ["OC", "normalised centres"]
    ]  # fmt: skip
    assert runs.sizes(part).set_index("method")["saved, %"].to_dict() == pytest.approx({"C": 40, "D": 0, "F": 1})
    assert "minus the best of the others (cRT)" in facts.winner(part)
    assert set(facts.few_and_many(part)["difference"]) == {"C − D", "F − D", "OD − D", "OC − D", "OF − D"}
    assert runs.training_table(part)["by_rule"].tolist() == [3] * 6
    assert runs.cost(part)["networks"].sum() == 18
    small, cut = part.assign(pretraining="tiny_imagenet", input_size=64), part.assign(ended_by="limit")
    assert runs.is_full(part) and runs.is_full(paper.main_rows(frame, "cifar10", "allcnn"))
    assert not any(map(runs.is_full, (small, cut, part.iloc[:0])))
    assert "pre-training are not the paper's" in runs.summary("V", "VGG", small)
    assert "ended 18 of 18 trainings before the rule" in runs.summary("V", "VGG", cut)
    both = runs.summary("V", "VGG", small.assign(ended_by="limit"))
    assert "before the rule on validation accuracy did; input or pre-training are not the paper's." in both
    assert "Levels" not in runs.summary("V", "VGG", part)
    assert "neither an order nor a direction" in runs.summary("V", "VGG", part[part["replicate"] == 0])
    found = runs.parameters_of(part)
    assert (found.network, found.imbalances, found.replicates, found.count_scale) == ("vgg16", ("A", "B", "C"), 3, 1)


def test_table_2_as_printed():
    table = runs.counts_table(published(paper.STEM), "II").set_index("label")
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
    assert "not measured yet" in runs.summary("V", "VGG", none) and runs.parameters_of(none) is None
    for table in (facts.gap_table(published(paper.STEM), none, "V"), facts.few_and_many(none), facts.ablations(none),
                  facts.rivals(none), facts.accuracies(none), runs.sizes(none)):  # fmt: skip
        assert len(table) == 0
    assert facts.winner(none) == "" and runs.counted(none) == "one replicate, no intervals"
    assert "0.779" in facts.compare(published(paper.STEM), none, "V", levels=False)


def test_an_estimate_from_all_samples_of_a_class_does_not_count_as_stable():
    """Of ten samples in each class five say how far an estimate moves; ten would be compared with themselves."""
    random = np.random.default_rng(0)
    found = stability.angles(random.normal(size=(30, 4)), np.repeat([0, 1, 2], 10), 3, seed=0)
    assert {row["samples"] for row in found} == {5}
