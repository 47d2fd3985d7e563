"""A study without networks, for tests of running, storing and resuming: a cell's value is a hash of its fields."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from common.cells import Cell as BaseCell
from common.cells import Result
from common.errors import UserError
from common.seeds import seed

STEM = "toy"
VERSION = 1


@dataclass(frozen=True)
class Parameters:
    """`pause` seconds a cell; `log` a file that gets a line for every cell run; `fail_at` a number that fails."""

    dataset: str = "digits"
    numbers: tuple[int, ...] = (0, 1, 2, 3)
    replicates: int = 1
    pause: float = 0.0
    log: str = ""
    fail_at: int = -1

    def validate(self):
        if self.replicates < 1:
            raise UserError(f"replicates: {self.replicates}; expected at least 1")


@dataclass(frozen=True)
class Cell(BaseCell):
    number: int = 0
    pause: float = 0.0
    log: str = ""
    fail_at: int = -1


def cells(p):
    return [
        Cell(p.dataset, r, number=n, pause=p.pause, log=p.log, fail_at=p.fail_at)
        for r in range(p.replicates)
        for n in p.numbers
    ]


def run(cells, context):
    for cell in cells:
        if cell.number == cell.fail_at:
            raise RuntimeError(f"cell {cell.number} failed on purpose")
        time.sleep(cell.pause)
        if cell.log:
            with Path(cell.log).open("a") as file:
                file.write(f"{cell.number} {os.getpid()} {time.time()}\n")
        value = seed(cell.number, cell.replicate) / 2**63
        rows = [{"method": "hash", "prior": "", "metric": "value", "class_label": -1, "value": value}]
        curves = [{"method": "hash", "curve": "line", "x": [0, 1], "y": [0.0, value]}]
        yield Result(cell, rows, curves, {}, "diverged" if cell.number == 99 else "ok", cell.pause)


def deviations(parameters):
    return []
