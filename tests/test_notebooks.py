"""What every notebook keeps to; that they run is nbval's business."""

import ast
import dataclasses
import importlib

import nbformat
import pytest

from common.options import Options
from common.replications import replications

NOTEBOOKS = [paper for paper in replications(True) if paper.study]


def cells(paper):
    return nbformat.read(paper.notebook, as_version=4).cells


@pytest.mark.parametrize("paper", NOTEBOOKS, ids=str)
def test_a_notebooks_defaults_are_the_demo_profile(paper):
    """nbval and Jupyter run the notebook as it is, so its cell must hold the defaults of `Options` and `Parameters`."""
    (source,) = [cell.source for cell in cells(paper) if "parameters" in cell.metadata.get("tags", [])]
    values = {}
    exec(source, values)
    module = importlib.import_module(paper.study)
    for kind in (Options, module.Parameters):
        for field in dataclasses.fields(kind):
            value = values[field.name]
            assert (tuple(value) if isinstance(value, list) else value) == field.default, field.name
    assert all("#" in line for line in source.splitlines() if " = " in line), "every parameter has its comment"


@pytest.mark.parametrize("paper", NOTEBOOKS, ids=str)
def test_own_images_are_checked_as_the_notebook_runs_them(paper):
    code = [cell.source for cell in cells(paper) if cell.cell_type == "code" and "own_images" in cell.source]
    own = getattr(importlib.import_module(paper.study), "OWN_IMAGES", None)
    assert (own is None) == (not code)
    shown = {}
    for node in (node for source in code for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Dict)):
        shown |= {name.value: value for name, value in zip(node.keys, node.values, strict=True) if name is not None}
    for name, value in (own or {}).items():
        try:
            assert tuple(ast.literal_eval(shown[name])) == value
        except TypeError:
            assert ast.literal_eval(shown[name]) == value
        except ValueError:  # it follows from the images
            assert (paper.number, name) == (4, "step_rhos")


@pytest.mark.parametrize("paper", NOTEBOOKS, ids=str)
def test_a_notebook_is_committed_without_outputs(paper):
    for cell in cells(paper):
        assert cell.cell_type != "code" or (not cell.outputs and cell.execution_count is None)


@pytest.mark.parametrize("paper", NOTEBOOKS, ids=str)
def test_measured_results_stand_before_this_run(paper):
    headings = [cell.source.splitlines()[0] for cell in cells(paper) if cell.source.startswith("## ")]
    assert {"## What we found", "## This run"} <= set(headings), "the names of the two sections"
    assert headings.index("## What we found") < headings.index("## This run")
