"""What the runner costs and how it grows: two workers, a notebook's overhead, ten thousand finished cells.

    python benchmarks/runner.py

On two idle cores, within some two minutes. Independent trainings of paper 4 on digits with one and with two processes,
and on a Dask cluster of this machine with one and with two workers; an empty notebook from start to page; and a store
with ten thousand finished cells, resumed and listed. Seconds are of the clock, so whatever else runs shows in them.
Writes benchmarks/results/runner.csv and .md.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

import pandas as pd

from common import cluster, jobs, paths, pool, provenance, running, study, tables
from common.cells import Context, Result
from common.options import Options
from common.studies import systematic_study

TABLE = paths.ROOT / "benchmarks" / "results" / "runner.csv"
TRAININGS = {"dataset": "digits", "step_rhos": [10.0], "step_mus": [0.5], "samplers": ["none"], "balanced": False,
             "iterations": 150, "replicates": 8}  # fmt: skip
CELLS = 10_000
#: What the project holds itself to.
BARS = {
    "two processes, times one": ">= 1.7",
    "two Dask workers, times one": ">= 1.7",
    "overhead a notebook, s": "<= 3",
    "10,000 finished cells resumed, s": "<= 5",
    "10,000 finished cells listed, s": "<= 2",
}


def seconds(call) -> float:
    """Seconds of the clock that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def job_of(store: Path, **options) -> jobs.Job:
    """Independent trainings with a store of their own."""
    options = {"store": str(store), "offline": True, **options}
    run = study.Run(systematic_study, TRAININGS, options, committed=store / "none")
    paper = jobs.Replication(4, systematic_study.STEM, None, systematic_study.__name__)
    return jobs.Job(paper, "benchmark", "demo", TRAININGS, options, run)


def with_processes(folder: Path) -> float:
    """How much faster two processes are than one; their start, with its imports, counts in both."""

    def through(n: int) -> None:
        run = job_of(folder / f"processes-{n}").study
        list(pool.results(run.module, run.cells, run.context, n, lambda cell: True, float("inf")))

    return seconds(lambda: through(1)) / seconds(lambda: through(2))


def with_dask(folder: Path) -> float:
    """How much faster a Dask cluster of this machine is with two workers than with one, both there already."""
    from distributed import Client, LocalCluster

    def through(client, name: str) -> None:
        (outcome,) = cluster.run(client, [job_of(folder / name)], "cpu", float("inf"))
        if outcome.status != "done":
            raise RuntimeError(f"{name}: {outcome.status}")

    workers = {"threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
    with LocalCluster(n_workers=2, **workers) as here, Client(here) as client:
        client.run(_load_all)
        two = seconds(lambda: through(client, "dask-2"))
        here.scale(1)
        client.wait_for_workers(1)
        while len(client.scheduler_info(n_workers=-1)["workers"]) > 1:
            time.sleep(0.1)
        one = seconds(lambda: through(client, "dask-1"))
    return one / two


def _load_all() -> None:
    """On a worker: the libraries and images of a training."""
    import torch

    from common.studies import systematic_study_training  # noqa: F401

    torch.set_num_threads(1)
    Context(Options(offline=True)).data("digits")


def overhead(folder: Path) -> float:
    """Seconds that a notebook with nothing in it takes from its start to its page, the second of two."""
    notebook = {
        "cells": [{"cell_type": "code", "source": "profile = ''", "metadata": {"tags": ["parameters"]}, "outputs": [],
                   "execution_count": None, "id": "a"}],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip
    path = folder / "7_empty.ipynb"
    path.write_text(json.dumps(notebook))
    os.environ["IMBALANCE_REPORTS"] = str(folder / "reports")
    job = jobs.Job(jobs.Replication(7, "empty", path, None), "demo", "demo", {}, {}, last=True)

    def run() -> None:
        with redirect_stdout(io.StringIO()) as out:
            (outcome,) = running.notebooks([job], float("inf"), 1)
        if outcome.status != "done":
            raise RuntimeError(out.getvalue())

    run()
    return seconds(run)


def ten_thousand(folder: Path) -> tuple[float, float]:
    """Seconds to find that all of ten thousand cells are finished, and to say of each what it is and why."""
    parameters = {**TRAININGS, "samplers": ["none", "oversampling"], "replicates": CELLS // 2}
    options = {"store": str(folder / "many"), "workers": 1, "offline": True}

    def made() -> study.Run:
        return study.Run(systematic_study, parameters, options, committed=folder / "none")

    first = made()
    metrics = [("auc", -1), ("accuracy", -1), *(("recall", k) for k in range(10))]
    rows = [
        {"method": method, "prior": "", "metric": metric, "class_label": label, "value": 0.123456789}
        for method in ("baseline", "thresholding")
        for metric, label in metrics
    ]
    curves = [{"method": "baseline", "curve": "loss", "x": list(range(20)), "y": [0.123456789] * 20}]
    for key, cell in first.keys.items():
        first.keep(key, Result(cell, rows, curves, {}, "ok", 1.0))
    if len(first.keys) != CELLS or made().execute().done != CELLS:  # the second also reads every file once
        raise RuntimeError("not all cells are there")
    again, listed = made(), made()
    return seconds(again.execute), seconds(listed.plan)


def main() -> None:
    """Measure all, and write the tables."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["IMBALANCE_STORE"] = str(folder / "store")
        resumed, listed = ten_thousand(folder)
        measured = [with_processes(folder), with_dask(folder), overhead(folder), resumed, listed]
    frame = pd.DataFrame({"measure": BARS.keys(), "measured": [round(value, 2) for value in measured],
                          "bar": BARS.values()})  # fmt: skip
    frame["met"] = [
        "yes" if (value >= float(bar[3:]) if bar.startswith(">=") else value <= float(bar[3:])) else "no"
        for value, bar in zip(frame["measured"], frame["bar"], strict=True)
    ]
    frame.to_csv(TABLE, index=False)
    about = [
        "# The runner", "",
        f"Written by `python benchmarks/runner.py` on {provenance.device_name('cpu')}; the load in the minute before "
        f"was {LOAD:.1f}. Bars hold for idle cores.", "",
    ]  # fmt: skip
    text = "\n".join([*about, tables.markdown(frame.columns, frame.to_numpy(dtype=object))]) + "\n"
    TABLE.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    LOAD = os.getloadavg()[0]
    main()
