"""What the overview takes from paper 2: numbers beside the printed ones, figure, contest of methods, deviations."""

from __future__ import annotations

import pandas as pd

from common.names import NAMES
from common.studies import mobilenet_features as study
from common.studies import mobilenet_features_figures as show
from common.studies import mobilenet_features_tables as facts
from common.studies.mobilenet_features_folds import shared
from common.studies.mobilenet_features_scoring import METRICS
from common.studies.mobilenet_features_selection import other_weights

RESULTS = tuple(METRICS)
UNPAIRED = (
    "Table 1 needs all three ratios of a data set, table 2 all three data sets; a mean over fewer is another quantity. "
    "Levels stand side by side and are not subtracted where weights are not Keras' file or fine-tuning was shortened."
)
BASELINE = "baseline"
MEASURES = {
    "avacc": "AvAcc (mean recall)",
    "cba": "CBA (mean of the lower of precision and recall)",
    "mavg": "MAvG (geometric mean of recalls)",
}
SITUATIONS = {
    study.FEATURES: "classify features of a fixed ImageNet network with a support vector machine",
    study.IMAGES: "fine-tune an ImageNet network",
}
FIGURE = "AvAcc over the imbalance ratio, by representation and data set."
MATTER = ("weights", "representations left out", "data sets left out", "epochs", "imbalance ratios", "folds")


def beside(printed: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Ours for each printed score that was measured (`common.comparison`): over the same ratios and data sets.

    The folds are those of the page's tables (`shared`), and levels are subtracted where theirs are.
    """
    main, parts = study.main_rows(frame), []
    averaged = {"1": ("dataset", "rho", facts.RATIOS), "2": ("rho", "dataset", facts.DATASETS)}
    for kind in SITUATIONS:
        own = main[main["representation"] == kind]
        for number, (by, over, wanted) in averaged.items():
            ours = facts.complete(facts.scores(own), over, wanted) if len(own) else own
            if ours.empty:
                continue
            ours = shared(ours, [by])
            rows = printed[(printed["table"] == number) & (printed["representation"] == kind)]
            key = ["metric", by, "method"]
            known = rows[key].reset_index().merge(facts.summarise(ours, key), on=key).set_index("index")
            how = [
                "/".join(sorted(ours["profile"].unique())),
                *(["shortened schedule"] if (ours["epochs"] < study.EPOCHS).any() else []),
                *other_weights(own),
            ]
            full = not study.levels(ours)
            parts.append(known.assign(profile=", ".join(how), full=full, stand_in=False))
    return pd.concat(parts) if parts else pd.DataFrame()


def contest(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of every resampler, by representation and data set (`common.overview_contest`)."""
    main = study.main_rows(frame)
    rows = main[main["metric"].isin(MEASURES) & main["representation"].isin(SITUATIONS)]
    return rows.assign(
        situation=rows["representation"].map(SITUATIONS),
        where=[_where(*place) for place in rows[["dataset", "representation", "epochs"]].to_numpy()],
        setting=[f"ratio {rho:g}" for rho in rows["rho"]],
        test_share=rows["n_test"] / (rows["n_test"] + rows["n_train"]),
    )


def _where(dataset: str, representation: str, epochs: float) -> str:
    short = representation == study.IMAGES and epochs < study.EPOCHS
    # Which then favours what adds images, for the schedule is not told apart from the method.
    how = f", {epochs:g} of {study.EPOCHS} epochs, which are more updates with more images" if short else ""
    return f"{NAMES[dataset]}, {representation}{how}"


def figure(frame: pd.DataFrame):
    """AvAcc over the ratio; None before two ratios were measured."""
    return show.over_ratios(study.main_rows(frame))


def drawn(frame: pd.DataFrame) -> str:
    """On what the figure rests: folds by data set and representation, and departures of the schedule."""
    rows = shared(facts.scores(study.main_rows(frame)), facts.SETTING)
    parts = rows.groupby(["dataset", "representation", "epochs"])
    return "; ".join(f"{_where(*place)}: n = {study.folds(part)}" for place, part in parts) + " (folds)."


deviations = show.measured_deviations
