"""One experiment of paper 3, five pairs or ablation, with its figures: what notebook 3 and the overview show."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from common import plots
from common.names import named
from common.studies import class_specific_extrapolation_figures as figures
from common.studies import class_specific_extrapolation_latent_figures as latent_figures
from common.studies.class_specific_extrapolation_protocol import METHODS
from common.studies.class_specific_extrapolation_selection import main_rows


@dataclass(frozen=True)
class Experiment:
    """Rows and curves of one width of the head and one number of iterations; false where nothing was measured.

    Parameters
    ----------
    frame : DataFrame
        Result rows that did not diverge.
    curves : DataFrame
        Their curves, with rho and replicate.
    diverged : int
        Cells left out.
    """

    frame: pd.DataFrame
    curves: pd.DataFrame
    diverged: int

    def __bool__(self) -> bool:
        return len(self.frame) > 0

    @property
    def pairs(self) -> list[str]:
        """Names of the extrapolated pairs."""
        return figures.pairs_of(self.frame) if self else []

    @property
    def note(self) -> str:
        """What was measured, in a sentence."""
        if not self:
            return "Not measured yet."
        first = self.frame.iloc[0]
        counted = self.frame.drop_duplicates("key")
        backbones = counted["replicate"].nunique()
        return (
            f"{named(first['dataset'])}, {first['network']} with fully connected layers of {first['hidden']:,}; "
            f"{first['epochs']} epochs, then {first['iterations']} iterations of {first['head_epochs']}; "
            f"{len(counted)} heads on {backbones} backbone{'s' * (backbones > 1)}, {self.diverged} diverged."
        )

    def table(self, metric: str) -> pd.DataFrame:
        """A metric by method and pair."""
        return figures.by_pair(self.frame, metric)

    @property
    def figure_1(self) -> plots.Chart | None:
        """Precision-recall curves of every pair."""
        return figures.figure_1(self.curves, self.pairs) if self else None

    @property
    def figure_2(self) -> plots.Chart | None:
        """Precision-recall curves of one pair at every ratio."""
        return figures.figure_2(self.curves, self.pairs[0]) if self else None

    @property
    def gains(self) -> plots.Chart | None:
        """Gain in PR-AUC over no extrapolation."""
        return figures.gains(self.frame) if self else None

    @property
    def course(self) -> plots.Chart | None:
        """PR-AUC over the iterations."""
        return figures.course(self.curves, self.pairs) if self else None

    @property
    def closeness_map(self) -> plots.Chart | None:
        """Distances of class means."""
        return latent_figures.closeness_map(self.frame) if self else None

    @property
    def pictures(self) -> plots.Chart | None:
        """Latents in a plane, with the samples of the asymmetric bias."""
        return latent_figures.pictures(self.curves, self.pairs, METHODS["asymmetric"]) if self else None


def experiment(frame: pd.DataFrame, curves: pd.DataFrame, ablation: bool) -> Experiment:
    """The rows of one experiment that are shown together.

    Parameters
    ----------
    frame, curves : DataFrame
        As `study.Run` gives them, measured or of a run.
    ablation : bool
        The ablation on the size of the minor class; else the five pairs.
    """
    chosen = main_rows(frame, ablation)
    if chosen.empty:
        return Experiment(chosen, curves.iloc[:0], 0)
    diverged = chosen.loc[chosen["status"] != "ok", "key"].nunique()
    chosen = chosen[chosen["status"] == "ok"]
    cells = chosen[["key", "rho", "replicate"]].drop_duplicates("key")
    return Experiment(chosen, curves[["key", "method", "curve", "x", "y"]].merge(cells, on="key"), diverged)
