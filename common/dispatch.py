"""What begins next: the one loop that feeds the processes of this machine and the workers of a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait

LOOK = 5.0  # seconds after which slots are counted again, though nothing has ended


def dispatch(
    units: Iterable,
    submit: Callable[..., Future],
    slots: Callable[[], int],
    shares: Callable[..., Hashable],
    wanted: Callable[..., bool],
    deadline: float,
) -> Iterator[tuple[object, Future]]:
    """Submit units, as many at once as there are slots, and give each back with its future when that has ended.

    Of units that share something costly the first runs without the others, which would only wait for what it makes.

    Parameters
    ----------
    units : iterable
        In the order they should begin.
    submit : callable
        Unit to future.
    slots : callable
        How many may run at once; asked again and again, because workers come and go.
    shares : callable
        Unit to the name of what it shares with others; None for nothing.
    wanted : callable
        Whether a unit whose turn it is has still to be run.
    deadline : float
        On the monotonic clock, in seconds; no unit begins that could end later, going by the slowest so far.

    Yields
    ------
    unit, future
        The future is done: finished, failed or cancelled.
    """
    pending, running, slowest = list(units), {}, 0.0
    seen, making = {None}, set()

    def take():
        """The first unit that need not wait for another, None if there is none."""
        while (at := next((i for i, unit in enumerate(pending) if shares(unit) not in making), None)) is not None:
            unit = pending.pop(at)
            if wanted(unit):
                return unit
        return None

    while True:
        while len(running) < slots() and time.monotonic() + slowest <= deadline and (unit := take()) is not None:
            if shares(unit) not in seen:
                seen.add(shares(unit))
                making.add(shares(unit))
            running[submit(unit)] = (unit, time.monotonic())
        if not running:
            return
        for future in wait(running, timeout=LOOK, return_when=FIRST_COMPLETED).done:
            unit, begun = running.pop(future)
            slowest = max(slowest, time.monotonic() - begun)
            making.discard(shares(unit))
            yield unit, future
