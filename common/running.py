"""Running what was planned on this machine: notebooks in processes of their own, or the cells right here."""

from __future__ import annotations

import time
import traceback

from common import execution, jobs, memory, outcomes, progress
from common.outcomes import DONE, FAILED, GO_ON, Outcome

POLL = 0.2  # seconds between looks at the children
STAGGER = 1.0  # seconds between two starts: kernels that start together race for ports


def here(planned: list[jobs.Job], deadline: float) -> list[Outcome]:
    """Run the cells of each job in this process and those below it, one job after the other."""
    from common import study

    found = []
    for job in planned:
        started = time.monotonic()
        if deadline <= started:
            found.append(Outcome(job, f"not started, {GO_ON}"))
            continue
        options = jobs.with_budget(job, deadline - started)
        try:
            run = study.Run(job.paper.module(), job.parameters, options)
            summary = run.execute(progress=progress.bar(str(job)))
        except Exception:
            traceback.print_exc()
            found.append(Outcome(job, FAILED, time.monotonic() - started))
            continue
        finally:
            if options.get("device") == "cuda":
                from common import resident

                resident.release()
        print(f"{job}: {summary}")
        found.append(outcomes.of(job, summary.left, time.monotonic() - started))
    return found


def on_cluster(planned: list[jobs.Job], deadline: float, address: str, device: str) -> list[Outcome]:
    """Run the cells of all jobs on a Dask cluster."""
    from common import cluster, cluster_workers

    stores = {job.study.options.store_path() for job in planned if job.study}
    with cluster_workers.connected(address) as client:
        for store in stores:
            cluster_workers.check(client, device, store)
        return cluster.run(client, planned, device, deadline)


def on_cluster_then_notebooks(
    planned: list[jobs.Job], deadline: float, slots: int, address: str, device: str
) -> list[Outcome]:
    """Run the cells on a Dask cluster, then here the notebooks whose cells are done, which show them."""
    measured = on_cluster(planned, deadline, address, device)
    complete = [jobs.unrefreshed(outcome.job) for outcome in measured if outcome.status == DONE]
    shown = iter(notebooks(complete, deadline, slots))
    return [next(shown) if outcome.status == DONE else outcome for outcome in measured]


def notebooks(planned: list[jobs.Job], deadline: float, slots: int) -> list[Outcome]:
    """Run each job in a process of its own, `slots` at once; a failed one does not stop the others."""
    waiting, running, found, told = list(planned), [], {}, set()
    line, room = progress.StatusLine(planned), Room()
    try:
        while waiting or running:
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                found[one.job] = outcome = _ended(one)
                line.say(f"{one.job}: {outcome.status} in {outcome.seconds:.0f} s")
                if outcome.status == FAILED:
                    line.say(execution.failure(one))
            while waiting and len(running) < slots:
                job = next((job for job in waiting if _may_start(job, waiting, running)), None)
                if job is None:
                    break
                if lack := room.lack(running):
                    if job not in told:
                        told.add(job)
                        line.say(f"{job}: waits, {lack}")
                    break
                waiting.remove(job)
                if outcome := _without_running(job, deadline):
                    found[job] = outcome
                    continue
                if running:
                    time.sleep(STAGGER)
                line.say(f"{job}: started ({len(planned) - len(waiting)} of {len(planned)})")
                running.append(execution.start(job, slots, deadline - time.monotonic()))
            line.update(running, len(found))
            time.sleep(POLL)
    except BaseException:
        line.clear()
        execution.stop(running)
        raise
    line.clear()
    return [found[job] for job in planned]


class Room:
    """Whether there is memory for another run, which is taken to need what the largest so far has needed."""

    def __init__(self):
        self._largest = memory.RESERVE

    def lack(self, running: list[execution.Started]) -> str:
        """Why another run has to wait, or ""; the first has not, since no waiting would help it."""
        if not running:
            return ""
        self._largest = max(self._largest, *(memory.used(one.process.pid) for one in running))
        free = memory.free()
        if free >= self._largest:
            return ""
        return f"{memory.shown(free)} of memory are free and {memory.shown(self._largest)} wanted"


def _may_start(job: jobs.Job, waiting: list[jobs.Job], running: list[execution.Started]) -> bool:
    """A stem's last run renders the page of all, so it waits for the others.

    A notebook without cells waits for all that measure: it shows what they have.
    """
    others = [*waiting, *(one.job for one in running)]
    if job.study is None and any(other.study is not None for other in others):
        return False
    return not job.last or not any(other.paper == job.paper and other is not job for other in others)


def _without_running(job: jobs.Job, deadline: float) -> Outcome | None:
    """What becomes of a job that is not started, because time is up or there is nothing to do; None for the others."""
    if deadline <= time.monotonic():
        return Outcome(job, f"not started, {GO_ON}")
    if execution.settled(job):
        return Outcome(job, "done before", report=execution.page(job) if job.last else None)
    return None


def _ended(one: execution.Started) -> Outcome:
    """What became of a run whose process has ended."""
    job, seconds = one.job, time.monotonic() - one.since
    if one.process.returncode:
        return Outcome(job, FAILED, seconds, one.log)
    report = execution.page(job) if job.last else execution.output(job)
    # With --refresh every cell counts as missing, so what was left cannot be told from here.
    left = 0 if job.study is None or job.options.get("refresh") else len(job.study.missing())
    return outcomes.of(job, left, seconds, report)
