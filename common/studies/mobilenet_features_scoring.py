"""What is measured on the predictions of either half of paper 2, as rows of the result frame."""

from __future__ import annotations

import numpy as np

from common import metrics
from common.cells import Result

METRICS = {
    "avacc": metrics.average_accuracy,
    "cba": metrics.class_balance_accuracy,
    "mavg": metrics.geometric_mean_recall,
}


def rows(method: str, labels, predicted, n_classes: int) -> list[dict]:
    """The paper's three metrics, and recall by class; every class of the test set counts, also one never trained."""
    matrix = metrics.confusion(labels, predicted, n_classes)
    values = {(name, -1): metric(matrix) for name, metric in METRICS.items()}
    values |= {("recall", label): value for label, value in enumerate(metrics.recalls(matrix))}
    return [_row(method, *what, float(value)) for what, value in values.items()]


def lost(cell, status: str, columns: dict, seconds: float) -> Result:
    """The result of a cell without predictions: its metrics are missing."""
    missing = [_row(cell.method, name, -1, float("nan")) for name in METRICS]
    return Result(cell, missing, [], columns, status, seconds)


def columns(cell, seeds: dict, train_at: np.ndarray, test_at: np.ndarray) -> dict:
    """What all rows of a cell share beside its fields."""
    return {**seeds, "variant": cell.variant, "n_train": len(train_at), "n_test": len(test_at), "selection": "last"}


def resampled_columns(y: np.ndarray, resampled) -> dict:
    """What became of a training set with labels `y`: its size, how many classes it lost, and the seconds it took."""
    return {
        "n_resampled": len(resampled.y),
        "emptied": len(np.setdiff1d(y, resampled.y)),
        "resampling_seconds": resampled.seconds,
    }


def _row(method: str, metric: str, class_label: int, value: float) -> dict:
    return {"method": method, "prior": "", "metric": metric, "class_label": class_label, "value": value}
