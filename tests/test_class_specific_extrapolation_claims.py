"""The claims file of paper 3 and the effects it calls by name."""

import numpy as np
import pandas as pd
import pytest

from common import claims, matching
from common.claim_words import caveats
from common.published_numbers import published
from common.studies import class_specific_extrapolation as paper
from common.studies.class_specific_extrapolation_claims import closest_pairs, paper_pairs
from common.studies.class_specific_extrapolation_measures import pair_name

START = {"Airplane-Automobile": 0.95, "Truck-Ship": 0.93, "Frog-Bird": 0.9, "Horse-Deer": 0.88, "Dog-Cat": 0.75}
OVERLAPPED = ("Horse-Deer", "Dog-Cat")
SEPARABLE_GAIN = {"random": 0.02, "bottom": 0.02, "top": 0.02, "asymmetric": 0.02}
GAINS = {
    "Airplane-Automobile": SEPARABLE_GAIN,
    "Truck-Ship": {"random": 0.01, "bottom": 0.02, "top": 0.015, "asymmetric": 0.03},
    "Frog-Bird": SEPARABLE_GAIN,
    **{pair: {"random": 0.03, "bottom": 0.05, "top": 0.025, "asymmetric": 0.06} for pair in OVERLAPPED},
}
RATIOS = {3.0: (0.9, 0.04), 6.0: (0.85, 0.012), 10.0: (0.8, 0.01)}


def row(replicate, method, metric, value, pair="", ablation=False, rho=3.0):
    chance = np.random.default_rng([replicate, *f"{method} {metric} {pair} {rho}".encode()]).normal(0, 1e-4)
    return {
        "replicate": replicate, "method": method, "metric": metric, "pair": pair, "ablation": ablation, "rho": rho,
        "value": value + chance, "dataset": "cifar10", "iterations": 19, "status": "ok", "stand_in": False,
        "starts": "all", "hidden": 4096, "dropout": 0.5, "precision": "bf16",
        "key": f"{replicate} {method} {ablation} {rho}",
    }  # fmt: skip


def as_the_paper_says():
    """Results of which every claim holds."""
    rows = []
    for r in range(3):
        for pair, start in START.items():
            rows.append(row(r, "no extrapolation", "pr_auc", start, pair))
            rows.append(row(r, "before", "pr_auc", start - 0.01, pair))
            rows += [row(r, method, "pr_auc", start + gain, pair) for method, gain in GAINS[pair].items()]
            told_apart = 0.6 if pair in OVERLAPPED else 0.9
            rows.append(row(r, "no extrapolation", "held_out_pair_accuracy", told_apart, pair))
            major, minor = pair.split("-")
            rows += [
                row(r, "backbone", "centre_distance", 1.0 if other == major else 5.0, f"{other}-{minor}")
                for other in (name.split("-")[0] for name in START)
            ]
        for method in ("asymmetric", *(paper.METHODS[name] for name in ("run", "two", "written"))):
            rows.append(row(r, method, "accuracy", 0.7))
            cheaper = method != "asymmetric"
            rows.append(row(r, method, "busy_seconds", 79.3 if cheaper else 100.0))
            rows.append(row(r, method, "samples_seen", 793.0 if cheaper else 1000.0))
        for rho, (start, gain) in RATIOS.items():
            values = {"no extrapolation": 0, "random": 0.01, "top": 0.01, "bottom": gain, "asymmetric": gain}
            rows += [
                row(r, method, "pr_auc", start + more, "Airplane-Cat", True, rho) for method, more in values.items()
            ]
    return pd.DataFrame(rows)


def test_results_as_the_paper_says_support_every_claim():
    verdicts = claims.evaluate(claims.load(paper.STEM), as_the_paper_says(), paper)
    # All pairs are found in each of three replicates: nothing varies that chance could be told from.
    expected = dict.fromkeys(verdicts["id"], "supported") | {"closest-pairs": "undecided"}
    assert verdicts.set_index("id")["verdict"].to_dict() == expected


def test_results_that_say_the_opposite_support_none_of_the_orders():
    frame = as_the_paper_says()
    scores = frame["metric"] == "pr_auc"
    frame.loc[scores, "value"] = 1 - frame.loc[scores, "value"]
    verdicts = claims.evaluate(claims.load(paper.STEM), frame, paper).set_index("id")
    ordered = verdicts[(verdicts["metric"] == "pr_auc") & ~verdicts["direction"].isin(["", "not greater"])]
    assert set(ordered["verdict"]) == {"not supported"} and len(ordered) == 19


def test_a_saving_is_a_share_of_the_uniform_bias():
    frame = as_the_paper_says()
    rows = frame[
        (frame["metric"] == "busy_seconds") & frame["method"].isin(["asymmetric", "class-specific, two pairs"])
    ]
    assert np.allclose(paper.claim_percent_saved(None, rows), 20.7, atol=1e-3)


