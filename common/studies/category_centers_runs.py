"""What the results of paper 1 rest on: which networks were trained, how, on what, and at what cost."""

from __future__ import annotations

from dataclasses import fields

import pandas as pd

from common import tables
from common.cells import Cell
from common.studies import category_centers as study
from common.studies import category_centers_networks as networks
from common.studies.category_centers_figures import METHODS
from common.studies.category_centers_selection import INPUT, pixels

SIZE = "pixels"  # height and width of a network's input


def summary(number: str, name: str, frame: pd.DataFrame) -> str:
    """What was measured for a table of the paper, in a sentence or two."""
    if frame.empty:
        return f"Table {number}, {name}: not measured yet."
    each = frame.drop_duplicates("key")
    updates, n = int(each["iterations"].iloc[0]), each.groupby(["imbalance", "sampler"]).size()
    trained = f"{len(each)} network{'s' * (len(each) > 1)}"
    text = f"Table {number}, {name}: {trained}, replicates: {tables.span(n)}, at most {updates:,} weight updates."
    if unjudged := study.unjudged(frame):
        return f"{text} {unjudged}. No claim is judged on them, and no order in the tables means anything."
    if n.max() < 2:
        text += " One replicate has no interval: neither an order nor a direction is shown by it."
    if departures := study.departures(frame):
        cut = int((each["ended_by"] == "limit").sum())
        limit = f"the limit of updates ended {cut} of {len(each)} trainings before the rule on validation accuracy did"
        other = len(departures) > (cut > 0)
        why = [limit] * (cut > 0) + ["input or pre-training are not the paper's"] * other
        text += f" Levels cannot be compared with the paper's: {'; '.join(why)}."
    return text


def counted(frame: pd.DataFrame) -> str:
    """Over how many replicates intervals are taken, for captions."""
    scores = frame[frame["metric"] == "accuracy"]  # angles, say, need not be there of every network
    n = scores.groupby(["imbalance", "method"])["replicate"].nunique()
    if not (n > 1).any():
        return "one replicate, no intervals"
    return f"n = {tables.span(n)}" + (", no interval where it is 1" if n.min() == 1 else "")


def is_full(frame: pd.DataFrame) -> bool:
    """Whether levels may be compared with the paper's: training ended by the rule, VGG-16's input and pre-training.

    All-CNN starts from scratch: the paper's 'all training processes are fine-tuned' can hardly be meant for it.
    """
    return not frame.empty and not study.departures(frame)


