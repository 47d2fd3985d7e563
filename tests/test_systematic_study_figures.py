"""Figures and tables of paper 4 on frames made by hand."""

import pandas as pd
import pytest

from common.studies import systematic_study_figures as figures
from common.studies import systematic_study_overview as overview


def row(method, value, metric="auc", **columns):
    cell = {"dataset": "mnist", "network": "lenet5", "imbalance": "step", "rho": 10.0, "mu": 0.2, "sampler": "none",
            "to_rho": 1.0, "prior": "", "replicate": 0, "iterations": 2500, "precision": "bf16", "selection": "last",
            "class_label": -1, "status": "ok", "train_seconds": 3600.0, "device": "cpu"}  # fmt: skip
    full = {**cell, "method": method, "metric": metric, "value": value, **columns}
    return {"key": f"{full['sampler']}{full['rho']}{full['to_rho']}{full['replicate']}{full['iterations']}", **full}


@pytest.fixture
def frame():
    """Two ratios, two replicates, two methods; oversampling is .01 above the baseline, .02 at ratio 100."""
    rows = [row("baseline", 0.5, metric="recall", class_label=c) for c in range(10)]
    for replicate in (0, 1):
        for rho, gain in ((10.0, 0.01), (100.0, 0.02)):
            shared = {"rho": rho, "replicate": replicate}
            base = 0.9 + 0.001 * replicate
            rows += [
                row("baseline", base, **shared),
                row("oversampling", base + gain, sampler="oversampling", **shared),
            ]
            rows.append(row("baseline", base / 2, metric="accuracy", **shared))
    return pd.DataFrame(rows)


def test_figures_follow_the_data(frame):
    made = figures.figures(frame)
    assert set(made) == {"3", "4", "6"}
    assert [axes.get_title(loc="left") for axes in made["3"].axes] == ["(a) 2 of 10 classes minority"]
    assert [axes.get_title(loc="left") for axes in made["4"].axes] == ["(a) ratio 10", "(b) ratio 100"]


def test_summary_leaves_out_partial_sampling_and_divergence(frame):
    extra = [
        row("oversampling", 0.1, sampler="oversampling", to_rho=5.0),
        row("baseline", 0.1, replicate=2, status="diverged"),
    ]
    drawn = figures.summary(pd.concat([frame, pd.DataFrame(extra)]), "auc", figures.AUC_METHODS, "step", ["rho", "mu"])
    assert drawn.set_index(["rho", "method"])["mean"].round(4).to_dict() == {
        (10.0, "baseline"): 0.9005, (10.0, "oversampling"): 0.9105,
        (100.0, "baseline"): 0.9005, (100.0, "oversampling"): 0.9205,
    }  # fmt: skip


def test_several_trainings_of_a_set_are_one_replicate(frame):
    worse = frame.assign(learning_rate=0.001, value=frame["value"] - 0.2)
    one, two = (figures.wide(rows, "auc", ["baseline"]) for rows in (frame, pd.concat([frame, worse])))
    assert one["n"].tolist() == two["n"].tolist() == [2, 2] and one["n"].dtype.kind == "i"
    assert figures.summary(worse, "auc", ["baseline"], "step", ["rho"])["mean"].tolist() == pytest.approx([0.7005] * 2)
    both = figures.summary(pd.concat([frame, worse]), "auc", ["baseline"], "step", ["rho"])
    assert both["mean"].tolist() == pytest.approx([0.8005] * 2) and both["n"].tolist() == [2, 2]


def test_figure_7_is_of_one_ratio_with_the_baseline_at_its_end(frame):
    partial = [row("oversampling", 0.95, sampler="oversampling", rho=rho, to_rho=5.0) for rho in (10.0, 100.0)]
    frame = pd.concat([frame, pd.DataFrame(partial)])
    drawn = figures.reduced(frame)
    assert drawn[["to_rho", "n"]].to_numpy().tolist() == [[1.0, 2], [5.0, 1], [100.0, 2]]
    assert drawn["mean"].round(4).tolist() == [0.9205, 0.95, 0.9005]
    assert "7" in figures.figures(frame)


