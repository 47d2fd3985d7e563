"""Effects worked out by hand on small frames; the shipped claims on a made-up complete grid; what counts."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from common import claims
from common.matching import AGAINST
from common.published_numbers import published
from common.studies import mobilenet_features as paper
from common.studies import mobilenet_features_claims as effects
from common.studies import mobilenet_features_figures as figures
from common.studies import mobilenet_features_selection as selection
from common.studies import mobilenet_features_tables as tables

METHODS = ["baseline", "oversampling", "undersampling", "SMOTE", "S+ENN", "IHT"]


def rows(scores, **columns):
    """One row a method (or other key), of fold 0."""
    return pd.DataFrame([{"replicate": 0, "method": m, "value": v, **columns} for m, v in scores.items()])


def gains(representation, dataset, **scores):
    return rows({"baseline": 0.5, **scores}, representation=representation, dataset=dataset)


def test_the_only_helper():
    first = gains("images", "mnist", oversampling=0.53, SMOTE=0.56, IHT=0.2)
    second = gains("images", "cifar10", oversampling=0.51, SMOTE=0.48, IHT=0.4)
    # Oversampling gains at least .01; SMOTE, which comes nearest, falls .02 below on its worst set.
    assert effects.claim_only_helper(None, pd.concat([first, second])) == pytest.approx([0.01])
    second.loc[second["method"] == "SMOTE", "value"] = 0.505
    assert effects.claim_only_helper(None, pd.concat([first, second])) == pytest.approx([-0.005])


def test_the_relative_drop():
    def at(representation, mild, strong):
        one = pd.DataFrame({"replicate": 0, "rho": [2.0, 10.0], "value": [mild, strong]})
        return one.assign(representation=representation, dataset="mnist")

    frame = pd.concat([at("features", 0.8, 0.6), at("images", 0.9, 0.81)])
    assert effects.claim_larger_relative_drop(None, frame) == pytest.approx([0.25 - 0.1])


def test_gains_of_the_two_representations():
    frame = pd.concat([
        gains("features", "mnist", oversampling=0.56, undersampling=0.50, SMOTE=0.6),
        gains("images", "mnist", oversampling=0.52, undersampling=0.49, SMOTE=0.4),
    ])  # fmt: skip
    assert effects.claim_larger_gain_on_features(None, frame) == pytest.approx([0.1 - 0.02])
    assert len(effects.claim_larger_gain_on_features(None, frame[frame["representation"] == "images"])) == 0
    same = frame[frame["method"] != "SMOTE"]
    assert effects.claim_same_random_gain(None, same) == pytest.approx([0.06 - 0.02])  # undersampling: .00 - -.01


def printed_grid(folds=3, epochs=50.0, datasets=("cifar10", "mnist", "stl10")):
    """A result frame that has the paper's table 1 as means, each fold a little off, and its drop with the ratio."""
    table = published(paper.STEM).query("table == '1'")
    score = table.set_index(["dataset", "representation", "method", "metric"])["comparable"]
    names = {method: sampler for sampler, method in paper.METHODS.items()}
    found = []
    for (dataset, representation, method, metric), value in score.items():
        if dataset not in datasets:
            continue
        for rho, fold in product((2.0, 5.0, 10.0), range(folds)):
            slope = {"features": -0.004, "images": -0.001}[representation]
            slope = 0.001 if (representation, method) == ("images", "S+ENN") else slope
            own = {"value": value + slope * (rho - 17 / 3) + 1e-5 * fold * (1 + 0.1 * METHODS.index(method))}
            cell = paper.Cell(
                dataset, fold, representation=representation, rho=rho, sampler=names[method], pretrained="0" * 16,
                epochs=epochs if representation == "images" else 50.0,
            )  # fmt: skip
            found.append({**vars(cell), "method": method, "metric": metric, "prior": "", "class_label": -1, **own,
                          "key": f"{cell}", "variant": "paper", "status": "ok", "stand_in": False, "n_train": 50_000,
                          "n_test": 10_000, "n_resampled": 50_000, "emptied": 0, "resampling_seconds": 1.0,
                          "train_seconds": 2.0, "device": "made up"})  # fmt: skip
    return pd.DataFrame(found)


