"""Support vector machines: the fast ones give scikit-learn's predictions, and weights give what repeating gives."""

import builtins

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from common import svm
from common.errors import UserError


@pytest.fixture(scope="module")
def digits():
    """300 training and 300 test digits, float32 as features are."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order].astype(np.float32), y[order]
    return x[:300], y[:300], x[300:600]


@pytest.mark.parametrize("gamma", svm.GAMMAS)
def test_predictions_are_scikit_learns(digits, gamma):
    x, y, x_test = digits
    ours, reference = svm.fit_rbf(x, y, gamma=gamma), SVC(C=1.0, gamma=gamma).fit(x, y)
    assert (svm.predict(ours, x_test) == reference.predict(x_test)).all()
    assert len(ours.support_) == pytest.approx(len(reference.support_), abs=3)


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_decisions_are_scikit_learns(n_classes, monkeypatch):
    """Noise, so that all samples are support vectors: 257 to 269 of most pairs, where the fast package's are off."""
    monkeypatch.setattr(svm, "PIECE", 64)
    random = np.random.default_rng(0)
    y = random.permutation(np.repeat(7 * np.arange(n_classes), 129 + np.arange(n_classes) // 2))
    x, x_test = random.normal(size=(len(y), 32)).astype(np.float32), random.normal(size=(150, 32)).astype(np.float32)
    reference = SVC(C=1.0, decision_function_shape="ovo").fit(x, y)
    expected = reference.decision_function(x_test).reshape(len(x_test), -1) * (-1 if n_classes == 2 else 1)
    assert np.allclose(svm.decisions(svm.fit_rbf(x, y), x_test), expected, atol=5e-3)
    assert (svm.predict(svm.fit_rbf(x, y), x_test) == reference.predict(x_test)).mean() > 0.98
    assert (svm.predict(SVC(gamma=svm.rbf_gamma("scale", x)).fit(x, y), x_test) == reference.predict(x_test)).all()


def test_the_package_is_named_and_scikit_learn_stands_in(monkeypatch):
    kind, package = svm.svc_class()
    assert kind.__module__.startswith("sklearnex") == (package == "scikit-learn-intelex")
    original = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("sklearnex"):
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    assert svm.svc_class() == (SVC, "scikit-learn")


def test_whole_weights_are_repeated_samples(digits):
    x, y, x_test = digits
    counts = np.random.default_rng(1).integers(0, 4, len(y))
    gamma = svm.rbf_gamma("scale", np.repeat(x, counts, axis=0))
    repeated = SVC(C=1.0, gamma=gamma).fit(np.repeat(x, counts, axis=0), np.repeat(y, counts))
    weighted = svm.fit_rbf(x, y, weights=counts.astype(float))
    once = svm.fit_rbf(x, y)
    assert (svm.predict(weighted, x_test) == repeated.predict(x_test)).all()
    expected = svm.decisions(repeated, x_test)
    assert np.allclose(svm.decisions(weighted, x_test), expected, atol=2e-2)
    assert not np.allclose(svm.decisions(once, x_test), expected, atol=2e-2)


def test_balanced_class_weights_are_scikit_learns(digits):
    x, y, x_test = digits
    kept = np.concatenate([np.flatnonzero(y == label)[: 3 + 2 * label] for label in range(10)])
    x, y = x[kept], y[kept]
    weights = len(y) / (10 * np.bincount(y))
    reference = SVC(C=1.0, gamma="scale", class_weight="balanced").fit(x, y)
    assert (svm.predict(svm.fit_rbf(x, y, weights=weights[y]), x_test) == reference.predict(x_test)).all()


def test_gamma(digits):
    x, y, _ = digits
    assert svm.rbf_gamma("auto", x) == 1 / 64
    assert svm.rbf_gamma("scale", x) == pytest.approx(1 / (64 * x.astype(float).var()))
    counts = np.arange(len(y)) % 3
    repeated = np.repeat(x, counts, axis=0).astype(float)
    assert svm.rbf_gamma("scale", x, counts) == pytest.approx(1 / (64 * repeated.var()))
    assert svm.rbf_gamma("scale", np.ones((3, 2))) == 1.0
    for offset in (1e6, 1e8):  # where the mean square less the squared mean has few digits left, or none
        far = x.astype(float) + offset
        assert svm.rbf_gamma("scale", far) == pytest.approx(1 / (64 * far.var()))
        repeated = np.repeat(far, counts, axis=0)
        assert svm.rbf_gamma("scale", far, counts) == pytest.approx(1 / (64 * repeated.var()))
    with pytest.raises(UserError, match="gamma 'best': expected one of scale, auto"):
        svm.rbf_gamma("best", x)
