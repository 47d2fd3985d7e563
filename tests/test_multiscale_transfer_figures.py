"""Paper 5's tables and figures from small frames, pictures that come back, and its claims on a made-up grid."""

import numpy as np
import pandas as pd
import pytest
import torch

from common import claims, study
from common.published_numbers import published
from common.studies import multiscale_transfer as paper
from common.studies import multiscale_transfer_figures as figures
from common.studies.multiscale_transfer_explaining import SIDE, _picture, pictures_of
from common.studies.multiscale_transfer_protocol import ARMS

ALL_RATIOS = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0)


def results(
    score, replicates=4, datasets=("dagm_class1",), trunks=("imagenet",), networks=("multiscale", "plain"),
    ratios=(1.0, 10.0, 50.0, 100.0),
):  # fmt: skip
    """A complete grid; `score(method, rho, network)` is the mean of every measure."""
    rng, rows = np.random.default_rng(0), []
    defaults = {f: getattr(paper.Cell, f) for f in paper.Cell.__dataclass_fields__ if hasattr(paper.Cell, f)}
    settings = [("ratio", rho, 0) for rho in ratios] + [("few", None, 3)]
    for dataset in datasets:
        for trunk in trunks:
            for replicate in range(replicates):
                for kind, rho, few in settings:
                    for network in networks:
                        for method in ARMS:
                            noise = rng.normal(0, 0.001)
                            cell = {**defaults, "dataset": dataset, "replicate": replicate, "imbalance": kind,
                                    "rho": rho, "few": few, "network": network, "arm": method, "trunk": trunk,
                                    "iterations": 400, "image_size": 256, "status": "ok", "stand_in": False,
                                    "selection": "last", "prior": "", "method": method, "majority": 0.875,
                                    "key": f"{dataset}{trunk}{replicate}{kind}{rho}{few}{network}{method}"}  # fmt: skip
                            value = score(method, rho or 50.0, network) + noise
                            for metric, label in (("accuracy", -1), ("balanced_accuracy", -1), ("pr_auc", -1),
                                                  ("recall", 0), ("recall", 1), ("pointing_game", -1),
                                                  ("pointing_chance", -1)):  # fmt: skip
                                rows.append({**cell, "metric": metric, "class_label": label, "value": value})
    return pd.DataFrame(rows)


def as_the_paper_says(method, rho, network):
    """About 99 % whatever the ratio; common methods fall from 99 to 92."""
    transfer = method.startswith(("two-stage", "related"))
    level = 0.992 if transfer else 0.99 - 0.035 * np.log10(rho) - (0.005 if method.startswith("scratch") else 0)
    return level - (0.01 if network == "plain" else 0)


def test_every_claim_is_supported_where_results_are_as_the_paper_says():
    both = {"datasets": ("dagm_class1", "magnetic_tile"), "trunks": ("imagenet", "own")}
    frame = results(as_the_paper_says, ratios=ALL_RATIOS, **both)
    verdicts = claims.evaluate(claims.load(paper.STEM), frame, paper).set_index("id")["verdict"]
    # The level of common methods depends on the made-up mean over ratios: it is 94.0 here, inside 95 +- 1 only just.
    assert set(verdicts.drop("common-methods-95")) == {"supported"}, verdicts


def test_no_claim_of_a_gain_is_supported_where_all_methods_are_equal():
    frame = results(lambda method, rho, network: 0.9)
    verdicts = claims.evaluate(claims.load(paper.STEM), frame, paper).set_index("id")["verdict"]
    gains = verdicts[verdicts.index.str.contains("gain|help|looks")]
    assert not set(gains) & {"supported"} and len(gains) >= 10


def test_without_results_nothing_is_claimed():
    verdicts = claims.evaluate(claims.load(paper.STEM), pd.DataFrame(), paper)
    assert set(verdicts["verdict"]) == {"no data"}


def test_averages_by_hand():
    def score(method, rho, network):
        return 0.9 if method in figures.COMMON else 0.95 if rho >= 50 else 0.92

    frame = results(score)
    frame["value"] = frame["value"].round(2)  # without the noise
    table = figures.averages(frame, published(paper.STEM)).set_index("what")
    ours, theirs = table["ours, %"], table["in the paper, %"]
    assert ours["common methods, average over ratios 1, 10, 50, 100"].startswith("90.00")
    # .92, .92, .95, .95 over the ratios 1, 10, 50, 100.
    assert ours["two-stage balanced-natural, average over ratios 1, 10, 50, 100"].startswith("93.50")
    assert ours["two-stage balanced-natural, gain over common methods"].startswith("3.50")
    assert ours["two-stage natural-balanced, gain at ratios 50 and 100"].startswith("5.00")
    assert ours["related task, several defects"].startswith("95.00")
    assert theirs.tolist()[:4] == ["95", "99", "2.32", "4"] and theirs.iloc[-1] == "99"


def test_a_figure_does_not_mix_settings():
    frame = results(as_the_paper_says, replicates=2)
    odd = frame[frame["replicate"] == 0].assign(width=64, value=0.0, key=lambda rows: "wide" + rows["key"])
    both = pd.concat([frame, odd])
    assert len(figures.main_rows(both, "dagm_class1", "imagenet")) == len(frame)
    assert figures.main_rows(both, "dagm_class1", "own").empty
    assert figures.main_rows(frame.iloc[:0], "dagm_class1", "own").empty
    assert list(figures.settings(both)) == ["dagm_class1, ImageNet trunk"] and figures.settings(frame.iloc[:0]) == {}


