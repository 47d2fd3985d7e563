"""The papers: number, stem, title. One stem names a paper everywhere (docs/architecture.md)."""

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
    short : str
        Its name where there is little room.
    says : str
        What the paper says, for a reader with a minute.
    known : str
        What of the paper is public, where it is not all of it.
    """

    number: int
    stem: str
    title: str
    authors: str
    year: int | None
    short: str = ""
    says: str = ""
    known: str = ""

    @property
    def page(self) -> str:
        """File name of its pages: ``4_systematic_study.html``."""
        return f"{self.number}_{self.stem}.html"

    @property
    def source(self) -> str:
        """Authors, year, and what of it is public."""
        named = self.authors + (f", {self.year}" if self.year else "")
        return named + (f"; {self.known}" if self.known else "")


PAPERS = (
    Paper(
        1,
        "category_centers",
        "Image Classification with Category Centers in Class Imbalance Situation",
        "Y. Zhang, L. Shuai, Y. Ren and H. Chen",
        2018,
        short="Category centers",
        says=(
            "Keep the network and replace its last layer: an image gets the label whose training features have "
            "the nearest mean. That recognises labels with few images better and raises the mean precision, more "
            "than oversampling does."
        ),
    ),
    Paper(
        2,
        "mobilenet_features",
        "The Choice of Feature Representation in Small-Scale MobileNet-Based Imbalanced Image Recognition",
        "M. Koziarski, B. Cyganek and K. Wiatr",
        2020,
        short="MobileNet features",
        says=(
            "Interpolating between photographs makes no photograph, so resampling might work better on features "
            "of a pre-trained network. SMOTE does help features, yet leaves them behind a network trained end to "
            "end, where random oversampling alone helps on all three sets, if little."
        ),
    ),
    Paper(
        3,
        "class_specific_extrapolation",
        "Class Specific Biased Extrapolation of Images in Latent Space for Imbalanced Image Classification",
        "S. Jeong and S. Lee",
        None,
        short="Biased extrapolation",
        says=(
            "A rare class can be enlarged in the latent space of a trained network, between it and a frequent "
            "class. Choosing where (biased extrapolation) adds nothing for Airplane-Automobile, which are told "
            "apart well, helps Truck-Ship and pairs that overlap, and doing it for those below a threshold alone "
            "keeps the accuracy and saves cost."
        ),
    ),
    Paper(
        4,
        "systematic_study",
        "A systematic study of the class imbalance problem in convolutional neural networks",
        "M. Buda, A. Maki and M. A. Mazurowski",
        2018,
        short="Systematic study",
        says=(
            "Imbalance hurts, more on harder tasks. Oversampling is the best remedy almost everywhere and does "
            "not overfit; undersampling only catches up when most classes are rare; where accuracy counts, add "
            "thresholding."
        ),
    ),
    Paper(
        5,
        "multiscale_transfer",
        "Image classification method on class imbalance datasets using multi-scale CNN and two-stage transfer learning",
        "J. Liu, F. Guo, H. Gao et al.",
        2021,
        short="Multi-scale transfer",
        says=(
            "Common remedies degrade dramatically when the training data are extremely imbalanced. Kernels with "
            "different receptive fields, and transfer in two stages from another task, classify better on average, and "
            "gain more on some extremely imbalanced sets."
        ),
        known="only its abstract is public",
    ),
)
