"""Cells and running them: what a notebook, the command line and a machine with a GPU have in common.

A cell is the unit of work: a frozen dataclass of everything that decides a result. A study module (one a paper) lists
its cells and runs them; `Run` leaves out those already in the store, spreads the rest over processes or hands them to
the GPU in groups, and writes each down as soon as it is finished.
"""

from __future__ import annotations

import dataclasses
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice

import pandas as pd

from common import data, matching, planning, pool, provenance, typed
from common.cells import Cell, Context, Result, completed
from common.errors import UserError
from common.options import Options
from common.store import Store

FIRST = 16  # cells of a GPU's first group under a time budget
GROWTH = 4  # how many times larger a group may be than any before it, then


@dataclass(frozen=True)
class Summary:
    """Counts of an execution: cells asked for, found done, and run now by status (`ended`).

    `reason` is why the method of the first that failed could not be applied.
    """

    cells: int
    done: int
    ended: Counter
    seconds: float
    reason: str = ""

    @property
    def new(self) -> int:
        """Cells run now."""
        return self.ended.total()

    @property
    def failed(self) -> int:
        """Of those, cells whose method could not be applied to their data."""
        return self.ended["failed"]

    @property
    def diverged(self) -> int:
        """Of those, cells that were trained to no end."""
        return self.new - self.ended["ok"] - self.failed

    @property
    def left(self) -> int:
        """Cells for a later start."""
        return self.cells - self.done - self.new

    def __str__(self) -> str:
        text = f"{self.cells} cells: {self.done} already done, {self.new} run in {self.seconds:.0f} s"
        lost = [f"{self.diverged} diverged"] if self.diverged else []
        if self.failed:
            lost.append(f"{self.failed} could not be applied" + (f": {self.reason}" if self.reason else ""))
        text += f" ({'; '.join(lost)})" if lost else ""
        return text + (f", {self.left} left: start again to go on" if self.left else "")


def in_time(
    cells: Iterable[Cell], most: int, deadline: float, missing: Callable[[Cell], bool] = lambda cell: True
) -> Iterator[list[Cell]]:
    """Cells that are `missing` when it is their turn, in groups of at most `most`, as large as the time left allows.

    Under a deadline the first group is small, to learn what it takes. From then on a group that is not larger than an
    earlier one is taken to need at most its time, and a larger one proportionally more. None is larger than `GROWTH`
    times any before it: those may have been quick because an earlier start had trained them and was killed.
    """
    limited, taken, waiting = deadline != float("inf"), {}, filter(missing, cells)
    size = min(most, FIRST if limited else most)
    while size and time.monotonic() <= deadline and (part := list(islice(waiting, size))):
        begun = time.monotonic()
        yield part
        taken[len(part)] = max(taken.get(len(part), 0.0), time.monotonic() - begun)
        if limited:
            left, largest = deadline - time.monotonic(), max(taken)
            sizes = [size for size, seconds in taken.items() if seconds <= left]
            if largest in sizes:
                sizes.append(min(most, GROWTH * largest, int(largest * left / max(taken[largest], 1e-9))))
            size = max(sizes, default=0)