def test_recall_is_that_of_the_defects():
    frame = results(as_the_paper_says, replicates=1)
    frame.loc[(frame["metric"] == "recall") & (frame["class_label"] == 0), "value"] = 0.0
    six = frame[frame["metric"] == "recall"].assign(class_label=lambda rows: rows["class_label"] + 1)
    rows = figures.metric_rows(pd.concat([frame, six]), "recall")
    assert len(rows) == frame["key"].nunique()
    # Classes 1 (0 and as it is) and 2: a third of the label-1 rows is 0.
    assert 0.4 < rows["value"].mean() < 0.7


def test_recall_of_a_training_that_is_two_arms():
    frame = results(as_the_paper_says, replicates=1)
    names = ["oversampling", "one-stage balanced"]
    frame.loc[frame["method"].isin(names), "key"] = frame["key"].str.replace("|".join(names), "both", regex=True)
    before, after = results(as_the_paper_says, replicates=1), figures.metric_rows(frame, "recall")
    assert len(after) == before["key"].nunique() > frame["key"].nunique()


def test_tables_and_sweep():
    frame = results(as_the_paper_says, replicates=2)
    table = figures.wide(frame, "accuracy")
    assert list(table.columns) == ["network", "arm", "ratio 1", "ratio 10", "ratio 50", "ratio 100", "3 defects"]
    assert table["arm"].tolist()[: len(ARMS)] == list(ARMS) and set(table["network"]) == {"multiscale", "plain"}
    chart = figures.sweep(frame)
    assert len(chart.axes) == 4 and "PR-AUC" in chart.alt and "two-stage balanced-natural" in chart.alt
    assert figures.sweep(frame.iloc[:0]) is None and figures.wide(frame.iloc[:0], "accuracy").empty
    assert len(figures.pointing(frame)) == 2 * len(ARMS)
    assert len(figures.arms()) == len(ARMS) and figures.majority(frame) == 0.875


def test_parameters_come_back_from_results(tmp_path):
    parameters = {"arms": ("baseline",), "width": 8, "iterations": 2, "total": 60, "folds": 10, "ratios": (2, 5)}
    options = {"store": str(tmp_path / "s"), "workers": 1}
    run = study.Run(paper, {**parameters, "explain": False}, options, tmp_path / "none")
    run.execute()
    back = figures.parameters_of(run.frame())
    for name in ("dataset", "ratios", "arms", "networks", "width", "stem", "iterations", "total", "folds", "pooling"):
        assert getattr(back, name) == getattr(run.parameters, name), name
    assert figures.parameters_of(run.frame().iloc[:0]) is None
    assert {row["what"] for row in paper.deviations(back)} >= {"the whole method", "two-stage transfer", "source task"}


def test_deviations_follow_the_parameters():
    def rows(**changes):
        return {row["what"]: row["here"] for row in paper.deviations(paper.Parameters(**changes))}

    assert "ratios" not in rows(ratios=(1, 5, 10, 25, 50, 100)) and rows()["ratios"] == "4"
    assert (
        "ensemble" not in rows() and "3 undersampled" in rows(arms=("undersampling ensemble",), ensemble=3)["ensemble"]
    )
    assert rows(arms=("baseline",))["source task"] == "none"
    assert "ImageNet for all arms" in rows(arms=("baseline",), pretrained="abc")["source task"]
    assert "digest abc" in rows(arms=("baseline",), pretrained="abc")["network"]
    assert rows(frozen_second="trunk")["what is frozen"] == "first stage: nothing; second stage: trunk"
    assert rows(precision="bf16")["precision"] == "bf16" and "precision" not in rows()
    assert "conditional GAN (reference 44)" in rows()


@pytest.mark.parametrize("side", [40, SIDE, 2 * SIDE])
def test_pictures_come_back(side):
    layer = np.linspace(0, 1, side * side, dtype=np.float32).reshape(side, side)
    curve = _picture("missed 0 image", layer)
    frame = pd.DataFrame({"key": "k", "curve": curve["curve"], "x": curve["x"], "y": curve["y"]}).sample(
        frac=1, random_state=0
    )
    found = pictures_of(frame, "k")[("missed", 0)]["image"]
    small = torch.nn.functional.avg_pool2d(torch.from_numpy(layer)[None], -(-side // SIDE))[0].numpy()
    assert found.shape == small.shape and np.abs(found - small).max() <= 0.5 / 255 + 1e-6


def test_explained_cells_give_pictures_and_hit_rates(tmp_path):
    parameters = {"arms": ("oversampling",), "width": 8, "iterations": 20, "total": 100, "folds": 20, "pictures": 1}
    options = {"store": str(tmp_path / "s"), "workers": 1}
    run = study.Run(paper, parameters, options, tmp_path / "none")
    run.execute()
    frame, curves = run.frame(), run.curves()
    values = frame.set_index("metric")["value"]
    assert 0 <= values["pointing_game"] <= 1 and 0 < values["pointing_chance"] < 0.1
    cases = pictures_of(curves, run.cells and frame["key"].iloc[0])
    assert cases and all(set(case) == {"image", "map", "mask"} for case in cases.values())
    assert all(case["mask"].max() == 1 and case["image"].shape == (64, 64) for case in cases.values())
    chart = figures.explained(frame, curves)
    assert "oversampling" in chart.alt and figures.explained(frame.assign(pictures=0), curves) is None
