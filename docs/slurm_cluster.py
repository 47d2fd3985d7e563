"""A Dask cluster of SLURM jobs, for ``./run_all.sh ... --scheduler ADDRESS``; see docs/cluster.md.

    python docs/slurm_cluster.py --jobs 10 --cores 16 --partition cpu --walltime 08:00:00
    python docs/slurm_cluster.py --jobs 4 --gpu --cores 4 --partition gpu --walltime 08:00:00

It submits the jobs, prints the scheduler's address and stays until Ctrl-C, which ends the jobs. ``--print`` shows the
job script instead and submits nothing. Adapt it to your cluster: partitions, accounts and modules differ everywhere.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from shlex import quote

ROOT = Path(__file__).resolve().parent.parent


def parser() -> argparse.ArgumentParser:
    """The script's options."""
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    p.add_argument("--jobs", type=int, default=1, help="SLURM jobs (default 1)")
    p.add_argument("--cores", type=int, default=1, help="cores of a job, each a worker of one thread (default 1)")
    p.add_argument("--memory", help="memory of a job (default 4 GB a worker, 32 GB with --gpu)")
    p.add_argument("--gpu", action="store_true", help="one GPU and one worker a job, for --device cuda")
    p.add_argument("--partition", help="SLURM's partition")
    p.add_argument("--account", help="SLURM's account")
    p.add_argument("--walltime", default="01:00:00", help="time limit of a job (default one hour)")
    p.add_argument("--setup", action="append", default=[], metavar="LINE", help="a shell line before the workers start")
    p.add_argument("--print", action="store_true", help="print the job script and submit nothing")
    return p


def cluster(asked: argparse.Namespace):
    """The cluster, without jobs yet: its scheduler runs here, the workers in SLURM jobs."""
    from dask_jobqueue import SLURMCluster

    workers = 1 if asked.gpu else asked.cores
    return SLURMCluster(
        n_workers=0,
        # One thread a worker whatever the number of cores: the numbers of a cell must not depend on where it runs.
        cores=workers,
        processes=workers,
        job_cpu=asked.cores,
        memory=asked.memory or f"{32 if asked.gpu else 4 * workers} GB",
        queue=asked.partition,
        account=asked.account,
        walltime=asked.walltime,
        python=quote(sys.executable),
        job_extra_directives=["--gres=gpu:1"] if asked.gpu else [],
        # SLURM ends a job that takes more than it asked for; Dask would give each worker an equal share of that.
        worker_extra_args=["--no-dashboard", "--memory-limit", "0", *(["--resources", "GPU=1"] if asked.gpu else [])],
        job_script_prologue=[
            *asked.setup,
            f"cd {quote(str(ROOT))}",
            f"export PYTHONPATH={quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}}",
            "export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1",
        ],
        scheduler_options={"dashboard_address": "127.0.0.1:8787"},
    )


def main(argv: list[str] | None = None) -> int:
    """Start the cluster and stay until told to stop."""
    asked = parser().parse_args(argv)
    with cluster(asked) as made:
        if asked.print:
            print(made.job_script())
            return 0
        made.scale(jobs=asked.jobs)
        device = " --device cuda" if asked.gpu else ""
        print(f"./run_all.sh paper --scheduler {made.scheduler_address}{device} --store DIR --data DIR", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("ending the jobs")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