class Run:
    """One study with one set of parameters.

    Parameters
    ----------
    module : module
        A study: STEM, VERSION, Parameters, cells, run, and optionally check.
    parameters, options : mapping
        Values for the module's `Parameters` and for `Options`; missing ones keep their defaults.
    committed : path or None
        Folder of the store's lower layer.

    Raises
    ------
    UserError
        If a name is unknown or a value is not what it should be; before any work.
    """

    def __init__(self, module, parameters: Mapping | None = None, options: Mapping | None = None, committed=None):
        provenance.code_version()  # of the source as it is loaded, which may change before the first cell is kept
        self.module = module
        self.parameters = _construct(module.Parameters, parameters or {}, module.STEM)
        if hasattr(self.parameters, "validate"):
            self.parameters.validate()
        self.options = _construct(Options, options or {}, "options")
        self.store = Store(self.options.store_path(), committed)
        self.context = Context(self.options)
        self.cells = module.cells(self.parameters)
        if not self.cells:
            raise UserError(f"{module.STEM}: these parameters give no cell to run; ask for at least one setting")

    @classmethod
    def of(cls, module, namespace: Mapping) -> Run:
        """From a notebook's globals: its parameters cell holds exactly the fields of `Options` and `Parameters`."""
        options, parameters = (
            {f.name: namespace[f.name] for f in dataclasses.fields(kind) if f.name in namespace}
            for kind in (Options, module.Parameters)
        )
        return cls(module, parameters, options)

    def stand_in(self) -> bool:
        """Whether any of this run's data stands in for a paper's."""
        return any(self._stands_in(cell) for cell in self.cells)

    def _stands_in(self, cell: Cell) -> bool:
        """A reader's own images compare with no paper either, also where only their path names them."""
        images = self._data(cell)[0]
        return images.stand_in or images.name.startswith("folder:")

    # -- what there is to do ------------------------------------------------------------------------------------------

    def fingerprint(self, cell: Cell) -> str:
        """Fingerprint of the cell's training and test images together."""
        return "-".join(part.fingerprint[:16] for part in self._data(cell))

    def _data(self, cell: Cell) -> tuple[data.Images, data.Images]:
        return self.context.data(cell.dataset, getattr(cell, "image_size", 0))

    @cached_property
    def keys(self) -> dict[str, Cell]:
        """Key to cell, in the order they run."""
        module = self.module
        return {c.key(module.STEM, module.VERSION, self.fingerprint(c)): c for c in self.cells}

    def missing(self) -> dict[str, Cell]:
        """The cells that are not in the store, or all with `refresh`."""
        done = set() if self.options.refresh else self.store.sound(self.module.STEM, set(self.keys))
        return {key: cell for key, cell in self.keys.items() if key not in done}

    def plan(self) -> pd.DataFrame:
        """One row per cell: its fields, `state` (done, missing, stale) and `why`; see `planning.plan`."""
        return planning.plan(self, provenance.code_version())

    # -- doing it -----------------------------------------------------------------------------------------------------

    def execute(self, progress: Callable | None = None) -> Summary:
        """Run what is missing; each finished cell is in the store at once.

        Parameters
        ----------
        progress : callable or None
            Wraps the iterator of results, as `tqdm` does (gets ``total=``).
        """
        pool.end_if_unguarded()
        started = time.monotonic()
        missing = self.missing()
        if hasattr(self.module, "check"):
            self.module.check(list(missing.values()), self.context)
        names = {cell: key for key, cell in missing.items()}
        results = self._results(list(missing.values()), started + self.options.seconds(), names)
        if progress is not None:
            results = progress(results, total=len(missing))
        ended, reason = Counter(), ""
        for result in results:
            self.keep(names[result.cell], result)
            ended[result.status] += 1
            if result.status == "failed":
                reason = reason or result.columns.get("reason", "")
        seconds, total = time.monotonic() - started, len(self.keys)
        return Summary(total, total - len(missing), ended, seconds, reason)

    def _results(self, cells: list[Cell], deadline: float, names: Mapping[Cell, str]) -> Iterator[Result]:
        def still_missing(cell: Cell) -> bool:
            """Another run on the same store may have finished it since."""
            return self.options.refresh or not self.store.has(self.module.STEM, names[cell])

        workers = min(self.options.workers or pool.cores(), len(cells))
        if self.options.device == "cpu" and workers > 1:
            yield from pool.results(self.module, cells, self.context, workers, still_missing, deadline)
            return
        if self.options.device == "cpu":
            pool.one_thread()  # the same numbers whether a cell runs here or in a process of its own
        most = 1
        if self.options.device == "cuda":
            from common import footprint

            most = max(getattr(self.module, "GROUP", 256), footprint.asked())
        for part in in_time(cells, most, deadline, still_missing):
            yield from self.module.run(part, self.context)

    def keep(self, key: str, result: Result) -> None:
        """Write a finished cell down in the store."""
        common = {
            **dataclasses.asdict(result.cell),
            **result.columns,
            "study": self.module.STEM,
            "version": self.module.VERSION,
            "profile": self.options.profile,
            "stand_in": self._stands_in(result.cell),
            "status": result.status,
            "train_seconds": result.seconds,
            "device": provenance.device_name(self.options.device),
            "code_version": provenance.code_version(),
            "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self.store.put(self.module.STEM, {"key": key, "common": common, "rows": result.rows, "curves": result.curves})
        for file in result.held:
            file.unlink(missing_ok=True)

    # -- what came out ------------------------------------------------------------------------------------------------

    def frame(self) -> pd.DataFrame:
        """Rows of this run's finished cells, with all their fields."""
        return completed(self.store.frame(self.module.STEM, set(self.keys)), self.module.Cell)

    def curves(self, keys: Iterable[str] | None = None) -> pd.DataFrame:
        """Curves of the finished cells with these keys (None: this run's)."""
        return self.store.curves(self.module.STEM, set(self.keys if keys is None else keys))

    def measured(self) -> pd.DataFrame:
        """Rows of all finished cells on real data at the study's present version, of whatever run; see `measured`."""
        return measured(self.module, self.store)

    def measured_curves(self) -> pd.DataFrame:
        """Curves of the cells of `measured`, with the cells' own columns."""
        frame = self.measured()
        cells = frame.drop_duplicates("key").drop(columns=["method", "prior", "metric", "class_label", "value"])
        curves = self.store.curves(self.module.STEM, set(frame["key"]))
        # Keys of no rows are no text, and would not merge.
        return curves.astype({"key": object}).merge(cells.astype({"key": object}), on="key")

    def provenance(self) -> dict[str, str]:
        """Versions, hardware and source digest of this run."""
        rows = {"profile": self.options.profile, "device": provenance.device_name(self.options.device)}
        rows |= {"Python": platform.python_version()} | provenance.versions()
        rows |= {"study version": str(self.module.VERSION), "source digest": provenance.code_version()}
        return rows | {"date": datetime.now(UTC).strftime("%Y-%m-%d")}


def measured(module, store: Store) -> pd.DataFrame:
    """Rows of all finished cells of a study on real data, at its present version, with all fields of its cells.

    Where a study trains several networks of which one counts, its `selected` says which. Of trainings that differ only
    in what decides no result, such as what was recorded beside the scores, the first counts.
    """
    frame = store.frame(module.STEM)
    frame = frame[(frame["version"] == module.VERSION) & ~frame["stand_in"].astype(bool)].reset_index(drop=True)
    frame = completed(frame, module.Cell)
    frame = module.selected(frame) if hasattr(module, "selected") else frame
    return _one_training(frame, getattr(module, "NOT_DESIGN", ()))


def _one_training(frame: pd.DataFrame, recorded: Iterable[str]) -> pd.DataFrame:
    """Without the rows that a later training has of a cell and replicate that an earlier one has, too."""
    if frame.empty:
        return frame
    # Arms that claims pair may each have their own learning rate, but it decides what comes out.
    own = matching.design(frame.drop(columns=[c for c in recorded if c in frame]))
    place = ["metric", "replicate", "learning_rate", *own]
    place = [column for column in place if not column.startswith("seed")]
    numbers = frame.groupby(place, dropna=False, sort=False).ngroup()
    aged = frame[["key"]].assign(number=numbers, created=frame["created"]).sort_values("created", kind="stable")
    return frame[aged.groupby("number")["key"].transform("first").reindex(frame.index) == frame["key"]]


def _construct(kind, values: Mapping, where: str):
    return kind(**typed.check(values, typed.field_types(kind), where))
