"""What resampling and support vector machines cost in paper 2, and how much scikit-learn-intelex saves.

    python benchmarks/resampling_and_svm.py --data DIR --weights FILE

On MobileNet's features of CIFAR-10 (fold 0, ratio 10) and subsets of them: scikit-learn's machine and search for
neighbours against scikit-learn-intelex's, resampling of features and of vectorised images, and in a process of its own
the peak memory of SMOTE on the paper's largest set of images. Seconds are processor time on one thread, so that other
work on the machine does not count. Writes benchmarks/results/resampling_and_svm.csv and .md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from common import imbalance, paths, provenance, study, svm, tables
from common.mobilenet_weights import digest, read
from common.studies import mobilenet_features as paper
from common.studies.mobilenet_features_images import as_images, vectorised
from common.studies.mobilenet_features_resampling import METHODS, resample
from common.studies.mobilenet_features_svm import features

TABLE = paths.ROOT / "benchmarks" / "results" / "resampling_and_svm.csv"
LARGEST = (5000, 10)  # images of the largest class and ratio: SMOTE makes 50,000 of 14,645
SAMPLERS = ("smote", "smoteenn", "iht")


def timed(call) -> tuple[float, object]:
    """Processor seconds of a call, and its result."""
    started = time.process_time()
    found = call()
    return time.process_time() - started, found


def subset(y: np.ndarray, n: int) -> np.ndarray:
    """Positions of about n samples with the class ratios of all."""
    counts = np.maximum(np.bincount(y) * n // len(y), 6)
    return imbalance.subsample(y, np.minimum(counts, np.bincount(y)), 0)


def machines(x, y, x_test, sizes, reference_up_to: int) -> list[dict]:
    """Fit and predict by both packages; scikit-learn's only up to a size, because its time grows with the square."""
    from sklearn.svm import SVC

    def ours(x, y):
        return svm.predict(svm.fit_rbf(x, y), x_test)

    def theirs(x, y):
        return SVC().fit(x, y).predict(x_test)

    rows = []
    for n in sizes:
        at = subset(y, n)
        found = {}
        for name, way in (("scikit-learn-intelex", ours), ("scikit-learn", theirs)):
            if name == "scikit-learn" and n > reference_up_to:
                continue
            seconds, predicted = timed(lambda way=way, at=at: way(x[at], y[at]))
            found[name] = predicted
            rows.append({"what": "machine", "kind": name, "samples": len(at), "size": x.shape[1], "seconds": seconds})
        if len(found) == 2:
            rows[-1]["agreement"] = float(np.mean(found["scikit-learn"] == found["scikit-learn-intelex"]))
    return rows


def resamplers(x, images, y, sizes, name_of=METHODS) -> list[dict]:
    """Resampling of subsets, as features and as vectorised images; S+ENN with either search for neighbours."""
    from imblearn.combine import SMOTEENN

    rows = []
    for n in sizes:
        at = subset(y, n)
        for kind, inputs in (("features", x[at]), ("images", vectorised(images[at]))):
            for sampler in SAMPLERS:
                row = {"what": f"{name_of[sampler]} of {kind}", "samples": len(at), "size": inputs.shape[1]}
                seconds, found = timed(lambda s=sampler, i=inputs, at=at: resample(s, i, y[at], 0))
                by = "scikit-learn-intelex" if sampler == "smoteenn" else "imbalanced-learn"
                rows.append(row | {"kind": by, "after": len(found.y), "seconds": seconds})
                if sampler == "smoteenn":
                    seconds, plain = timed(lambda i=inputs, at=at: SMOTEENN(random_state=0).fit_resample(i, y[at]))
                    rows.append(row | {
                        "kind": "scikit-learn", "after": len(plain[1]), "seconds": seconds,
                        "agreement": float(np.array_equal(found.x, plain[0]) and np.array_equal(found.y, plain[1])),
                    })  # fmt: skip
    return rows


