"""The five papers: number, stem, title. One stem names a paper everywhere (docs/architecture.md)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """One replicated paper.

    Parameters
    ----------
    number : int
        1 to 5, the prefix of its notebook and pages.
    stem : str
        Its name in file names.
    title, authors : str
        As printed, authors by initials.
    year : int or None
        None where the paper does not print it and we could not establish it.
    """

    number: int
    stem: str
    title: str
    authors: str
    year: int | None

    @property
    def page(self) -> str:
        """File name of its pages: ``4_systematic_study.html``."""
        return f"{self.number}_{self.stem}.html"


PAPERS = (
    Paper(
        1,
        "category_centers",
        "Image Classification with Category Centers in Class Imbalance Situation",
        "Y. Zhang, L. Shuai, Y. Ren and H. Chen",
        2018,
    ),
    Paper(
        2,
        "mobilenet_features",
        "The Choice of Feature Representation in Small-Scale MobileNet-Based Imbalanced Image Recognition",
        "M. Koziarski, B. Cyganek and K. Wiatr",
        2020,
    ),
    Paper(
        3,
        "class_specific_extrapolation",
        "Class Specific Biased Extrapolation of Images in Latent Space for Imbalanced Image Classification",
        "S. Jeong and S. Lee",
        None,
    ),
    Paper(
        4,
        "systematic_study",
        "A systematic study of the class imbalance problem in convolutional neural networks",
        "M. Buda, A. Maki and M. A. Mazurowski",
        2018,
    ),
    Paper(
        5,
        "multiscale_transfer",
        "Image classification method on class imbalance datasets using multi-scale CNN and two-stage transfer learning",
        "J. Liu, F. Guo, H. Gao et al.",
        2021,
    ),
)