def sizes(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers that recognition by each method needs, what centres save of them, and features of norm zero.

    Those of VGG-16 at the paper's input are counted, where nothing of it was measured, too.
    """
    place = ["network", "dataset", SIZE]
    wide = frame[frame["metric"].isin(["parameters", "zero_norm", "zero_norm_test"]) & frame["method"].isin(METHODS)]
    wide = wide.assign(**{SIZE: [pixels(one) for one in wide.to_dict("records")]})
    wide = wide.groupby([*place, "method", "metric"])["value"].mean().unstack().reset_index()
    if wide.empty:
        return wide
    own = wide[wide["method"] == "D"].set_index(place)["parameters"]
    saved = 1 - wide["parameters"] / wide.set_index(place).index.map(own).to_numpy()
    wide = wide.reindex(columns=[*place, "method", "parameters", "zero_norm", "zero_norm_test"])
    wide.insert(5, "saved, %", 100 * saved)
    labels = {"zero_norm": "features of norm zero, share", "zero_norm_test": "the same on test images"}
    wide = wide[wide["method"].isin(["D", "C", "F"])]
    if not ((wide["network"] == "vgg16") & (wide[SIZE] == INPUT)).any():
        wide = pd.concat([wide, _counted_sizes()])
    return wide.astype({"parameters": int}).rename(columns=labels)


def _counted_sizes() -> pd.DataFrame:
    """The same of VGG-16 at the paper's input, which takes no training."""
    numbers = networks.recognition_parameters(10, INPUT)
    rows = [
        {"network": "vgg16", "dataset": "cifar10", SIZE: INPUT, "method": method, "parameters": number,
         "saved, %": 100 * (1 - number / numbers["D"])} for method, number in numbers.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def counts_table(published: pd.DataFrame, number: str) -> pd.DataFrame:
    """Table I or II as printed: images of each label or range, for training and validation."""
    printed = published[(published["table"] == number) & published["metric"].str.endswith("_images")]
    column = (printed["imbalance"] + " " + printed["metric"].str.removesuffix("_images")).str.strip()
    table = printed.assign(column=column, value=printed["value"].astype(int))
    wide = table.pivot(index="class_label", columns="column", values="value").rename_axis(columns=None)
    order = list(dict.fromkeys(table["class_label"]))
    return wide.loc[order, list(dict.fromkeys(column))].rename_axis("label").reset_index()


def parameters_of(frame: pd.DataFrame) -> study.Parameters | None:
    """The parameters that would give these rows of one network and schedule, to say how they depart from the paper."""
    if frame.empty:
        return None
    first, names = frame.iloc[0], {f.name for f in fields(study.Parameters)}
    values = {name: first[name] for name in names & set(frame)}
    return study.Parameters(
        **values,
        imbalances=tuple(sorted(frame["imbalance"].unique())),
        samplers=tuple(sorted(frame["sampler"].unique())),
        replicates=frame["replicate"].nunique(),
    )


def protocol_table(cell: Cell, n_parameters: int) -> pd.DataFrame:
    """How the paper trains the cell's network beside how this cell does."""
    protocol, here = networks.PROTOCOLS[cell.network], networks.schedule(cell)
    size = {"allcnn": "1,372,254 parameters (table IV)", "vgg16": "134,301,514 parameters for 10 classes (table III)"}
    rule = {
        "exponential": "base rate times 0.5 exp(-0.1 s) after s recessions",
        "halving": "base rate times 0.5^s after s recessions",
    }[cell.plateau]
    found = [
        ("network", f"{cell.network}, {size[cell.network]}", f"{n_parameters:,} parameters"),
        ("batch size", protocol.batch_size, here.batch_size),
        ("learning rate", f"{protocol.learning_rate:g}", f"{here.learning_rate:g}"),
        ("falls by", "0.5e^{0.1s}, s recessions of validation accuracy", rule),
        (
            "batches",
            "'a random shuffle operation is done before each epoch'",
            "shuffled passes; a batch may span two",
        ),
        ("ends", "not stated", f"after {cell.patience} recessions, at most {cell.iterations:,} updates"),
        ("momentum", "not stated", f"{here.momentum:g}"),
        ("weight decay", "'L2-normalization loss', not stated", f"{here.weight_decay:g}"),
        ("augmentation", "none stated", "none"),
    ]
    return pd.DataFrame(found, columns=["what", "in the paper", "here"]).astype(str)


def training_table(frame: pd.DataFrame) -> pd.DataFrame:
    """How the trainings went: epochs, recessions, updates and what ended them, by what was trained on what."""
    cells = frame.drop_duplicates("key")
    place = ["network", "dataset", "iterations", "imbalance", "sampler", "count_scale"]
    return cells.groupby(place, as_index=False).agg(
        networks=("key", "size"),
        epochs=("epochs", "mean"),
        recessions=("recessions", "mean"),
        updates=("iterations_done", "mean"),
        by_rule=("ended_by", lambda ended: int((ended == "rule").sum())),
        diverged=("status", lambda status: int((status != "ok").sum())),
    )


def cost(frame: pd.DataFrame) -> pd.DataFrame:
    """Networks and their cost (`tables.cost`) by network, data set, device and schedule."""
    by = ["network", "dataset", "device", "iterations", "count_scale"]
    return tables.cost(frame, by).drop(columns="diverged")
