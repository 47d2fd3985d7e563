"""Does training in bf16 change the results of paper 4? The same networks in both precisions, paired.

    python benchmarks/precision.py --data DIR

Trains baseline, oversampling and weighted loss on MNIST, twelve step imbalances each, at the reduced schedule, with
equal seeds; those in bf16 are mostly committed already. Writes benchmarks/results/precision.csv, one row a network and
metric, and prints the mean difference with its 95% interval over networks.
"""

from __future__ import annotations

import argparse

import pandas as pd
from tqdm import tqdm

from common import paths, study
from common.statistics import interval
from common.studies import systematic_study as paper

GRID = {
    "dataset": "mnist",
    "balanced": False,
    "step_rhos": (10, 100, 1000, 5000),
    "step_mus": (0.2, 0.5, 0.8),
    "samplers": ("none", "oversampling", "weighted"),
    "iterations": 2500,
}
TABLE = paths.ROOT / "benchmarks" / "results" / "precision.csv"
CELL = ["rho", "mu", "method", "metric"]


def measure(data: str, workers: int) -> pd.DataFrame:
    """Metrics of every network in both precisions, one row each."""
    parts = []
    for precision in ("bf16", "fp32"):
        # A store of its own: fp32 networks of a bf16 study would stand among its results.
        options = {"profile": "reduced", "data": data, "workers": workers}
        if precision == "fp32":
            options["store"] = str(paths.ROOT / ".store-precision")
        run = study.Run(paper, {**GRID, "precision": precision}, options)
        print(precision, run.execute(lambda results, total: tqdm(results, total=total, unit="network")))
        rows = run.frame()
        parts.append(rows[rows["metric"].isin(["auc", "accuracy"])].assign(precision=precision))
    both = pd.concat(parts).set_index([*CELL, "precision"])
    wide = both["value"].unstack()
    wide["device"] = both["device"].iloc[0]
    return wide.reset_index()


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of bf16 minus fp32 with its interval, by method and metric."""
    table = table.assign(difference=table["bf16"] - table["fp32"])
    rows = []
    for (metric, method), part in table.groupby(["metric", "method"]):
        found = interval(part["difference"])
        rows.append({"metric": metric, "method": method, "networks": found.n, "bf16 - fp32": found.estimate,
                     "low": found.low, "high": found.high})  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="folder of the data sets (default: IMBALANCE_DATA, else data/)")
    parser.add_argument("--workers", type=int, default=0, help="processes (0: one per core)")
    arguments = parser.parse_args()
    table = measure(arguments.data, arguments.workers)
    TABLE.parent.mkdir(exist_ok=True)
    table.to_csv(TABLE, index=False, float_format="%.6f", lineterminator="\n")
    print(differences(table).to_string(index=False, float_format=lambda value: f"{value:+.5f}"))


if __name__ == "__main__":
    main()
