"""Where the papers do the same thing under other names: our own numbers on both sides, by topic.

These are questions of ours, not claims of a paper. They are answered by the machinery that judges claims, so the same
rules hold: paired within a replicate, one schedule, complete replicates only.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from common import claims, verdict_tables
from common.claim_file import Claim
from common.claim_words import caveats, metric
from common.papers import PAPERS
from common.studies.category_centers_selection import TRAINING_ONLY
from common.verdicts import Verdict

STEP = {"dataset": ["mnist"], "imbalance": ["step"], "to_rho": [1]}
ALLCNN = {
    "dataset": ["cifar10"],
    "network": ["allcnn"],
    "variant": [""],
    "count_scale": [1],
    "plateau": ["exponential"],
}
VGG16 = ALLCNN | {"network": ["vgg16"]}
#: Centres of the images on which their rivals are fitted.
EQUAL = {"variant": TRAINING_ONLY}
FEATURES = {"dataset": ["cifar10", "mnist"], "representation": ["features"], "variant": ["paper"]}
PAIRS = {"dataset": ["cifar10"], "ablation": [False]}
DEFECTS = {"imbalance": ["ratio"], "trunk": ["imagenet"], "network": ["multiscale"]}
#: What the columns of a filter hold, in words; of a paper with several networks for each.
DATA = {
    "systematic_study": "MNIST, step imbalance",
    "category_centers": {"allcnn": "CIFAR-10, All-CNN", "vgg16": "CIFAR-10, VGG-16"},
    "mobilenet_features": "CIFAR-10 and MNIST, features",
    "class_specific_extrapolation": "CIFAR-10, features of VGG-19",
    "multiscale_transfer": "surfaces with defects, ImageNet trunk; a reconstruction, magnetic tiles a stand-in",
}
#: Where replicates share images, what one tests on: as in the claims of these papers on these sets.
SHARES = {"mobilenet_features": 0.1667, "multiscale_transfer": 0.5}
DECOUPLED = ("logit adjustment", "cRT", "tau-norm", "LWS")
#: Topic to comparisons: stem, filters of both arms, metric, method, the one it is compared with, and, of the method
#: alone, filters instead of those of both.
TOPICS = {
    "thresholding": [
        ("systematic_study", STEP, "accuracy", "thresholding", "baseline"),
        ("systematic_study", STEP, "accuracy", "oversampling + thresholding", "oversampling"),
        ("category_centers", ALLCNN, "accuracy", "logit adjustment", "D"),
        ("category_centers", ALLCNN, "accuracy", "O logit adjustment", "OD"),
        ("category_centers", VGG16, "accuracy", "logit adjustment", "D"),
        ("category_centers", VGG16, "accuracy", "O logit adjustment", "OD"),
        ("class_specific_extrapolation", PAIRS, "minor_recall", "logit adjustment", "no extrapolation"),
    ],
    "centres": [
        *(("category_centers", ALLCNN, "accuracy", "C", rival, EQUAL) for rival in ("D", "linear", *DECOUPLED)),
        *(("category_centers", VGG16, "accuracy", "C", rival, EQUAL) for rival in ("D", *DECOUPLED)),
    ],
    "two phases": [
        ("systematic_study", STEP, "accuracy", "two-phase oversampling", "oversampling"),
        ("systematic_study", STEP, "accuracy", "two-phase oversampling", "baseline"),
        ("category_centers", ALLCNN, "accuracy", "cRT", "linear"),
        ("category_centers", VGG16, "accuracy", "cRT", "D"),
        ("multiscale_transfer", DEFECTS, "balanced_accuracy", "two-stage balanced-natural", "one-stage balanced"),
        ("multiscale_transfer", DEFECTS, "balanced_accuracy", "two-stage natural-balanced", "one-stage natural"),
        (
            "multiscale_transfer", DEFECTS, "balanced_accuracy", "two-stage natural-balanced",
            "two-stage balanced-natural",
        ),
    ],
    "synthetic features": [
        ("mobilenet_features", FEATURES, "avacc", "SMOTE", "baseline"),
        ("mobilenet_features", FEATURES, "avacc", "SMOTE", "oversampling"),
        ("class_specific_extrapolation", PAIRS, "pr_auc", "SMOTE", "no extrapolation"),
        ("class_specific_extrapolation", PAIRS, "pr_auc", "asymmetric", "no extrapolation"),
        ("class_specific_extrapolation", PAIRS, "pr_auc", "asymmetric", "SMOTE"),
        ("class_specific_extrapolation", PAIRS, "pr_auc", "asymmetric", "oversampling"),
    ],
}  # fmt: skip
WORDS = {
    Verdict.SUPPORTED: "better",
    Verdict.NOT_SUPPORTED: "worse",
    Verdict.UNDECIDED: "undecided",
    Verdict.NO_DATA: "not measured yet",
}


def meeting(topic: str, measured: Mapping[str, tuple[pd.DataFrame, object]]) -> pd.DataFrame:
    """The comparisons of a topic, a row each.

    Parameters
    ----------
    topic : str
        A key of `TOPICS`.
    measured : mapping
        Stem to measured rows (may be empty) and study module (or None).

    Returns
    -------
    DataFrame
        comparison, effect with 95 % interval, n, what that says, measure, data and paper.
    """
    rows = []
    for stem, on, measure, method, against, *own in TOPICS[topic]:
        frame, module = measured[stem]
        found = claims.evaluate([_question(stem, on, measure, method, against, *own)], frame, module).iloc[0]
        method = " ".join([method, *(f"({value})" for filters in own for value in filters.values())])
        rows.append(
            {
                "comparison": f"{method} − {against}",
                "effect [95% interval]": verdict_tables.verdict_effect(found),
                "n": int(found["n"]),
                "which is": "; ".join(filter(None, (WORDS[found["verdict"]], caveats(found["verdict_note"])[0]))),
                "measure": metric(measure),
                "data": DATA[stem] if isinstance(DATA[stem], str) else DATA[stem][on["network"][0]],
                "paper": next(paper.number for paper in PAPERS if paper.stem == stem),
            }
        )
    return pd.DataFrame(rows).astype({"effect [95% interval]": object})


def _question(stem: str, on: Mapping, measure: str, method: str, against: str, own: Mapping | None = None) -> Claim:
    """Whether a method is better than another, as a claim with margin 0."""
    own = own or {}
    other = {name: on[name] for name in own}
    on = {name: values for name, values in on.items() if name not in own}
    fields = {"id": "question", "statement": f"{method} above {against}", "where": "overview", "margin": 0}
    fields |= {"test": "difference", "direction": "greater", "metric": measure, "on": on}
    fields |= {"of": {"method": method} | own, "against": {"method": against} | other}
    return Claim.parse(fields | ({"test_share": SHARES[stem]} if stem in SHARES else {}))
