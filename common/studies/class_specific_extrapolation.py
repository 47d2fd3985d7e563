"""Paper 3: Jeong and Lee, 'Class Specific Biased Extrapolation of Images in Latent Space'.

One cell is one arm on one backbone: the head of a VGG-19, trained on latents of real images and on the samples that
the arm's sampler puts between classes, iteration by iteration. All pairs of classes are extrapolated at once.
"""

from __future__ import annotations

from common.cells import Context, shared
from common.studies import class_specific_extrapolation_backbone as backbones
from common.studies.class_specific_extrapolation_arms import run  # noqa: F401 - part of every study module
from common.studies.class_specific_extrapolation_backbone import Backbone, backbone_of, class_counts  # noqa: F401
from common.studies.class_specific_extrapolation_claims import (  # noqa: F401 - the claims file names them
    claim_extrapolation_more_on_overlapped,
    claim_more_on_overlapped,
    claim_percent_saved,
    claim_share_of_pairs_found,
)
from common.studies.class_specific_extrapolation_comparisons import chance  # noqa: F401 - for verdicts
from common.studies.class_specific_extrapolation_deviations import deviations, parameters_of  # noqa: F401
from common.studies.class_specific_extrapolation_protocol import (  # noqa: F401 - some are used from here
    ADJUSTED,
    ARMS,
    BEFORE,
    FULL_ITERATIONS,
    METHODS,
    NOT_DESIGN,
    Cell,
    Parameters,
)
from common.studies.class_specific_extrapolation_selection import (  # noqa: F401 - what counts
    caveats,
    judged,
    levels,
    main_rows,
    remarks,
    selected,
    summary,
)

STEM = "class_specific_extrapolation"
VERSION = 1
GROUP = 64  # heads trained together on a GPU
#: What the times of cells leave out, for it is made once for many.
UNCOUNTED = "the backbones they stand on"


def cells(parameters: Parameters) -> list[Cell]:
    """Replicate by replicate, backbone by backbone, so that a run cut short has whole comparisons."""
    p, common = parameters, shared(Cell, parameters)
    arms = [(0, False, sampler) for sampler in p.samplers] if p.five_pairs else []
    # The size that the other minor classes have, too, is the main experiment's backbone.
    sizes = [0 if size == p.minors else size for size in p.ablation]
    arms += [(rare, True, sampler) for rare in sizes for sampler in p.samplers if sampler in ARMS]
    return [
        Cell(**common | {"replicate": replicate, "rare": rare, "ablation": ablation, "sampler": sampler})
        for replicate in range(p.first_replicate, p.first_replicate + p.replicates)
        for rare, ablation, sampler in arms
    ]


def group(cell: Cell) -> Backbone:
    """Cells that share a backbone: while one trains it, the others wait."""
    return backbone_of(cell)


def check(cells: list[Cell], context: Context) -> None:
    """Raise `UserError` if a cell cannot be run on its data; before any training."""
    for backbone in {backbone_of(cell) for cell in cells}:
        backbones.check(backbone, context)
