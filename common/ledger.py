"""What was measured of each paper, and every claim with its verdict: what site and README are made of."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

import pandas as pd

from common import paths
from common.errors import UserError
from common.papers import PAPERS, Paper

COLUMNS = (
    "paper stem id statement where test metric quantity direction over scale n cells effect low high value margin "
    "verdict verdict_note note changed data headline"
).split()


@dataclass(frozen=True)
class Findings:
    """What was measured of one paper.

    Parameters
    ----------
    paper : Paper
    module : module or None
        Its study; None where nothing was measured.
    frame : DataFrame
        The measured rows that count; empty where there are none.
    """

    paper: Paper
    module: ModuleType | None
    frame: pd.DataFrame

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Its claims with their verdicts, `COLUMNS`, in the order of the claims file."""
        if not (paths.PUBLISHED / f"{self.paper.stem}_claims.yaml").exists():
            return pd.DataFrame(columns=COLUMNS)
        from common import claims

        stated = claims.load(self.paper.stem)
        verdicts = claims.evaluate(stated, self.frame, study_module=self.module)
        own = {"paper": self.paper.number, "stem": self.paper.stem, "headline": [claim.headline for claim in stated]}
        return verdicts.assign(**own).reindex(columns=COLUMNS)

    @property
    def summary(self) -> str:
        """What was measured, in the words of the study; "" where nothing was.

        Raises
        ------
        UserError
            If the study has no function that says it.
        """
        if self.frame.empty:
            return ""
        if not hasattr(self.module, "summary"):
            name = self.module.__name__
            raise UserError(f"{name}: no function summary; add one that says in a sentence what was measured")
        return self.module.summary(self.frame)

    @property
    def cost(self) -> str:
        """What its trainings took, summed, and on what; "" where nothing was measured."""
        if self.frame.empty:
            return ""
        cells = self.frame.drop_duplicates("key")
        hours = cells.groupby("device", sort=False)["train_seconds"].sum() / 3600
        # A training has one thread on a processor, named with its cores (`provenance.device_name`), a share of a GPU.
        units = {device: "core hours" if device.endswith("cores") else "GPU hours" for device in hours.index}
        spent = "; ".join(f"{time:.1f} {units[device]} of training on {device}" for device, time in hours.items())
        return spent + (f", without {self.module.UNCOUNTED}" if hasattr(self.module, "UNCOUNTED") else "")


def findings(paper: Paper, results: Path | None = None) -> Findings:
    """What was measured of a paper.

    Parameters
    ----------
    paper : Paper
    results : Path, optional
        Folder of ``<stem>.parquet`` (default: the committed ones).

    Raises
    ------
    UserError
        If a file of claims or results is not as it should be.
    """
    from common import study
    from common.store import Store

    results = Path(results) if results else paths.RESULTS
    module = _study(paper, results)
    frame = study.measured(module, Store(results / "no-store", results)) if module else pd.DataFrame()
    return Findings(paper, module, frame)


def everything(results: Path | None = None) -> list[Findings]:
    """`findings` of all papers."""
    return [findings(paper, results) for paper in PAPERS]


def ledger(found: list[Findings]) -> pd.DataFrame:
    """All claims of all papers with their verdicts, in the order of papers and files."""
    return pd.concat([one.claims.astype(object) for one in found], ignore_index=True).infer_objects()


def by_chance(claims: pd.DataFrame) -> str:
    """How many verdicts may be wrong by chance alone, as a sentence; "" where no claim has an interval.

    A verdict is wrong if its interval lies wholly on one side of a bound and the effect does not, so that one end of
    the interval has missed; of an equivalence, too, only one end can. Several groups do not make it likelier: a claim
    is wrong if all of them are, or if any one is at the level corrected for their number. Undecided claims count, for
    their intervals might have missed as well.

    Parameters
    ----------
    claims : DataFrame
        As `ledger` returns it.
    """
    from common.statistics import LEVEL

    tried = claims[claims["low"].notna() & (claims["verdict"] != "no data")]
    if tried.empty:
        return ""
    decided, chance = int((tried["verdict"] != "undecided").sum()), (1 - LEVEL) / 2
    return (
        f"Each claim is judged for itself; nothing is corrected for their number. If every effect lay exactly at the "
        f"bound of its claim, each verdict would be wrong with a chance of at most {100 * chance:g}%, one end of "
        f"a {100 * LEVEL:g}% interval: up to {chance * len(tried):.1f} of the {len(tried)} claims with an interval, of "
        f"which {decided} {'is' if decided == 1 else 'are'} decided. Effects away from their bounds make it fewer. "
        "Where claims stayed undecided replicates were added and they were judged again; each look is one more chance, "
        "which this count leaves out."
    )


def _study(paper: Paper, results: Path):
    """The paper's study module if there are results; without them its import would only cost time."""
    name = f"common.studies.{paper.stem}"
    if not (results / f"{paper.stem}.parquet").exists() or not importlib.util.find_spec(name):
        return None
    return importlib.import_module(name)