def test_schedules_are_compared_on_the_same_cells_only(frame):
    assert figures.by_schedule(frame).empty
    longer = [
        row("baseline", 0.95, iterations=10_000),
        row("oversampling", 0.94, sampler="oversampling", iterations=10_000),
    ]
    # Neither a second precision nor a data set with a schedule of its own must be mixed in or empty the table.
    other = [row("baseline", 0.2, precision="fp32"), row("baseline", 0.6, dataset="cifar10", iterations=100)]
    pairs = figures.by_schedule(pd.concat([frame, pd.DataFrame([*longer, *other])]))
    assert pairs[["dataset", "method", "iterations", "shorter"]].to_numpy().tolist() == [
        ["mnist", "baseline", 10_000, 2500], ["mnist", "oversampling", 10_000, 2500],
    ]  # fmt: skip
    assert pairs["shorter_auc"].tolist() == pytest.approx([0.9, 0.91])
    assert pairs["shorter_gain"].iloc[1] == pytest.approx(0.01) and pairs["gain"].iloc[1] == pytest.approx(-0.01)
    assert pairs[["shorter_gain", "gain"]].iloc[0].isna().all()
    table = figures.schedule_table(pairs)
    assert table[["data set", "method", "n"]].to_numpy().tolist() == [
        ["MNIST", "baseline", 1], ["MNIST", "oversampling", 1],
    ]  # fmt: skip
    assert figures.schedule_words(pairs) == (
        "MNIST: 1 imbalance in 1 replicate; 0 of 1 gains over the baseline have the same sign on both schedules."
    )


def test_each_data_set_has_its_own_pair_of_schedules(frame):
    more = [row("baseline", 0.6 + n / 1e6, dataset="cifar10", selection=s, iterations=n)
            for n in (100, 700, 70_000) for s in ("test", "validation")]  # fmt: skip
    ends = [row("baseline", 0.95, iterations=10_000)]
    pairs = figures.by_schedule(pd.concat([frame, pd.DataFrame(more + ends)])).set_index("dataset")
    assert pairs["iterations"].to_dict() == {"cifar10": 70_000, "mnist": 10_000}
    assert pairs.loc["mnist", "shorter"] == 2500 and pairs.loc["cifar10", "auc"] == pytest.approx(0.67)


def test_deviations_begin_with_what_was_not_measured(frame):
    frame = frame.assign(learning_rate=0.01)
    begun = pd.DataFrame([row("baseline", 0.4, "accuracy", dataset="cifar10", imbalance="none", iterations=100)])
    found = figures.measured_deviations(pd.concat([frame, begun]))
    assert found[0]["what"] == "data sets" and found[0]["paper"] == "MNIST, CIFAR-10, ImageNet"
    assert found[0]["here"] == (
        "MNIST, 2,500 of 10,000 iterations; CIFAR-10, 100 of 70,000 iterations, too few to learn the task and not "
        "judged; ImageNet not run"
    )
    assert len({one["what"] for one in found}) > 3
    # Once CIFAR-10 is judged, what departs there stands beside what departs on MNIST.
    learned = [
        row("baseline", 0.9, metric, dataset="cifar10", imbalance=kind, iterations=70_000, selection="test")
        for metric in ("accuracy", "auc") for kind in ("none", "step")
    ]  # fmt: skip
    both = figures.measured_deviations(pd.concat([frame, pd.DataFrame(learned)]))
    here = [one["here"] for one in both if one["what"] == "step imbalances (ratios x fractions)"]
    assert len(here) == 2 and any(told.startswith("CIFAR-10: 1 x 1") for told in here)
    assert not any("best counts" in one["what"] for one in both)


def test_what_the_figure_rests_on(frame):
    begun = pd.DataFrame([row("baseline", 0.9, replicate=2)])
    assert overview.drawn(pd.concat([frame, begun])) == (
        "MNIST, 2,500 of 10,000 iterations; 9 networks, 2 replicates and part of 1 more."
    )


def test_cost_counts_networks_once(frame):
    table = figures.cost(frame).set_index("sampler")
    assert table.loc["none", ["networks", "hours", "diverged"]].tolist() == [4, 4.0, 0]


def test_wide_is_a_row_an_imbalance(frame):
    table = figures.wide(frame, "auc", figures.AUC_METHODS)
    assert table[["imbalance", "rho"]].to_numpy().tolist() == [["step", 10.0], ["step", 100.0]]
    assert table["oversampling"].iloc[0].startswith("0.9105 [") and table["n"].tolist() == [2, 2]
    fewer = frame[(frame["method"] != "oversampling") | (frame["replicate"] == 0)]
    more = pd.concat([fewer, pd.DataFrame([row("undersampling", 0.9, replicate=r) for r in (0, 1)])])
    table = figures.wide(more, "auc", figures.AUC_METHODS)
    assert table["oversampling"].iloc[0] == "0.9100 (n = 1)" and table["n"].iloc[0] == 2
    assert "n =" not in table["baseline"].iloc[0]


def test_parameters_of_measured_rows(frame):
    found = figures.parameters_of(frame.assign(learning_rate=0.01))
    assert (found.step_rhos, found.step_mus, found.linear_rhos, found.replicates) == ((10.0, 100.0), (0.2,), (), 2)
    assert found.samplers == ("none", "oversampling") and found.iterations == 2500 and found.learning_rates == ()