def test_what_is_printed_is_judged_in_its_unit():
    """20.7 % is held to be saved from 15.7 to 25.7 %; all five pairs have to be found, so four of five are too few."""
    frame = as_the_paper_says()
    stated = [c for c in claims.load(paper.STEM) if c.id in ("saves-a-fifth-of-time", "closest-pairs")]
    found = claims.evaluate(stated, frame, paper).set_index("id")
    assert found.loc["saves-a-fifth-of-time", "effect"] == pytest.approx(20.7, abs=1e-3)
    assert found.loc["closest-pairs", "effect"] == 1
    cheaper = (frame["metric"] == "busy_seconds") & (frame["method"] == paper.METHODS["two"])
    frame.loc[cheaper, "value"] = [73.0, 73.1, 73.2]
    distance = (frame["metric"] == "centre_distance") & frame["pair"].isin(["Airplane-Automobile", "Truck-Ship"])
    frame.loc[distance, "value"] = 9.0
    found = claims.evaluate(stated, frame, paper).set_index("id")
    assert found["effect"].round(3).to_dict() == {"closest-pairs": 0.6, "saves-a-fifth-of-time": 26.9}
    assert found["verdict"].to_dict() == {"closest-pairs": "undecided", "saves-a-fifth-of-time": "not supported"}


def test_a_bias_that_harms_adds_nothing_either():
    frame = as_the_paper_says()
    bottom = (frame["pair"] == "Airplane-Automobile") & (frame["method"] == "bottom")
    (stated,) = (c for c in claims.load(paper.STEM) if c.id == "bias-adds-nothing-separable")
    frame.loc[bottom, "value"] -= 0.1
    assert claims.evaluate([stated], frame, paper)["verdict"].item() == "supported"
    frame.loc[bottom, "value"] += 0.2
    assert claims.evaluate([stated], frame, paper)["verdict"].item() == "not supported"


def test_bias_on_overlapped_pairs_minus_separable_ones():
    frame = as_the_paper_says()
    found = paper.claim_more_on_overlapped(None, frame[(frame["metric"] == "pr_auc") & ~frame["ablation"]])
    # (.02 + .03) / 2 on both overlapped pairs; 0, (.01 + .02) / 2 and 0 on the separable ones.
    assert np.allclose(found, 0.025 - 0.015 / 3, atol=1e-3)


def test_extrapolation_on_overlapped_pairs_minus_separable_ones():
    """What no sample of extrapolation gains is judged by its own arm: .04 more on overlapped pairs, of 2 and of 3."""
    frame = as_the_paper_says().query("metric == 'pr_auc' and not ablation")
    random = frame[frame["method"] == "random"]
    overlapped = random["pair"].isin(OVERLAPPED)
    none = random.assign(method="no extrapolation", value=random["value"] - 0.01 - 0.04 * overlapped)
    both = pd.concat([random, none])
    assert np.allclose(paper.claim_extrapolation_more_on_overlapped(None, both), 0.04)


def test_closest_pairs_are_one_to_one():
    # Both minors are nearest to A, but A-Y and B-X are together shorter than A-X and B-Y.
    distances = pd.Series({"A-X": 1.0, "A-Y": 1.5, "B-X": 2.0, "B-Y": 9.0})
    assert sorted(closest_pairs(distances)) == ["A-Y", "B-X"]


def test_the_papers_pairs_are_those_that_are_run():
    from common.studies.class_specific_extrapolation_backbone import ABLATION, PAIRS

    assert {f"{major}-{minor}".title() for major, minor in PAIRS["cifar10"]} == set(paper_pairs())
    assert [pair for pair, overlapped in paper_pairs().items() if overlapped] == list(OVERLAPPED)
    assert pair_name(ABLATION["cifar10"], 0, 1) == "Airplane-Cat"


@pytest.mark.parametrize(
    "metric, field",
    [
        ("images_per_major_class", "majors"),
        ("vgg_depth", "depth"),
        ("backbone_epochs", "epochs"),
        ("iterations", "iterations"),
        ("epochs_per_iteration", "head_epochs"),
        ("new_samples", "amount"),
        ("probability_bias", "share"),
        ("gamma", "gamma"),
        ("tau", "tau"),
    ],
)
def test_defaults_of_a_cell_are_what_the_paper_prints(metric, field):
    numbers = published(paper.STEM)
    (value,) = set(numbers.loc[numbers["metric"] == metric, "comparable"])
    assert getattr(paper.Cell("cifar10", 0), field) == pytest.approx(value)


def test_verdicts_say_what_is_not_the_papers_own():
    settings = pd.DataFrame({"pair": ["Dog-Cat"] * 2, "hidden": [512, 512]})
    assert paper.remarks(settings) == ["a reconstruction where the paper is silent", "a head 512 wide, not 4,096"]
    assert paper.remarks(settings.assign(hidden=4096)) == ["a reconstruction where the paper is silent"]
    limits, _ = caveats("; ".join([*paper.remarks(settings), "on 1 setting"]))
    assert limits == "a reconstruction where the paper is silent; a head 512 wide, not 4,096"


