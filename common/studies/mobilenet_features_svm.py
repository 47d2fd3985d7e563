"""The features half of paper 2: extraction once a data set, resampling, and the support vector machine."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np

from common import keras_features, mobilenet_weights, resampling, svm
from common.cells import Context, Result
from common.studies import mobilenet_features as study
from common.studies import mobilenet_features_images as images_half
from common.studies import mobilenet_features_scoring as scoring
from common.studies.mobilenet_features import Cell
from common.studies.mobilenet_features_resampling import Failed, resample


def run(cells: list[Cell], context: Context) -> Iterator[Result]:
    """Fit and evaluate one cell after the other; a resampler that fails gives rows with its reason."""
    for cell in cells:
        train_at, test_at = study.fold(cell, context)
        train, test = context.data(cell.dataset, cell.image_size)
        columns = scoring.columns(cell, study.seeds(cell), train_at, test_at) | {"svm": svm.svc_class()[1]}
        if cell.representation == study.FINETUNED:
            x, x_test = finetuned(cell, context)
            if not (np.isfinite(x).all() and np.isfinite(x_test).all()):
                yield scoring.lost(cell, "diverged", columns, float("nan"))
                continue
        else:
            x, x_test, columns["extractor"] = features(cell, context, train_at, test_at)
        started = time.perf_counter()
        if cell.standardise:
            x, x_test = standardised(x, x_test)
        try:
            predicted, more = predict(cell, x, train.labels[train_at], x_test)
        except Failed as reason:
            yield scoring.lost(cell, "failed", {**columns, "reason": str(reason)}, time.perf_counter() - started)
            continue
        rows = scoring.rows(cell.method, test.labels[test_at], predicted, len(test.classes))
        yield Result(cell, rows, [], {**columns, **more}, "ok", time.perf_counter() - started)


def features(cell: Cell, context: Context, train_at: np.ndarray, test_at: np.ndarray) -> tuple:
    """What the cell's machine sees; extracted once and kept with the store.

    Returns
    -------
    x, x_test : ndarray of float32, shape (n, d)
        Features of the fold's training and test images.
    extractor : str
        What extracted them (`keras_features.engine`).
    """
    weights, whole = study.weights_of(cell, context), study.whole_set(cell)
    device, found = context.options.device, []
    for images, positions in zip(context.data(cell.dataset, cell.image_size), (train_at, test_at), strict=True):
        fields = {
            "data": images.fingerprint,
            "weights": mobilenet_weights.digest(weights),
            "layer": cell.layer,
            "pooled": cell.pooled,
            "images": "all" if whole else hashlib.sha256(positions.tobytes()).hexdigest(),
        }
        if study.KEPT_VERSION > 1:  # 1 stays out, so that what was made before the version was a field is found
            fields["version"] = study.KEPT_VERSION
        wanted = images.images if whole else images.images[positions]

        def make(wanted=wanted):
            how = {"layer": cell.layer, "pooled": cell.pooled, "alpha": cell.alpha, "device": device}
            extracted = keras_features.extract(wanted, weights, **how)
            return {"features": extracted, "extractor": np.array(keras_features.engine(device))}

        kept = context.artifact("mobilenet_features", fields, make)
        found.append(kept["features"][positions] if whole else np.array(kept["features"]))
    return *found, str(kept["extractor"])


def finetuned(cell: Cell, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """The same of the network that was fine-tuned on the fold's images without resampling; kept with the store."""
    base = replace(cell, representation=study.IMAGES, sampler="none")
    fingerprints = [part.fingerprint for part in context.data(cell.dataset, cell.image_size)]
    fields = {**asdict(base), "data": fingerprints, "version": study.KEPT_VERSION}
    kept = context.artifact("mobilenet_finetuned", fields, lambda: images_half.features(base, context))
    return np.array(kept["train"]), np.array(kept["test"])


def standardised(x: np.ndarray, x_test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with the training set's mean 0 and variance 1 by feature; a constant feature stays 0."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    return scaler.transform(x), scaler.transform(x_test)


def predict(cell: Cell, x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> tuple[np.ndarray, dict]:
    """Labels predicted for `x_test` by the cell's machine, and columns on what was fitted; raises what `fit` does."""
    model, columns = fit(cell, x, y)
    return svm.predict(model, x_test), columns


def fit(cell: Cell, x: np.ndarray, y: np.ndarray) -> tuple:
    """The cell's machine, for `svm.predict`, and columns on what it was fitted on.

    Random oversampling and class weights enter as weights of the samples: the same optimum as repeating them.

    Raises
    ------
    Failed
        If the resampler does.
    """
    resampled = resample(cell.sampler, x, y, study.seeds(cell)["seed_resampling"])
    columns = scoring.resampled_columns(y, resampled)
    weights = None
    if cell.sampler == "weighted":
        weights = resampling.class_weights(y, int(y.max()) + 1)[y]
    elif cell.sampler == "oversampling":
        weights = np.bincount(resampled.positions, minlength=len(y)).astype(np.float64)
    elif cell.sampler != "none":
        x, y = (x[resampled.positions] if resampled.x is None else resampled.x), resampled.y
    model = svm.fit_rbf(x, y, gamma=cell.gamma, weights=weights)
    return model, {**columns, "support_vectors": len(model.support_)}
