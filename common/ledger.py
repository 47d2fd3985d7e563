"""What was measured of each paper, and every claim with its verdict: what site and README are made of."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from common import paths
from common.papers import Paper

COLUMNS = (
    "paper stem id statement where test metric direction over scale n cells effect low high value margin verdict "
    "verdict_note note changed data headline"
).split()


@dataclass(frozen=True)
class Findings:
    """What was measured of one paper.

    Parameters
    ----------
    paper : Paper
    frame : DataFrame
        The measured rows that count; empty where there are none.
    summary : str
        What was measured, in the words of the study; "" where nothing was.
    claims : DataFrame
        Its claims with their verdicts, `COLUMNS`, in the order of the claims file.
    """

    paper: Paper
    frame: pd.DataFrame
    summary: str
    claims: pd.DataFrame

    @property
    def cost(self) -> str:
        """What the trainings of `frame` took, summed, and on what; "" where nothing was measured."""
        if self.frame.empty:
            return ""
        cells = self.frame.drop_duplicates("key")
        hours = cells.groupby("device", sort=False)["train_seconds"].sum() / 3600
        # A training has one thread on a processor, named with its cores (`provenance.device_name`), a share of a GPU.
        units = {device: "core hours" if device.endswith("cores") else "GPU hours" for device in hours.index}
        return "; ".join(f"{spent:.1f} {units[device]} of training on {device}" for device, spent in hours.items())


def findings(paper: Paper, results: Path | None = None) -> Findings:
    """What was measured of a paper, with its claims judged.

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
    results = Path(results) if results else paths.RESULTS
    frame = measured(paper, results)
    module = _study(paper, results)
    summary = module.summary(frame) if len(frame) else ""
    return Findings(paper, frame, summary, _judged(paper, frame, module))


def ledger(found: list[Findings]) -> pd.DataFrame:
    """All claims of all papers with their verdicts, in the order of papers and files."""
    return pd.concat([one.claims.astype(object) for one in found], ignore_index=True).infer_objects()


def measured(paper: Paper, results: Path) -> pd.DataFrame:
    """Rows of a paper's measured results that count; empty where there are none."""
    from common import study
    from common.store import Store

    module = _study(paper, results)
    return pd.DataFrame() if module is None else study.measured(module, Store(results / "no-store", results))


def _study(paper: Paper, results: Path):
    """The paper's study module if there are results; without them its import would only cost time."""
    name = f"common.studies.{paper.stem}"
    if not (results / f"{paper.stem}.parquet").exists() or not importlib.util.find_spec(name):
        return None
    return importlib.import_module(name)


def _judged(paper: Paper, frame: pd.DataFrame, module) -> pd.DataFrame:
    if not (paths.PUBLISHED / f"{paper.stem}_claims.yaml").exists():
        return pd.DataFrame(columns=COLUMNS)
    from common import claims

    stated = claims.load(paper.stem)
    verdicts = claims.evaluate(stated, frame, study_module=module).assign(paper=paper.number, stem=paper.stem)
    return verdicts.assign(headline=[claim.headline for claim in stated]).reindex(columns=COLUMNS)