def largest() -> dict:
    """SMOTE of the paper's largest set of images, random pixels, from images to images: seconds and peak memory."""
    counts = imbalance.inverse_linear_counts(10, *LARGEST)
    y = np.repeat(np.arange(10), counts)
    images = np.random.default_rng(0).integers(0, 256, (len(y), 64, 64, 3), dtype=np.uint8)

    def work():
        found = resample("smote", vectorised(images), y, 0)
        return as_images(found.x, 64)

    seconds, made = timed(work)
    # In KiB; macOS says bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (30 if sys.platform == "darwin" else 20)
    row = {"what": "SMOTE of images", "kind": "imbalanced-learn", "samples": len(y), "size": 64 * 64 * 3}
    return {**row, "after": len(made), "seconds": seconds, "peak memory, GiB": peak}


def lines(table: pd.DataFrame) -> pd.DataFrame:
    """The table as text, with how many times faster than scikit-learn the other package is."""
    case = ["what", "samples", "size"]
    slow = table[table["kind"] == "scikit-learn"].set_index(case)["seconds"]
    ratio = slow.reindex(pd.MultiIndex.from_frame(table[case])).to_numpy() / table["seconds"]
    fast = table["kind"] == "scikit-learn-intelex"
    shown = table.assign(faster=ratio.where(fast).map(lambda r: "" if np.isnan(r) else f"{r:.1f} times"))
    for name, form in {
        "seconds": "{:.2f}",
        "after": "{:.0f}",
        "agreement": "{:.4f}",
        "peak memory, GiB": "{:.1f}",
    }.items():
        shown[name] = [("" if np.isnan(v) else form.format(v)) for v in table[name].astype(float)]
    return shown


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="folder of the data sets (default: IMBALANCE_DATA, else data/)")
    parser.add_argument("--weights", required=True, help="file of MobileNet's weights")
    parser.add_argument("--store", default="", help="where features are kept (default: IMBALANCE_STORE, else .store/)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 2000, 3000], help="samples to fit and resample")
    parser.add_argument("--reference", type=int, default=3000, help="largest set that scikit-learn's machine is given")
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool, threadpool_limits(1):
        memory = pool.submit(largest).result()
    parameters = {"dataset": "cifar10", "pretrained": digest(read(arguments.weights)), "alpha": 1.0, "per_class": 0}
    options = {"data": arguments.data, "weights": arguments.weights, "store": arguments.store}
    run = study.Run(paper, {**parameters, "samplers": ("none",), "image_samplers": ()}, options)
    cell = replace(run.cells[0], rho=float(LARGEST[1]))
    train_at, test_at = paper.fold(cell, run.context)
    train, _ = run.context.data(cell.dataset, cell.image_size)
    x, x_test, _ = features(cell, run.context, train_at, test_at)
    images, y = train.images[train_at], train.labels[train_at]
    with threadpool_limits(1):
        rows = machines(x, y, x_test, [*arguments.sizes, len(y)], arguments.reference)
        rows += resamplers(x, images, y, arguments.sizes)
    table = pd.DataFrame([*rows, memory]).assign(device=provenance.device_name("cpu"))
    TABLE.parent.mkdir(exist_ok=True)
    table.to_csv(TABLE, index=False, float_format="%.4f", lineterminator="\n")
    shown = lines(table).drop(columns="device")
    text = tables.markdown(shown.columns, shown.to_numpy(dtype=object))
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("scikit-learn", "scikit-learn-intelex", "imbalanced-learn")
    )
    head = f"Written by `python benchmarks/resampling_and_svm.py`. {table['device'].iloc[0]}, one thread, {versions}."
    TABLE.with_suffix(".md").write_text(
        f"# Resampling and support vector machines\n\n{head}\n\n{text}\n", encoding="utf-8"
    )
    print(text)


if __name__ == "__main__":
    main()
