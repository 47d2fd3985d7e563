"""What predicting from the fitted machine changes in paper 2, against scikit-learn-intelex's own prediction.

    python benchmarks/svm_prediction.py --data DIR --weights FILE

Machines of the study itself, on MobileNet's features at ratio 10: each is fitted once, and predicts the fold's test
images both ways (`common.svm` says why). Writes benchmarks/results/svm_prediction.csv and .md.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from common import metrics, paths, provenance, study, svm, tables
from common.mobilenet_weights import digest, read
from common.studies import mobilenet_features as paper
from common.studies.mobilenet_features_resampling import METHODS
from common.studies.mobilenet_features_svm import features, fit

TABLE = paths.ROOT / "benchmarks" / "results" / "svm_prediction.csv"
RATIO = 10.0


def support_vectors(model) -> np.ndarray:
    """How many support vectors each pair of classes has."""
    of = svm.by_class(model)
    used = model.dual_coef_ != 0
    pairs = itertools.combinations(range(len(of)), 2)
    return np.array([used[j - 1, of[i]].sum() + used[i, of[j]].sum() for i, j in pairs])


def average_accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The study's AvAcc."""
    return metrics.average_accuracy(metrics.confusion(labels, predicted, int(labels.max()) + 1))


def compared(run, sampler: str, fold: int) -> dict:
    """One machine of the study and both of its predictions."""
    cell = replace(run.cells[0], rho=RATIO, sampler=sampler, replicate=fold)
    train_at, test_at = paper.fold(cell, run.context)
    train, test = run.context.data(cell.dataset, cell.image_size)
    x, x_test, _ = features(cell, run.context, train_at, test_at)
    labels = test.labels[test_at]
    model, columns = fit(cell, x, train.labels[train_at])
    ours, theirs = svm.predict(model, x_test), model.predict(x_test)
    beyond = support_vectors(model) % 256
    return {
        "dataset": cell.dataset,
        "resampling": METHODS[sampler],
        "fold": fold,
        "samples": columns["n_resampled"],
        "pairs": len(beyond),
        "pairs just above a multiple of 256": int(np.isin(beyond, (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13)).sum()),
        "images": len(labels),
        "images that change": int((ours != theirs).sum()),
        "AvAcc": average_accuracy(labels, ours),
        "AvAcc, their prediction": average_accuracy(labels, theirs),
    }


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="folder of the data sets (default: IMBALANCE_DATA, else data/)")
    parser.add_argument("--weights", required=True, help="file of MobileNet's weights")
    parser.add_argument("--store", default="", help="where features are kept (default: IMBALANCE_STORE, else .store/)")
    parser.add_argument("--datasets", nargs="+", default=["cifar10", "mnist"])
    parser.add_argument("--samplers", nargs="+", default=["none", "undersampling", "weighted", "iht"])
    parser.add_argument("--folds", type=int, default=3)
    arguments = parser.parse_args()
    if svm.svc_class()[1] == "scikit-learn":
        parser.error("scikit-learn-intelex is not installed here, and it is what this compares with")
    options = {"data": arguments.data, "weights": arguments.weights, "store": arguments.store}
    rows = []
    for dataset in arguments.datasets:
        parameters = {"dataset": dataset, "pretrained": digest(read(arguments.weights)), "alpha": 1.0, "per_class": 0}
        run = study.Run(paper, {**parameters, "samplers": ("none",), "image_samplers": ()}, options)
        for sampler, fold in itertools.product(arguments.samplers, range(arguments.folds)):
            with threadpool_limits(1):
                rows.append(compared(run, sampler, fold))
            print(rows[-1], flush=True)
    write(pd.DataFrame(rows).assign(device=provenance.device_name("cpu")))


def write(table: pd.DataFrame) -> None:
    """The table as CSV and, with a summary, as Markdown."""
    TABLE.parent.mkdir(exist_ok=True)
    table.to_csv(TABLE, index=False, float_format="%.6f", lineterminator="\n")
    shown = table.drop(columns="device").assign(
        **{name: table[name].map("{:.4f}".format) for name in table if name.startswith("AvAcc")}
    )
    off = (table["AvAcc"] - table["AvAcc, their prediction"]).abs()
    changed = table["images that change"]
    text = (
        f"Written by `python benchmarks/svm_prediction.py`; {table['device'].iloc[0]}, "
        f"scikit-learn-intelex {version('scikit-learn-intelex')}. Ratio {RATIO:g}. Of {len(table)} machines, "
        f"{int((changed > 0).sum())} take some images for another class when they predict from what was fitted: "
        f"at most {changed.max()} of a fold's, and AvAcc changes by at most {off.max():.4f}."
    )
    body = tables.markdown(shown.columns, shown.to_numpy(dtype=object))
    TABLE.with_suffix(".md").write_text(
        f"# Predictions of support vector machines\n\n{text}\n\n{body}\n", encoding="utf-8"
    )
    print(text)


if __name__ == "__main__":
    main()
