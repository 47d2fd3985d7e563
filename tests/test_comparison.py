"""Printed numbers beside ours: what is paired, with which numbers, and what must not be."""

import importlib
import re

import numpy as np
import pandas as pd
import pytest

from common import comparison, comparison_tables, ledger, paths, site
from common.errors import UserError
from common.papers import PAPERS
from common.published_numbers import published


def frame(values, **columns):
    """Result rows, a replicate each; `columns` hold for all of them unless they are lists."""
    common = {"key": [f"key {n}" for n in range(len(values))], "replicate": range(len(values)), "value": values}
    usual = {"profile": "reduced", "status": "ok", "precision": "fp32", "class_label": -1, "selection": "last"}
    return pd.DataFrame(common | usual | columns)


def centres(values=(0.60, 0.62, 0.64), **columns):
    """Paper 1: All-CNN on CIFAR-10, imbalance A, methods C and, of networks that have learned their task, D."""
    usual = {"dataset": "cifar10", "network": "allcnn", "imbalance": "A", "method": "C", "metric": "accuracy"}
    usual |= {"variant": "", "sampler": "none", "count_scale": 1.0, "plateau": "exponential", "iterations": 700}
    usual |= {"ended_by": "rule" if columns.get("iterations", 700) == 40_000 else "limit"}
    usual |= {"pretraining": "", "input_size": 0, "image_size": 0, "batch_norm": False, "epoch_scale": 0.0}
    own = frame(values, **usual | columns)
    return pd.concat([own, own.assign(method="D", metric="accuracy", value=0.6)], ignore_index=True)


def study4(values=(0.99, 0.992), **columns):
    """Paper 4: LeNet-5 on all of MNIST."""
    usual = {"dataset": "mnist", "imbalance": "original", "method": "baseline", "metric": "accuracy", "rho": 1.0}
    return frame(values, **usual | {"mu": np.nan, "to_rho": 1.0, "iterations": 10_000} | columns)


def features(rhos=(2, 5, 10), datasets=("cifar10",), value=0.7, folds=2, **columns):
    """Paper 2: SMOTE on features, AvAcc; `value` grows by .1 a ratio and .02 a fold."""
    rows = [
        {"dataset": name, "rho": rho, "replicate": fold, "value": value + 0.1 * at + 0.02 * fold}
        for name in datasets
        for at, rho in enumerate(rhos)
        for fold in range(folds)
    ]
    usual = {"representation": "features", "method": "SMOTE", "metric": "avacc", "variant": "paper", "epochs": 50}
    usual |= {"n_train": 900, "n_test": 100, "profile": "reduced", "status": "ok", "precision": "fp32"}
    table = pd.DataFrame(rows).assign(**usual | columns)
    return table.assign(key=table.index.astype(str))


def paired(stem, rows):
    """The rows of `together` that have one of ours, but for method D of paper 1."""
    found = comparison.together({stem: rows})
    return found[found["ours"].notna() & ~found["what"].str.endswith(", D")]


def test_what_a_paper_lacks_is_named_before_anything_is_written(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="focal_loss_overview: no such module, though focal_loss is in"):
        comparison.hook("focal_loss")
    study = importlib.import_module("common.studies.category_centers_overview")
    monkeypatch.delattr(study, "UNPAIRED")
    monkeypatch.delattr(study, "drawn")
    with pytest.raises(UserError, match="category_centers_overview: has no UNPAIRED, drawn; see"):
        site.site(tmp_path / "reports", tmp_path)
    assert not (tmp_path / "reports").exists()


def test_every_published_number_is_there_once_and_without_results_alone():
    table = comparison.together({})
    assert list(table.columns) == comparison.COLUMNS
    counts = {paper.number: len(published(paper.stem)) for paper in PAPERS}
    assert table.groupby("paper").size().to_dict() == counts
    assert table["what"].ne("").all() and table["where"].ne("").all() and table["published"].notna().all()
    assert table[["ours", "low", "high", "difference"]].isna().all(axis=None) and table["n"].eq(0).all()
    assert comparison.figure(table) is None
    everyone = ", ".join(str(paper.number) for paper in PAPERS)
    assert comparison.unpaired(table).startswith(f"Papers without a pair so far: {everyone}. ")
    one = table[(table["where"] == "table VII") & (table["published"] == 0.656)].iloc[0]
    assert (one["what"], one["dataset"], one["metric"]) == ("allcnn, imbalance A, C", "cifar10", "mean precision")
    assert one["is_result"] and not table.loc[table["metric"] == "learning rate", "is_result"].any()