# -- what verdicts know ------------------------------------------------------------------------------------------------


def test_a_level_is_judged_on_the_papers_network_alone():
    """What is saved, and which classes are closest, is told within one network."""
    frame = as_the_paper_says()
    full, narrow = (
        claims.evaluate(claims.load(paper.STEM), rows, paper).set_index("id")
        for rows in (frame, frame.assign(hidden=512))
    )
    levels = ["overlapped-below-tau", "separable-above-tau"]
    assert set(narrow.loc[levels, "verdict"]) == {"no data"}
    assert narrow.drop(levels)["verdict"].equals(full.drop(levels)["verdict"])
    assert "on the paper's network only: here a head 512 wide, not 4,096" in narrow.loc[levels[0], "verdict_note"]
    assert paper.levels(pd.DataFrame()) == paper.levels(pd.DataFrame({"method": ["no extrapolation"]})) == ""


def at_tau(method, *accuracies):
    """Rows of an arm's worst and another pair, one accuracy of the worst a replicate."""
    rows = [row(r, method, "held_out_pair_accuracy", value, "Dog-Cat") for r, value in enumerate(accuracies)]
    rows += [row(r, method, "held_out_pair_accuracy", 0.9, "Truck-Ship") for r in range(len(accuracies))]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("arm", "does"), [("run", "every pair at random"), ("written", "no samples"), ("two", "the two worst")]
)
def test_caveats_count_the_replicates_in_which_no_pair_is_overlapped(arm, does):
    rows = at_tau(paper.METHODS[arm], 0.6, 0.8, 0.6)
    (told,) = paper.caveats("accuracy", rows)
    assert told.startswith("no pair overlapped at tau = 0.7 in 1 of 3 replicates: there it ") and does in told
    assert "at tau = 0.5 in 3 of 3" in paper.caveats("accuracy", rows.assign(tau=0.5))[0]
    assert paper.caveats("accuracy", at_tau(paper.METHODS[arm], 0.6, 0.65)) == []
    assert paper.caveats("accuracy", at_tau("asymmetric", 0.8)) == paper.caveats("accuracy", rows[:0]) == []


def two_arms(differences, overlapped=(), ablation=False):
    """PR-AUC and accuracy of random selection and of the class specific arm as run, one difference a replicate."""
    rows = []
    for r, difference in enumerate(differences):
        for method, more in {"random": 0, paper.METHODS["run"]: difference}.items():
            rows.append(row(r, method, "accuracy", 0.7 + more, "", ablation))
            for pair in ("Truck-Ship", "Dog-Cat"):
                rows.append(row(r, method, "pr_auc", 0.9 + more, pair, ablation))
                rows.append(row(r, method, "overlapped", 0, pair, ablation) | {"value": float((r, pair) in overlapped)})
    return pd.DataFrame(rows)


def test_chance_is_what_alike_arms_differ_by():
    frame = two_arms([0.03, -0.04, 0.02, 0.01], overlapped=[(0, "Dog-Cat")])
    rows = matching.tidy(frame)
    judged = pd.DataFrame({"ablation": [0.0], "dataset": "cifar10", "pair": "Airplane-Automobile", "method": "top"})
    deviation, df = paper.chance("pr_auc", judged, rows)
    squares = 0.03**2 + 2 * (0.04**2 + 0.02**2 + 0.01**2)
    assert df == 7 and deviation == pytest.approx(np.sqrt(squares / 7), abs=1e-3)
    # Over all classes two networks are alike only where every pair is separable.
    assert paper.chance("accuracy", judged, rows) == (pytest.approx(np.sqrt(0.0021 / 3), abs=1e-3), 3)
    assert (
        paper.chance("accuracy", judged, matching.tidy(two_arms([0.03, -0.04]))) is None
    )  # two differences tell little
    with_ablation = matching.tidy(pd.concat([frame, two_arms([0.5, 0.5], ablation=True)]))
    assert paper.chance("pr_auc", judged, with_ablation) == (deviation, df)


def test_no_arms_that_are_alike_say_nothing_of_chance():
    rows = matching.tidy(two_arms([0.03, -0.04]))
    judged = pd.DataFrame({"ablation": [0.0], "method": "top", "method (against)": "random"})
    assert paper.chance("pr_auc", judged, rows) is not None
    assert paper.chance("pr_auc", judged.assign(ablation=1.0), rows) is None
    # Two pairs of one network: no arm differs from another.
    assert paper.chance("pr_auc", judged.assign(method="random"), rows) is None
    assert paper.chance("recall", judged, rows) is paper.chance("pr_auc", judged, rows[:0]) is None
    assert paper.chance("pr_auc", judged, rows.drop(columns="pair")) is None
    assert paper.chance("pr_auc", pd.DataFrame(), pd.DataFrame()) is None
    assert paper.chance("pr_auc", pd.DataFrame(), rows[rows["method"] == "random"]) is None
    assert paper.chance("pr_auc", pd.DataFrame(), rows.drop(columns=["ablation", "dataset", "rho"])) is not None
