"""Does training in bf16 change the results of paper 4? The same networks in both precisions, paired.

    python benchmarks/precision.py --data DIR

Trains baseline, oversampling and weighted loss on MNIST, twelve step imbalances each, at the reduced schedule, with
equal seeds; those in bf16 are mostly committed already. Writes benchmarks/results/precision.csv, one row a network and
metric, and precision.md: the mean difference with its 95% interval over networks, and how many diverged.
"""

from __future__ import annotations

import argparse
from importlib.metadata import version

import pandas as pd
from tqdm import tqdm

from common import paths, study, tables
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


def measure(data: str, workers: int, time_budget: str) -> pd.DataFrame:
    """Metrics of every network that there is in both precisions, one row each; diverged ones have none."""
    parts = []
    for precision in ("bf16", "fp32"):
        # A store of its own: fp32 networks of a bf16 study would stand among its results.
        options = {"profile": "reduced", "data": data, "workers": workers, "time_budget": time_budget}
        if precision == "fp32":
            options["store"] = str(paths.ROOT / ".store-precision")
        run = study.Run(paper, {**GRID, "precision": precision}, options)
        print(precision, run.execute(lambda results, total: tqdm(results, total=total, unit="network")))
        rows = run.frame()
        parts.append(rows[rows["metric"].isin(["auc", "accuracy"]) & (rows["prior"] == "")])
    both = pd.concat(parts).set_index([*CELL, "precision"])
    table = both[["value", "status"]].unstack()
    table.columns = [precision if name == "value" else f"{name} {precision}" for name, precision in table.columns]
    table["device"] = both["device"].iloc[0]
    return table.dropna(subset=["status bf16", "status fp32"]).reset_index()


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of bf16 minus fp32 with its interval over networks that did not diverge, and who diverged, by method."""
    rows = []
    for (metric, method), part in table.groupby(["metric", "method"]):
        lost = {precision: (part[f"status {precision}"] != "ok") for precision in ("bf16", "fp32")}
        kept = part[~lost["bf16"] & ~lost["fp32"]]
        found = interval(kept["bf16"] - kept["fp32"])
        rows.append({
            "metric": metric, "method": method, "networks": len(part), "compared": found.n,
            "bf16 - fp32": f"{found.estimate:+.5f} [{found.low:+.5f}, {found.high:+.5f}]",
            "diverged in bf16 / fp32 / both": f"{lost['bf16'].sum()} / {lost['fp32'].sum()} / "
            f"{(lost['bf16'] & lost['fp32']).sum()}",
        })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="folder of the data sets (default: IMBALANCE_DATA, else data/)")
    parser.add_argument("--workers", type=int, default=0, help="processes (0: one per core)")
    parser.add_argument(
        "--time-budget", default="", help="stop training after this time, such as 20m; start again to go on"
    )
    arguments = parser.parse_args()
    table = measure(arguments.data, arguments.workers, arguments.time_budget)
    TABLE.parent.mkdir(exist_ok=True)
    table.to_csv(TABLE, index=False, float_format="%.6f", lineterminator="\n")
    lines = differences(table)
    text = tables.markdown(lines.columns, lines.to_numpy(dtype=object))
    head = f"Written by `python benchmarks/precision.py`. {table['device'].iloc[0]}, torch {version('torch')}."
    TABLE.with_suffix(".md").write_text(f"# bf16 against fp32\n\n{head}\n\n{text}\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
