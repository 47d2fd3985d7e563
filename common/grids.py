"""What to run: the grids of `notebooks/grids.yaml`, expanded and checked before anything starts.

>>> [run.name for run in expand("reduced", "systematic_study")]
['original', 'cifar10-short', 'reduced-ratios', 'normalised', 'grid']
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import paths
from common.errors import UserError, unknown
from common.options import PROFILES
from common.typed import yaml_loader

ENTRY = ("run", "parameters", "grid", "optional")


@dataclass(frozen=True)
class GridRun:
    """One execution of a notebook: its name within the profile, and what differs from the notebook's defaults.

    An optional one is left out, and that is said, where its data set cannot be had.
    """

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    optional: bool = False


def load(folder: Path | None = None) -> dict[str, dict[str, list]]:
    """profile -> stem -> entries as written in ``<folder>/grids.yaml``; only its outer form is checked here."""
    import yaml

    path = (folder or paths.NOTEBOOKS) / "grids.yaml"
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml_loader()) or {}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected profile -> stem -> list of runs")
    for profile, stems in content.items():
        if profile not in PROFILES:
            raise UserError(f"{path}: {unknown('profile', profile, PROFILES)}")
        if not isinstance(stems, dict) or not all(isinstance(runs, list) and runs for runs in stems.values()):
            raise UserError(f"{path}: {profile}: expected stem -> list of {{run, parameters, grid}}")
    return content


def expand(profile: str, stem: str, overrides: Mapping | None = None, folder: Path | None = None) -> list[GridRun]:
    """The runs of a stem in a profile, grids multiplied out.

    Parameters
    ----------
    profile, stem : str
    overrides : mapping, optional
        Values that win over the file's (``--set``); a grid over such a name collapses.
    folder : Path, optional
        Folder of grids.yaml; by default `paths.NOTEBOOKS`.

    Returns
    -------
    list of GridRun
        In the file's order, with unique names; empty when the profile has no runs of the stem.

    Raises
    ------
    UserError
        For an unknown profile or a malformed entry, naming it.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    overrides = dict(overrides or {})
    runs: list[GridRun] = []
    for entry in load(folder).get(profile, {}).get(stem, []):
        where = f"grids.yaml: {profile}: {stem}"
        if not isinstance(entry, dict):
            raise UserError(f"{where}: {entry!r}; expected {{run, parameters, grid}}")
        for key in entry:
            if key not in ENTRY:
                raise UserError(f"{where}: {unknown('key', key, ENTRY)}")
        name, fixed, grid = entry.get("run"), entry.get("parameters") or {}, entry.get("grid") or {}
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise UserError(f"{where}: run {name!r}; expected a name of letters, digits, - and _")
        if not isinstance(fixed, dict) or not isinstance(grid, dict):
            raise UserError(f"{where}: {name}: parameters and grid map names to values")
        if not isinstance(entry.get("optional", False), bool):
            raise UserError(f"{where}: {name}: optional {entry['optional']!r}; expected true or false")
        for axis, values in grid.items():
            if not isinstance(values, list) or not values:
                raise UserError(f"{where}: {name}: grid {axis!r} is {values!r}; expected a list of values")
            if axis in fixed:
                raise UserError(f"{where}: {name}: {axis!r} is in both parameters and grid")
        grid = {axis: values for axis, values in grid.items() if axis not in overrides}
        for point in itertools.product(*grid.values()):
            suffix = "".join("-" + re.sub(r"[^A-Za-z0-9.]+", "_", str(value)).strip("_") for value in point)
            parameters = {**fixed, **dict(zip(grid, point, strict=True)), **overrides}
            runs.append(GridRun(name + suffix, parameters, entry.get("optional", False)))
    names = [run.name for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"grids.yaml: {profile}: {stem}: two runs are called {name!r}")
    return runs
