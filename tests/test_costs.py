"""What runs cost, on made-up results of one study."""

import pandas as pd
import pytest

from common import costs, grids
from common.studies import multiscale_transfer as study

RUN = {"arms": ["baseline", "oversampling"], "ratios": [2, 5], "replicates": 2}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Of one run's eight cells the four of ratio 2 are measured, 900 s each, and one cell of another set."""

    def expand(profile, stem):
        return [grids.GridRun("small", RUN), grids.GridRun("other", {"few": [3], "ratios": []})] * (stem == study.STEM)

    monkeypatch.setattr(costs.grids, "expand", expand)
    cells = [cell for cell in study.cells(study.Parameters(**RUN)) if cell.rho == 2]
    cells.append(study.Cell(dataset="elsewhere", replicate=0))
    rows = [
        {**vars(cell), "key": str(k), "study": study.STEM, "version": study.VERSION, "method": "x", "metric": metric,
         "value": 0.5, "train_seconds": 900.0, "device": "a device", "stand_in": False}
        for k, cell in enumerate(cells) for metric in ("accuracy", "auc")
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(tmp_path / f"{study.STEM}.parquet")
    return tmp_path


def test_hours_of_what_was_measured_and_of_all(results):
    table = costs.costs("reduced", results).set_index("run")
    assert table.loc["small", ["cells", "measured", "hours", "whole"]].tolist() == [8, 4, 1.0, 2.0]
    assert table.loc["small", "device"] == "a device"
    assert table.loc["other", "measured"] == 0  # its cells have no ratio


def test_another_version_of_the_study_does_not_count(results, monkeypatch):
    monkeypatch.setattr(study, "VERSION", study.VERSION + 1)
    assert costs.costs("reduced", results)["measured"].sum() == 0


def test_the_table_says_what_was_not_measured(results):
    text = costs.markdown("reduced", results)
    assert "| 5 | small | 8 | 4 | 1.0 | 2.0 | a device |\n" in text and "other" not in text
    assert text.endswith("Nothing was measured yet of 1 of the 2 runs of this profile.\n")
