"""Choosing one of several trainings, by hand."""

import pandas as pd
import pytest

from common.studies.systematic_study_selection import chosen as selected
from common.studies.systematic_study_selection import counted_replicates, judged, levels, remarks
from common.studies.systematic_study_selection import selected as counted


def training(key, rate, auc, accuracy, halves, method="baseline", network="allcnn", **columns):
    """Rows of one training; `halves` are accuracy on half 0 and 1, AUC the same plus .1."""
    metrics = {"auc": auc, "accuracy": accuracy, "train_accuracy": accuracy + 0.05}
    for h, value in enumerate(halves):
        metrics |= {f"accuracy (half {h})": value, f"auc (half {h})": value + 0.1}
    shared = {"key": key, "convergence": 0, "network": network, "dataset": "cifar10", "rho": 50.0, "mu": 0.5,
              "replicate": 0, "repeat": 0,
              "learning_rate": rate, "method": method, "prior": "", "status": "ok", "selection": "last",
              "class_label": -1, "seed_init": ord(key), "n_train": 10, **columns}  # fmt: skip
    return pd.DataFrame([{**shared, "metric": name, "value": value} for name, value in metrics.items()])


FRAME = pd.concat([
    training("a", 0.05, auc=0.90, accuracy=0.50, halves=(0.70, 0.30)),
    training("b", 0.005, auc=0.80, accuracy=0.60, halves=(0.55, 0.65)),
])  # fmt: skip


def value(frame, metric, selection):
    (found,) = frame.loc[(frame["metric"] == metric) & (frame["selection"] == selection), "value"]
    return found


def test_the_papers_choice_is_the_best_on_the_test_set_by_the_score_shown():
    chosen = selected(FRAME)
    assert value(chosen, "auc", "test") == 0.90
    assert value(chosen, "accuracy", "test") == 0.60
    assert value(chosen, "train_accuracy", "test") == pytest.approx(0.65)  # of the training whose accuracy is shown


def test_the_clean_choice_reports_what_did_not_choose():
    chosen = selected(FRAME)
    # Half 0 prefers a (.70), which has .30 on half 1; half 1 prefers b (.65), which has .55 on half 0.
    assert value(chosen, "accuracy", "validation") == pytest.approx((0.30 + 0.55) / 2)
    assert value(chosen, "auc", "validation") == pytest.approx((0.40 + 0.65) / 2)


def test_a_diverged_training_is_not_chosen_unless_all_are():
    lost = training("c", 0.5, *[float("nan")] * 2, halves=(float("nan"),) * 2, status="diverged")
    assert value(selected(pd.concat([lost, FRAME])), "auc", "test") == 0.90
    alone = selected(lost)
    assert alone["value"].isna().all() and set(alone["status"]) == {"diverged"}


def test_one_training_recorded_along_the_way_and_not_counts_once():
    curves = training("z", 0.005, auc=0.81, accuracy=0.59, halves=(0.55, 0.65), convergence=140, seed_init=ord("b"))
    for rows in ([FRAME, curves], [curves, FRAME]):
        chosen = selected(pd.concat(rows, ignore_index=True))
        best = chosen[(chosen["metric"] == "accuracy") & (chosen["selection"] == "test")]
        assert best["key"].tolist() == ["z"] and best["value"].tolist() == [0.59]  # b's .60 is the same network's


def test_methods_sets_and_networks_without_a_search_stay_apart():
    other = training("a", 0.05, 0.95, 0.90, (0.9, 0.9), method="thresholding")
    harder = training("d", 0.05, 0.70, 0.40, (0.4, 0.4), rho=100.0)
    lenet = training("e", 0.01, 0.99, 0.98, (0.98, 0.98), network="lenet5")
    chosen = selected(pd.concat([FRAME, other, harder, lenet]))
    counts = chosen[chosen["metric"] == "auc"].groupby(["network", "method", "rho", "selection"]).size()
    assert counts.to_dict() == {
        **{("allcnn", m, r, s): 1 for m, r in [("baseline", 50), ("baseline", 100), ("thresholding", 50)]
           for s in ("test", "validation")},
        ("lenet5", "baseline", 50, "last"): 1,
    }  # fmt: skip
    assert selected(lenet).equals(lenet)


@pytest.mark.parametrize(("reached", "kept"), [(0.79, 2), (0.81, 6)])
def test_a_schedule_too_short_to_learn_cifar10_is_not_judged(reached, kept):
    balanced = training("a", 0.05, 0.9, reached, (0.5, 0.5), imbalance="none", iterations=100).iloc[[0, 1]]
    step = training("b", 0.05, 0.9, 0.3, (0.5, 0.5), imbalance="step", iterations=100).iloc[[0, 1]]
    mnist = training("c", 0.01, 0.9, 0.3, (0.5, 0.5), imbalance="step", iterations=100, dataset="mnist").iloc[[0, 1]]
    found = judged(pd.concat([balanced, step, mnist]))
    assert len(found[found["metric"] != "share_trained"]) == kept
    assert set(judged(mnist)["dataset"]) == {"mnist"}


def test_the_share_trained_counts_a_diverged_network_as_none():
    lost = training("c", 0.5, *[float("nan")] * 2, halves=(float("nan"),) * 2, status="diverged", dataset="mnist")
    fine = training("a", 0.05, 0.9, 0.5, (0.7, 0.3), dataset="mnist")
    found = judged(pd.concat([fine, lost]).assign(imbalance="step", iterations=100))
    found = found[found["metric"] == "share_trained"]
    assert found[["key", "value", "status"]].to_numpy().tolist() == [["a", 1.0, "ok"], ["c", 0.0, "ok"]]


def test_a_replicate_that_has_begun_is_told_apart():
    frame = pd.DataFrame({"key": list("abcde"), "replicate": [0, 0, 1, 1, 2], "sampler": "none"})
    assert counted_replicates(frame) == "2 replicates and part of 1 more"
    added = pd.DataFrame({"key": ["f"], "replicate": [0], "sampler": ["normalised"]})
    assert counted_replicates(pd.concat([frame, added])) == "2 replicates and part of 1 more"
    assert counted_replicates(frame[frame["replicate"] == 0]) == "1 replicate"


def test_images_of_imagenet_count_at_the_papers_size_or_else_at_ours():
    """Levels at another size than 256 are not the paper's, and every verdict there says so."""
    usual = {"per_class": 0, "rectified": True, "whiten": True, "width": 96, "learning_rate": 0.1}
    rows = pd.concat([
        pd.DataFrame([{"dataset": "imagenet", "network": "resnet10", "image_size": size, "key": f"{size}", **usual}])
        for size in (0, 128, 256)
    ])  # fmt: skip
    assert counted(rows)["image_size"].tolist() == [256]
    assert counted(rows[rows["image_size"] < 256])["image_size"].tolist() == [0]
    mnist = rows.assign(dataset="mnist", network="lenet5", learning_rate=0.01)
    assert sorted(counted(pd.concat([rows, mnist]))["image_size"]) == [0, 256]
    small = "images of 64 x 64 pixels, the paper's are of 256"
    assert remarks(rows.iloc[:1]) == [small] and levels(rows.iloc[:1]) == f"levels are not compared ({small})"
    assert remarks(rows.iloc[2:]) == remarks(mnist) == [] and levels(rows.iloc[2:]) == levels(mnist) == ""
    assert remarks(mnist.drop(columns="image_size")) == []
