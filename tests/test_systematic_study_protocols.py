"""What differs between the paper's three networks, and that the study runs each of them."""

import numpy as np
import pytest

from common import imbalance, study
from common.errors import UserError
from common.studies import systematic_study as paper
from common.studies import systematic_study_figures as figures
from common.studies import systematic_study_protocols as protocols

SMALL = {"dataset": "shapes", "width": 4, "whiten": False, "iterations": 3, "balanced": False, "per_class": 40,
         "step_rhos": (20,), "step_mus": (0.5,)}  # fmt: skip


def make(tmp_path, **changes):
    options = {"store": str(tmp_path / "store"), "workers": 1}
    return study.Run(paper, {**SMALL, **changes}, options, committed=tmp_path / "committed")


def test_schedules_are_the_papers():
    allcnn, resnet = (protocols.PROTOCOLS[name].schedule for name in ("allcnn", "resnet10"))
    decay = allcnn.decay()
    assert len(decay) == 70_000 and (allcnn.batch_size, allcnn.learning_rate, allcnn.weight_decay) == (256, 0.05, 1e-3)
    assert np.allclose(decay[[0, 39_999, 40_000, 50_000, 69_999]], [1, 1, 0.1, 0.01, 0.001])
    assert (resnet.iterations, resnet.learning_rate, resnet.weight_decay) == (320_000, 0.1, 1e-4)
    assert paper.FULL_ITERATIONS == {"mnist": 10_000, "cifar10": 70_000, "imagenet": 320_000, "tiny_imagenet": 320_000}
    half = paper.schedule(paper.Cell("cifar10", 0, network="allcnn", iterations=35_000, learning_rate=0.005))
    assert half.milestones == (20_000, 25_000, 30_000) and half.learning_rate == 0.005


def test_the_papers_search_on_cifar10():
    """480 networks: 4 x 3 step sets, 5 methods, four rates, twice; two-phase training shares its first phase here."""
    cells = paper.cells(
        paper.Parameters(dataset="cifar10", step_rhos=(2, 10, 20, 50), step_mus=(0.2, 0.5, 0.8), balanced=False,
                         learning_rates=protocols.PROTOCOLS["allcnn"].learning_rates, repeats=2)
    )  # fmt: skip
    assert len(cells) == 480 * 3 / 5 and {c.network for c in cells} == {"allcnn"}
    assert len({c.key("s", 1, "d") for c in cells}) == len(cells)


def test_minority_is_the_lowest_labels_on_cifar10_and_includes_small_classes_on_imagenet():
    cifar = paper.Cell("cifar10", 0, network="allcnn", imbalance="step", rho=50.0, mu=0.2)
    assert paper.class_counts(cifar, np.full(10, 100)).tolist() == [2, 2] + [100] * 8
    imagenet = paper.Cell("imagenet", 0, network="resnet10", imbalance="step", rho=10.0, mu=0.3)
    counts = paper.class_counts(imagenet, np.array([100] * 8 + [80, 90]))
    assert counts[8] == counts[9] == 10 and sorted(counts) == [10] * 3 + [100] * 7
    with pytest.raises(UserError, match="2 classes are too small for a majority"):
        imbalance.minority_classes(10, 0.1, 0, always=[8, 9])


@pytest.mark.parametrize("network", ["allcnn", "resnet10"])
def test_every_network_runs_with_every_sampler(tmp_path, network):
    run = make(tmp_path, network=network, samplers=("none", "undersampling"))
    run.execute()
    frame = run.frame()
    methods = {"baseline", "thresholding", "undersampling", "undersampling + thresholding", "two-phase undersampling"}
    assert set(frame["method"]) == methods and set(frame["status"]) == {"ok"}
    assert frame["value"].between(0, 1).all()
    halves = frame["metric"].str.contains("half").any()
    assert halves == (network == "allcnn")


def test_the_second_phase_of_a_whole_network_moves_its_head_only(tmp_path, trainings):
    make(tmp_path, samplers=("oversampling",)).execute()
    first, second = trainings
    (sampled,), (tuned,) = first.members, second.members
    assert second.options["trainable"] == ("head.",)
    assert tuned.learning_rate == pytest.approx(0.1 * sampled.learning_rate)
    for name, value in first.fitted[0].state.items():
        assert (value != second.fitted[0].state[name]).any() == name.startswith("head."), name
    assert len(tuned.plan) == len(set(tuned.plan))


def test_convergence_is_recorded_and_changes_nothing(tmp_path):
    plain, watched = make(tmp_path, samplers=("none",)), make(tmp_path, samplers=("none",), convergence=3)
    for run in (plain, watched):
        run.execute()
    curves = watched.curves()
    assert curves.groupby("curve").size().to_dict() == {"test accuracy": 3, "training accuracy": 3, "training loss": 3}
    columns = ["method", "metric", "class_label", "value"]
    ours = watched.frame()
    ours = ours[~ours["metric"].isin(["accuracy_from_best", "accuracy_wobble"])]
    assert ours[columns].reset_index(drop=True).equals(plain.frame()[columns])
    assert figures.convergence(curves) is not None and figures.convergence(plain.curves()) is None


def test_whitening_is_fitted_on_the_full_training_set(tmp_path, monkeypatch):
    fitted = []
    monkeypatch.setattr(protocols.preprocessing.GCNZCA, "fit", lambda self, images: fitted.append(len(images)) or self)
    monkeypatch.setattr(
        protocols.preprocessing.GCNZCA, "transform", lambda self, x: np.zeros((len(x), 3, 32, 32), np.float32)
    )
    run = make(tmp_path)
    train, test = run.context.data("shapes")
    residents = protocols.residents("allcnn", train, test, True, "cpu")
    assert fitted == [len(train)] and [len(r) for r in residents] == [len(train), len(test)]


def test_images_of_another_size_are_refused(tmp_path):
    with pytest.raises(UserError, match="allcnn takes square ones of at least 32 x 32"):
        make(tmp_path, dataset="digits", network="allcnn").execute()
    with pytest.raises(UserError, match="network: 'vgg' is unknown"):
        make(tmp_path, network="vgg")


def test_protocol_table(tmp_path):
    run = make(tmp_path)
    table = figures.protocol_table(run.cells[0], paper.parameter_count(run.cells[0], run.context)).set_index("what")
    assert table.loc["iterations"].tolist() == ["70,000", "3"]
    assert table.loc["network", "in the paper"] == "allcnn, 1,369,738 parameters"