def verdicts(frame):
    return claims.evaluate(claims.load(paper.STEM), frame, paper).set_index("id")


def test_the_papers_own_numbers_support_its_claims():
    found = verdicts(printed_grid())
    untested = {"low-resolution", "fine-tuning", "random-resampling-same", "smote-beats-random-on-features"}
    assert set(found.index[found["verdict"] == "no data"]) == untested
    assert (found["verdict"].drop(untested) == "supported").all(), found["verdict"]


def test_without_stl10_only_what_speaks_of_two_sets_is_judged():
    found = verdicts(printed_grid(datasets=("cifar10", "mnist")))["verdict"]
    assert (
        found[["images-beat-features", "oversampling-only-helper", "smote-helps-features-all-sets"]].eq("no data").all()
    )
    assert found[["images-beat-features-two-sets", "smote-helps-features", "level-mnist-smote"]].eq("supported").all()


def test_a_verdict_says_that_fine_tuning_was_shortened():
    found = verdicts(printed_grid(epochs=5.0))
    for name in ("images-beat-features-two-sets", "oversampling-helps-images", "features-fall-more-with-ratio"):
        assert "shortened fine-tuning: 5 of 50 epochs" in found.loc[name, "verdict_note"], name
        assert found.loc[name, "verdict"] == "supported"
    for name in ("smote-helps-features", "level-cifar10-baseline"):
        assert "shortened" not in found.loc[name, "verdict_note"]


def test_remarks_name_the_side_that_was_trained():
    settings = pd.DataFrame({"representation": ["images"], f"representation{AGAINST}": ["features"], "epochs": [3.0],
                             f"epochs{AGAINST}": [50.0]})  # fmt: skip
    assert selection.remarks(settings) == ["shortened fine-tuning: 3 of 50 epochs"]
    assert selection.remarks(settings.assign(representation="features")) == []
    assert selection.remarks(pd.DataFrame({"dataset": ["mnist"]})) == []


def test_a_failed_resampler_counts_against_it():
    frame = printed_grid(datasets=("cifar10", "mnist"))
    lost = (frame["method"] == "SMOTE") & (frame["representation"] == "features") & (frame["rho"] == 5)
    frame.loc[lost, ["status", "value"]] = "failed", np.nan
    found = verdicts(frame).loc["smote-helps-features"]
    assert found["verdict"] == "undecided" and "diverged" in found["verdict_note"]


# ---- which rows count ------------------------------------------------------------------------------------------------


def test_one_schedule_of_fine_tuning_a_data_set():
    full, short = printed_grid(folds=1), printed_grid(folds=3, epochs=5.0)
    few = full[(full["rho"] == 2) & (full["representation"] == "images")]
    kept = selection.judged(pd.concat([short, few]))
    assert set(kept.loc[kept["representation"] == "images", "epochs"]) == {5}
    kept = selection.judged(pd.concat([short[short["replicate"] == 0], full[full["representation"] == "images"]]))
    assert set(kept["epochs"]) == {50}


@pytest.mark.parametrize("change", [{"per_class": 100}, {"alpha": 0.25}, {"pretrained": "random"}])
def test_experiments_of_ones_own_do_not_stand_among_the_replicates(change):
    usual = printed_grid(folds=2)
    assert len(selection.selected(pd.concat([usual, usual.assign(**change)]))) == len(usual)


def test_two_files_of_weights_are_not_mixed():
    usual = printed_grid(folds=2)
    other = printed_grid(folds=1).assign(pretrained="imagenet", key=lambda f: f["key"] + "other")
    assert set(selection.selected(pd.concat([usual, other]))["pretrained"]) == {"0" * 16}
    assert selection.selected(usual.iloc[:0]).empty and selection.main_rows(usual.iloc[:0]).empty


