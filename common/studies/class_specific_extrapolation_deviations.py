"""Where a run of paper 3 departs from the paper, computed from the parameters that ran."""

from __future__ import annotations

import pandas as pd

from common.studies.class_specific_extrapolation_comparisons import effect_of_starts
from common.studies.class_specific_extrapolation_protocol import ARMS, METHODS, WIDE, Cell, Parameters


def deviations(parameters: Parameters, measured: pd.DataFrame | None = None) -> list[dict]:
    """Departures from the paper of a run with these parameters: what, paper, here, why.

    What the paper leaves open is no departure; the notebook lists it under 'open questions'. Here, too, is what of it
    decides how large the effects are.

    Parameters
    ----------
    parameters : Parameters
    measured : DataFrame, optional
        All measured rows, by which to say what another choice changes, where it was run.
    """
    p = parameters
    rows = []
    if p.dataset != "cifar10":
        rows.append(("data", "CIFAR-10", p.dataset, "stand-in data, not comparable with the paper"))
    printed = {"majors": 3000, "minors": 1000, "depth": 19, "epochs": 10, "iterations": 19, "head_epochs": 10}
    printed |= {"amount": 0.1, "share": 0.3, "gamma": -0.4, "tau": 0.7}
    for name, value in printed.items():
        if getattr(p, name) != value:
            rows.append((name.replace("_", " "), value, getattr(p, name), "asked for"))
    if p.image_size != 224:
        here = f"{p.image_size} x {p.image_size}" if p.image_size else "the images' own size"
        why = "cost; five poolings leave one place of 32 x 32 images for the latent, 49 of 224 x 224"
        rows.append(("input of VGG-19", "not stated; 224 x 224 in VGG", here, why))
    if p.width != 64:
        rows.append(("channels of VGG", "from 64 to 512", f"from {p.width} to {8 * p.width}", "cost"))
    if p.hidden != WIDE:
        why = f"a training step of the head costs a hundredth; the paper profile has {WIDE}"
        rows.append(("width of the fully connected layers", f"{WIDE} (VGG)", p.hidden, why))
    if p.batch_norm:
        why = "without it and without pre-training VGG-19 hardly trains in 10 epochs; the paper names neither"
        rows.append(("batch normalisation", "none in VGG", "after each convolution", why))
    if p.dropout != 0.5:
        why = "with it training from scratch stalls in the first epochs (tried); it is not stated"
        rows.append(
            ("dropout between fully connected layers", "0.5 in VGG", f"{p.dropout:g}" if p.dropout else "none", why)
        )
    rows.append(
        (
            "what is trained on synthetic samples",
            "not stated",
            "the fully connected layers, on latents computed once; nothing trains the convolutions further",
            "synthetic latents cannot train the layers before them; images alone could, in turns, which is not run",
        )
    )
    rows.append(
        (
            "no extrapolation",
            "perhaps the network after 10 epochs",
            "the same further epochs as every arm; the network before them is shown, too",
            "else further training would be the effect",
        )
    )
    if p.starts == "all":
        why = "algorithms 1 and 2 extrapolate again what they have made; it decides how large gains and harm are"
        effect = effect_of_starts(measured) if measured is not None else ""
        here = "images, and synthetic samples of the iterations before"
        rows.append(("what segments begin at", "not stated", here, f"{why}: {effect}" if effect else why))
    if p.precision != "fp32":
        rows.append(("precision", "not stated", f"backbone trained in {p.precision}", "speed; heads and latents: fp32"))
    if (p.pairing, p.distance, p.starts) != ("major", "boundary", "all"):
        here = f"pairing {p.pairing}, distance {p.distance}, starts {p.starts}"
        rows.append(("variants", "not stated", here, "asked for"))
    if missing := [arm for arm in ARMS if arm not in p.samplers]:
        rows.append(("arms", ", ".join(ARMS), f"without {', '.join(missing)}", "asked for"))
    if sorted(p.ablation, reverse=True) != [1000, 500, 300]:
        here = ", ".join(map(str, p.ablation)) or "not run"
        rows.append(("ablation: images of the minor class", "1000, 500, 300", here, "cost"))
    return [dict(zip(("what", "paper", "here", "why"), row, strict=True)) for row in rows]


def parameters_of(frame) -> Parameters | None:
    """The parameters that would give these rows, to say how they depart from the paper; None without rows."""
    if frame.empty:
        return None
    first = frame.iloc[0]
    values = {
        name: type(field.default)(first[name])
        for name, field in Parameters.__dataclass_fields__.items()
        if name in Cell.__dataclass_fields__ and name != "ablation"
    }
    ablated = frame[frame["ablation"].astype(bool)]
    sizes = sorted({int(rare) or int(first["minors"]) for rare in ablated["rare"]}, reverse=True)
    return Parameters(
        **values
        | {"samplers": tuple(arm for arm in METHODS if arm in set(frame["sampler"])), "ablation": tuple(sizes)},
        replicates=frame["replicate"].nunique(),
    )
