"""The papers that there is a replication of: notebooks, studies, and those of them that --only names."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from common import paths
from common.errors import UserError, unknown
from common.papers import PAPERS


def notebooks_root() -> Path:
    """Folder of the notebooks and grids.yaml (IMBALANCE_NOTEBOOKS, for tests)."""
    return Path(os.environ.get("IMBALANCE_NOTEBOOKS") or paths.NOTEBOOKS)


def reports_root() -> Path:
    """Folder that pages and executed notebooks go to (IMBALANCE_REPORTS, for tests)."""
    return Path(os.environ.get("IMBALANCE_REPORTS") or paths.REPORTS)


@dataclass(frozen=True)
class Replication:
    """What there is of a paper: its number, stem, notebook and name of its study module; either may be None."""

    number: int
    stem: str
    notebook: Path | None
    study: str | None

    def __str__(self) -> str:
        return f"{self.number}_{self.stem}"

    @property
    def title(self) -> str:
        """The paper's title; the stem's words where it is no paper's."""
        titles = {paper.stem: paper.title for paper in PAPERS}
        return titles.get(self.stem, self.stem.replace("_", " ").capitalize())

    def module(self) -> ModuleType | None:
        """Its study, imported."""
        return importlib.import_module(self.study) if self.study else None


def replications(with_notebook: bool) -> list[Replication]:
    """All papers by number; those with a notebook, or those with a study module.

    A notebook without a study, such as the overview, shows what the others measured, so it comes last.
    """
    import common.studies

    notebooks = {}
    for path in notebooks_root().glob("*.ipynb"):
        if match := re.fullmatch(r"(\d+)_(\w+)", path.stem):
            notebooks[match[2]] = (int(match[1]), path)
    # Beside the studies, common/studies may hold helpers of theirs: only a paper's or a notebook's stem makes a study.
    modules = {module.name: f"common.studies.{module.name}" for module in pkgutil.iter_modules(common.studies.__path__)}
    if with_notebook:
        found = [Replication(number, stem, path, modules.get(stem)) for stem, (number, path) in notebooks.items()]
    else:
        found = [Replication(p.number, p.stem, None, modules[p.stem]) for p in PAPERS if p.stem in modules]
    return sorted(found, key=lambda paper: (paper.study is None, paper.number, paper.stem))


def select(there_are: list[Replication], only: list[str]) -> list[Replication]:
    """Those that --only names, by number, stem or both, in the order of the papers; all when it names none."""

    def names(p):
        return str(p.number), p.stem, f"{p.number}_{p.stem}"

    wanted = [name.strip() for part in only for name in part.split(",")]
    for name in wanted:
        if any(name in names(p) for p in there_are):
            continue
        if any(name in names(p) for p in PAPERS):
            listed = ", ".join(map(str, there_are)) or "none"
            raise UserError(f"--only {name}: this paper has no notebook or no study here; there are {listed}")
        if any(name in names(p) for p in replications(True)):  # asked for without notebooks
            raise UserError(
                f"--only {name}: a notebook without cells of its own, which --no-notebook leaves nothing of"
            )
        raise unknown("notebook", name, [str(p) for p in there_are])
    return [p for p in there_are if not only or set(names(p)) & set(wanted)]