def test_summary():
    frame = printed_grid(datasets=("cifar10", "mnist"), epochs=5.0)
    assert paper.summary(frame) == (
        "72 support vector machines on features (CIFAR-10, MNIST; folds: 3 of 10); "
        "108 fine-tuned networks (CIFAR-10, MNIST; folds: 3 of 10; shortened, 5 of 50 epochs)."
    )
    assert paper.summary(frame[frame["representation"] == "features"].assign(variant="pooled")) == "72 cells."


# ---- tables and figures ----------------------------------------------------------------------------------------------


def number(cell):
    """The first number of a table's cell."""
    return float(cell.split()[0].replace("\N{MINUS SIGN}", "-"))


def test_table_1_stands_beside_the_papers():
    table = tables.table_1(published(paper.STEM), printed_grid(), "features")
    assert len(table) == 3 * 3 * 3 and table.columns.tolist()[3:] == ["Base", "SMOTE", "S+ENN", "IHT"]
    first = table.iloc[:3].set_index("source")
    assert first.loc["paper", "SMOTE"] == "0.7164"
    assert number(first.loc["ours, 3 folds", "SMOTE"]) == pytest.approx(0.7164, abs=5e-5)
    assert number(first.loc["ours − paper", "SMOTE"]) == pytest.approx(0, abs=2e-5)


def test_a_shortened_or_missing_half_has_no_difference():
    short = tables.table_1(published(paper.STEM), printed_grid(epochs=5.0), "images")
    assert set(short["source"]) == {"paper", "ours, 3 folds"}
    none = tables.table_1(published(paper.STEM), printed_grid().iloc[:0], "images")
    assert set(none["source"]) == {"paper", "ours: not measured"} and len(none) == 18


def test_a_fold_without_all_ratios_is_left_out_of_table_1():
    frame = printed_grid()
    frame = frame[(frame["rho"] != 5) | (frame["replicate"] != 1)]
    assert "ours, 2 folds" in set(tables.table_1(published(paper.STEM), frame, "features")["source"])


def test_table_2_says_over_how_many_sets():
    (table,) = tables.table_2(published(paper.STEM), printed_grid(), "features").values()
    assert set(table["source"]) == {"paper", "ours, 3 folds", "ours − paper"}
    two = printed_grid(datasets=("cifar10", "mnist"))
    found = tables.table_2(published(paper.STEM), two, "features")
    printed, ours = found.values()
    assert list(found)[1] == "ours, over 2 of 3 data sets (CIFAR-10, MNIST)"
    assert set(printed["source"]) == {"paper"} and set(ours["source"]) == {"ours, 3 folds"}
    ours = ours[(ours["metric"] == "AvAcc") & (ours["IR"] == 2)]
    assert ours["Base"].iloc[0].startswith(f"{(0.7007 + 0.9622) / 2 + 0.004 * 11 / 3:.3f}")
    half = two[(two["dataset"] != "mnist") | (two["method"] != "IHT")]
    assert list(tables.table_2(published(paper.STEM), half, "features"))[1] == "ours, over 1 of 3 data sets (CIFAR-10)"
    ((caption, nothing),) = tables.table_2(published(paper.STEM), two.iloc[:0], "features").items()
    assert caption.endswith("ours: not measured") and set(nothing["source"]) == {"paper"}


def test_intervals_are_corrected_for_shared_images():
    frame = pd.DataFrame(
        {"replicate": range(3), "value": [0.1, 0.2, 0.3], "n_test": 100, "n_train": 500, "method": "x"}
    )
    found = tables.summarise(frame, ["method"]).iloc[0]
    # t(.975, 2) = 4.3027, standard deviation .1, variance factor 1 / 3 + 1 / 5.
    assert found["mean"] == pytest.approx(0.2) and found["n"] == 3
    assert found["high"] - 0.2 == pytest.approx(4.30265 * 0.1 * np.sqrt(1 / 3 + 1 / 5), rel=1e-4)


