"""How long a study takes: networks x iterations x milliseconds, checked against what was really run.

    python benchmarks/cost_model.py

Takes the milliseconds of one iteration of `fit_many` from results/many_networks_<cpu|cuda>.csv, compares the hours that
they predict for the committed networks of paper 4 with the seconds that those took (which include testing, second
phases, and whatever else the machine did), and projects its full grids on MNIST and CIFAR-10. Writes
results/cost_model.md.
"""

from __future__ import annotations

from importlib import import_module

import pandas as pd

from common import grids, paths, tables
from common.studies import systematic_study as paper

FOLDER = paths.ROOT / "benchmarks" / "results"
NETWORKS = {"mnist": "LeNet-5", "cifar10": "All-CNN"}  # data set to the benchmark's name of its network


def rates() -> pd.DataFrame:
    """The fastest row of `fit_many` by device and network: milliseconds of one iteration of one network, all told."""
    files = sorted(FOLDER.glob("many_networks_*.csv"))
    table = pd.concat([pd.read_csv(file).assign(kind=file.stem.rsplit("_", 1)[1]) for file in files])
    table = table[table["way"] == "fit_many"].sort_values("ms per iteration")
    return table.drop_duplicates(["kind", "network"]).set_index(["kind", "network"])


def hours(updates: float, rate: pd.Series) -> float:
    """Hours that so many updates of single networks take with all of the device."""
    return updates * rate["ms per iteration"] / 3.6e6


def checked(rate: pd.DataFrame) -> pd.DataFrame:
    """Committed networks of paper 4 by data set: hours predicted, and hours of all processes together."""
    results = pd.read_parquet(paths.RESULTS / f"{paper.STEM}.parquet").drop_duplicates("key")
    rows = []
    for (dataset, iterations), part in results.groupby(["dataset", "iterations"]):
        one = rate.loc[("cpu", NETWORKS[dataset])]
        predicted = hours(len(part) * iterations, one)
        measured = part["train_seconds"].sum() / 3600 / one["processes"]
        rows.append([dataset, len(part), iterations, predicted, measured, measured / predicted])
    return pd.DataFrame(
        rows, columns=["data set", "networks", "iterations", "predicted hours", "measured hours", "ratio"]
    )


def projected(rate: pd.DataFrame) -> pd.DataFrame:
    """Hours of paper 4's full protocol on MNIST and CIFAR-10 by run and device."""
    study, rows = import_module(f"common.studies.{paper.STEM}"), []
    for run in grids.expand("paper", paper.STEM):
        cells = study.cells(study.Parameters(**run.parameters))
        network = NETWORKS.get(cells[0].dataset)
        for kind, name in rate.index:
            if name == network:
                updates = sum(cell.iterations for cell in cells)
                rows.append([run.name, name, len(cells), updates, kind, hours(updates, rate.loc[(kind, name)])])
    return pd.DataFrame(rows, columns=["run", "network", "networks", "updates", "device", "hours"])


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown, its numbers short."""
    cells = [
        [f"{v:.3g}" if isinstance(v, float) else f"{v:,}" if isinstance(v, int) else str(v) for v in row]
        for row in table.to_numpy(dtype=object)
    ]
    return tables.markdown(table.columns, cells)


def main() -> None:
    """Write the tables."""
    rate = rates()
    measured_on = "; ".join(f"{kind}: {part['device'].iloc[0]}" for kind, part in rate.groupby(level="kind"))
    lines = [
        "# What training costs",
        "",
        f"Written by `python benchmarks/cost_model.py` from many_networks_*.csv ({measured_on}) and the committed "
        "results. Hours = networks x iterations x milliseconds of one iteration with all cores busy.",
        "",
        markdown(rate.reset_index()[["kind", "network", "K", "processes", "ms per iteration", "networks per hour"]]),
        "",
        "## Against real runs",
        "",
        "Measured: the seconds stored with the committed networks of paper 4, which include evaluation and second "
        "phases and were taken on a machine that did other work at times; that is what a ratio above 1 holds.",
        "",
        markdown(checked(rate)),
        "",
        "## The full protocol of paper 4 on MNIST and CIFAR-10",
        "",
        markdown(projected(rate)),
        "",
    ]
    (FOLDER / "cost_model.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
