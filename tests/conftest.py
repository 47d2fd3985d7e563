"""What all tests share. Threads are capped before anything imports a library that counts the cores."""

import os
from types import SimpleNamespace

import pytest

pytest_plugins = ["reliability"]

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture
def trainings(monkeypatch):
    """Every call of `training.fit_many` from here on: its members, data and options, and what came out as `fitted`."""
    from common import training

    calls, original = [], training.fit_many

    def spy(build, data, members, schedule, **options):
        fitted = original(build, data, members, schedule, **options)
        calls.append(SimpleNamespace(members=members, data=data, options=options, fitted=fitted))
        return fitted

    monkeypatch.setattr(training, "fit_many", spy)
    return calls