def tables_cells(html):
    """The text of a table's cells, row by row."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", str(html), re.DOTALL)[1:]
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


def test_numbers_stand_as_printed_and_ours_in_the_same_unit():
    cell = {"imbalance": "step", "metric": "auc", "rho": 100.0, "mu": 0.9, "iterations": 320_000}
    frames = {"systematic_study": study4((0.9, 0.91), dataset="imagenet", **cell), "category_centers": centres()}
    found = comparison.together(frames)
    first, *_, last = tables_cells(comparison_tables.beside(found[found["ours"].notna() & found["paper"].eq(4)], "x"))
    # Of .90 and .91: mean .905, half an interval 12.7062 * .005; the paper prints 90.74 and, in the text, 90.
    assert first[3:] == ["auc".upper(), "90.74", "%", "90.50 [84.15,\N{NO-BREAK SPACE}96.85]", "2", "−0.24", "reduced"]
    assert last[4:7] == ["90", "%", "90.5 [84.1,\N{NO-BREAK SPACE}96.9]"]
    (one,) = tables_cells(comparison_tables.beside(found[found["ours"].notna() & found["published"].eq(0.656)], "x"))
    assert one[2:5] == ["mean precision", "0.656", "share"] and one[5].startswith("0.620 [")
    waiting = tables_cells(comparison_tables.printed(found[found["where"] == "table 4"], "x"))
    assert [row[3] for row in waiting][:2] == ["99.41", "96.31"]
    error = found[(found["where"] == "section 3.3.1") & (found["metric"] == "error")]
    assert tables_cells(comparison_tables.printed(error, "x"))[0][3:] == ["below 1", "%"]


def test_a_shortened_schedule_is_paired_and_not_subtracted():
    (one,) = paired("category_centers", centres()).to_dict("records")
    assert (one["published"], one["what"]) == (0.656, "allcnn, imbalance A, C")
    assert one["ours"] == pytest.approx(0.62)
    assert one["high"] - one["ours"] == pytest.approx(4.302653 * 0.02 / np.sqrt(3))  # Student's t, 2 degrees of freedom
    assert (one["n"], one["profile"], one["full"]) == (3, "reduced, shortened schedule", False)
    assert np.isnan(one["difference"])


def test_the_full_schedule_is_subtracted():
    (one,) = paired("category_centers", centres(iterations=40_000, profile="paper")).to_dict("records")
    assert one["difference"] == pytest.approx(0.62 - 0.656)
    assert (one["profile"], one["full"], one["stand_in"]) == ("paper", True, False)


def test_a_network_that_has_not_learned_is_not_paired():
    rows = centres()
    rows.loc[rows["method"] == "D", "value"] = 0.3  # less than half of table VII's .637
    assert paired("category_centers", rows).empty


def test_pretraining_that_stands_in_is_called_so_and_not_subtracted():
    vgg = {"network": "vgg16", "pretraining": "tiny_imagenet", "input_size": 64, "batch_norm": True}
    (one,) = paired("category_centers", centres(**vgg, iterations=40_000)).to_dict("records")
    assert (one["published"], one["where"]) == (0.824, "table V")
    assert not one["stand_in"] and np.isnan(one["difference"])  # real images, another network
    assert one["profile"] == "reduced, pre-trained on tiny_imagenet, input of 64 pixels, batch normalisation"


@pytest.mark.parametrize(
    "changed",
    [{"dataset": "cifar100"}, {"imbalance": "own"}, {"method": "cRT"}, {"metric": "recall_few"}, {"count_scale": 0.1}],
)
def test_another_quantity_of_paper_1_is_not_paired(changed):
    assert paired("category_centers", centres(**changed)).empty


def test_an_accuracy_stands_beside_the_printed_error():
    (one,) = paired("systematic_study", study4()).to_dict("records")
    assert (one["metric"], one["published"], one["where"]) == ("error", 0.01, "section 3.3.1")
    assert one["ours"] == pytest.approx(0.009)
    assert one["bound"] == "below" and np.isnan(one["difference"])  # a bound is no value to subtract
    short = paired("systematic_study", study4(iterations=2_500))
    assert short["profile"].tolist() == ["reduced, shortened schedule"] and short["difference"].isna().all()


def test_table_4_is_paired_with_imagenet_alone():
    cell = {"imbalance": "step", "metric": "auc", "rho": 100.0, "mu": 0.9, "iterations": 320_000}
    runs = paired("systematic_study", study4((0.9, 0.91), dataset="imagenet", **cell))
    assert runs["published"].tolist() == [0.9074, 0.9046, 0.9005, 0.90]  # its three runs, and section 4.2
    assert runs["ours"].tolist() == pytest.approx([0.905] * 4)
    assert paired("systematic_study", study4(dataset="tiny_imagenet", **cell)).empty
    assert paired("systematic_study", study4(dataset="imagenet", **cell | {"mu": 0.8})).empty


def test_table_1_needs_all_three_ratios():
    (one,) = paired("mobilenet_features", features()).to_dict("records")
    assert (one["where"], one["dataset"], one["metric"]) == ("table 1", "cifar10", "avacc")
    assert one["ours"] == pytest.approx(0.81)  # folds of .80 and .82, each over three ratios
    half = 12.706205 * np.sqrt(
        (1 / 2 + 1 / 9) * 0.02**2 / 2
    )  # Nadeau and Bengio, a tenth of the images in the test set
    assert one["high"] - one["ours"] == pytest.approx(half, rel=1e-6)
    assert paired("mobilenet_features", features(rhos=(5, 10))).empty
    assert paired("mobilenet_features", features(variant="pooled")).empty


def test_table_2_needs_all_three_data_sets():
    three = features(rhos=(10,), datasets=("cifar10", "mnist", "stl10"))
    found = paired("mobilenet_features", three)
    assert (
        found["where"].tolist() == ["table 2"] and found["what"].iloc[0] == "features, inverse linear, ratio 10, SMOTE"
    )
    assert paired("mobilenet_features", features(rhos=(10,), datasets=("cifar10", "mnist"))).empty


def test_no_average_over_other_data_sets_is_paired():
    assert paired("multiscale_transfer", frame((0.99, 0.98), dataset="dagm_class1", metric="accuracy")).empty


def test_the_error_on_cifar10_is_that_of_the_balanced_set():
    learned = study4((0.9, 0.91), dataset="cifar10", imbalance="none", selection="test", iterations=70_000)
    (one,) = paired("systematic_study", learned).to_dict("records")
    assert (one["metric"], one["published"]) == ("error", 0.0975)
    assert one["ours"] == pytest.approx(0.095)


def test_the_figure_has_a_panel_for_each_paper_with_two_pairs_or_more():
    table_4 = {"imbalance": "step", "metric": "auc", "rho": 100.0, "mu": 0.9, "iterations": 320_000}
    runs = study4((0.9, 0.91), dataset="imagenet", **table_4)
    one = centres().query("method == 'D'")
    assert comparison.figure(comparison.together({"category_centers": one})) is None  # one pair
    frames = {"category_centers": centres(), "systematic_study": pd.concat([runs, study4()])}
    drawn = comparison.together(frames)
    chart = comparison.figure(drawn)
    assert [axes.get_title(loc="left") for axes in chart.axes] == ["Paper 1", "Paper 4"]
    assert chart.alt.endswith("pairs by panel, paper 1: 2, paper 4: 4")  # without the bound of section 3.3.1
    assert comparison.paired(drawn) == (7, int(drawn["is_result"].sum()))
    for axes in chart.axes:
        assert axes.get_xlim() == axes.get_ylim() and axes.get_xlabel() == "published"
    hollow, full = ([line.get_markerfacecolor() for line in axes.lines if len(line.get_xdata())] for axes in chart.axes)
    assert "white" in hollow and "white" not in full
    without = ", ".join(str(paper.number) for paper in PAPERS if paper.number not in (1, 4))
    assert comparison.unpaired(drawn).startswith(f"Papers without a pair so far: {without}. ")


def test_the_committed_results_pair_with_the_error_of_lenet(tmp_path):
    def beside(results=None):
        return comparison.together({one.paper.stem: one.frame for one in ledger.everything(results)})

    table = beside()
    (one,) = table[(table["paper"] == 4) & table["ours"].notna()].to_dict("records")
    assert one["dataset"] == "mnist" and one["low"] < one["ours"] < one["high"] < 0.02 and one["n"] >= 2
    assert paths.RESULTS.exists()
    assert beside(tmp_path)["ours"].isna().all()