def test_gains_and_what_they_are_over():
    table = tables.gains(printed_grid()).set_index(["representation", "dataset", "method"])
    assert number(table.loc[("features", "cifar10", "SMOTE"), "gain, points"]) == pytest.approx(1.57, abs=5e-3)
    assert table.loc[("features", "cifar10", "SMOTE"), "ratios"] == "2, 5, 10"
    assert number(table.loc[("images", "mnist", "IHT"), "gain, points"]) == pytest.approx(-2.30, abs=5e-3)


def test_other_features_stand_beside_the_papers_of_the_same_folds():
    frame = printed_grid(datasets=("cifar10",)).query("representation == 'features' and rho == 10")
    one = frame[(frame["replicate"] == 0) & (frame["method"] == "baseline")]
    changed = one.assign(variant="gamma auto", gamma="auto", value=0.4, key="other")
    tuned = one.assign(representation="fine-tuned features", value=0.9, key="tuned")
    table = tables.variants(pd.concat([frame, tuned, changed]))
    assert table["features"].tolist() == ["paper", "gamma auto", "fine-tuned features"]
    assert table.columns.tolist() == ["dataset", "rho", "features", "Base"]
    assert table["Base"].tolist()[1:] == ["0.4000", "0.9000"]
    assert tables.variants(frame).empty and tables.variants(frame.iloc[:0]).empty


def test_sizes_name_the_reason_of_a_failure():
    frame = printed_grid(folds=1).assign(reason=np.nan).astype({"reason": object})
    frame.loc[frame["method"] == "IHT", ["status", "reason", "n_resampled"]] = "failed", "no neighbour", np.nan
    table = tables.sizes(frame).set_index(["representation", "dataset", "rho", "method"])
    row = table.loc[("features", "mnist", 10.0, "IHT")]
    assert (row["failed"], row["reason"]) == (1, "no neighbour") and np.isnan(row["after_resampling"])
    assert tables.sizes(frame.iloc[:0]).empty


def test_figure_over_ratios_and_cost():
    chart = figures.over_ratios(printed_grid())
    assert len(chart.axes) == 6 and "features, CIFAR-10" in chart.alt
    assert figures.over_ratios(printed_grid().query("rho == 2")) is None
    assert figures.over_ratios(printed_grid().iloc[:0]) is None
    assert tables.cost(printed_grid(folds=2)).set_index(["representation", "dataset", "method"]).loc[
        ("images", "mnist", "IHT"), "cells"
    ] == 6  # fmt: skip


def test_deviations_of_measured_rows():
    short = printed_grid(datasets=("cifar10", "mnist"), epochs=5.0)
    what = {row["what"]: row["here"] for row in figures.measured_deviations(short)}
    assert what["data sets left out"] == "STL-10" and what["epochs"] == "5" and what["folds"] == 3
    assert "weights" in what and "images of the largest class" in what
    assert "data sets left out" not in {row["what"] for row in figures.measured_deviations(printed_grid())}
    assert figures.parameters_of(short.iloc[:0]) is None


def test_interpolation():
    """Two classes far apart: half-way between two of one class, the nearest real images are of that class."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 20)
    images = (random.integers(0, 50, (40, 4, 4, 1)) + 150 * labels[:, None, None, None]).astype(np.uint8)
    found = figures.interpolations(images, labels, images.reshape(40, -1).astype(np.float32), count=2)
    assert len(found["pixels"]) == len(found["features"]) == 2 and found["same_class"] == 1
    for first, half, second in found["pixels"]:
        assert np.array_equal(half, np.rint((first.astype(float) + second) / 2).astype(np.uint8))
        assert not np.array_equal(first, second)
    for first, *nearest, second in found["features"]:
        assert len(nearest) == 3 and all(not np.array_equal(n, e) for n in nearest for e in (first, second))


def test_protocol_table():
    table = figures.protocol_table(paper.Cell("digits", 0, epochs=4.0, alpha=0.25)).set_index("what")
    assert table.loc["features", "here"] == "1,024, conv_pw_13_relu"
    assert table.loc["fine-tuning", "here"] == "the same, 4 epochs"
    assert "random weights" in table.loc["network", "here"]
