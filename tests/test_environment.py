"""The lock, the files made from it, and the check that an interpreter satisfies it."""

import re
import subprocess
import sys

import pytest
import yaml

from common import environment
from common.paths import ROOT

LOCK = environment.LOCK.read_text(encoding="utf-8")


def test_conda_has_the_very_same_pins():
    assert environment.CONDA.read_text(encoding="utf-8") == environment.conda(LOCK)
    dependencies = yaml.safe_load(environment.CONDA.read_text(encoding="utf-8"))["dependencies"]
    locked = [re.sub(r"\s*;\s*", " ; ", line) for line in LOCK.splitlines() if line and not line.startswith("#")]
    assert dependencies[-1]["pip"] == locked


def test_no_registry_is_named():
    for path in (environment.LOCK, environment.CONDA, ROOT / "requirements.in"):
        assert "://" not in path.read_text(encoding="utf-8"), path.name


def test_every_name_used_is_pinned():
    used = {
        re.split(r"[\s<>=;]", line)[0]
        for line in (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    assert used <= {name for name, _, _ in environment.pins(LOCK)}


def test_python_range_is_that_of_pyproject():
    low, below = (".".join(map(str, version)) for version in environment.PYTHON)
    assert f'requires-python = ">={low},<{below}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_this_environment_satisfies_the_lock():
    assert environment.differences(LOCK) == []


@pytest.mark.parametrize(
    ("lock", "found"),
    [
        ("numpy==0.0.1", "numpy .*, wanted 0.0.1"),
        ("no-such-package==1.0", "no-such-package is not installed"),
        ("no-such-package==1.0 ; python_full_version < '3'", None),
        ("# only a comment\n", None),
    ],
)
def test_differences(lock, found):
    differences = environment.differences(lock)
    assert re.fullmatch(found, *differences) if found else not differences


def test_a_cpu_only_torch_misses_no_cuda(monkeypatch):
    versions = {"torch": "2.15.0+cpu", "numpy": "2.0"}
    monkeypatch.setattr(environment, "_installed", versions.get)
    lock = "numpy==2.0\nnvidia-cublas==1 ; sys_platform != 'none'\ncuda-bindings==1\ntorch==2.15.0\ntriton==3\n"
    assert environment.differences(lock) == []
    assert environment.without_cuda(lock) == "numpy==2.0\ntorch==2.15.0\n"
    versions["torch"] = "2.15.0"
    assert len(environment.differences(lock)) == 3


def test_command_line(capsys):
    assert environment.main(["--nonsense"]) == 2
    assert "usage" in capsys.readouterr().err


def test_scripts_are_bash():
    for script in ("run_all.sh", ".ci/run"):
        subprocess.run(["bash", "-n", str(ROOT / script)], check=True)


def test_run_all_passes_options_on_from_any_folder(tmp_path):
    # The python that runs the tests satisfies the lock, so nothing is installed.
    path = f"{sys.executable.rsplit('/', 1)[0]}:/usr/bin:/bin"
    (tmp_path / "common").mkdir()  # must not be taken for ours
    (tmp_path / "common" / "__init__.py").write_text("raise SystemExit('the wrong package')")
    done = subprocess.run(
        [str(ROOT / "run_all.sh"), "--version"], cwd=tmp_path, env={"PATH": path, "HOME": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("class-imbalance-replications ")
