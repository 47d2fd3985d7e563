#!/usr/bin/env bash
# Installs what is missing, then runs. `./run_all.sh --help` lists words and options; docs/installing.md has the rest.
#
# TORCH_INDEX   address of an extra package index with CPU-only torch wheels (PyTorch's install page names it);
#               CUDA packages are then left out.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$root/.venv

say() { printf 'run_all: %s\n' "$*" >&2; }

# 0 when the interpreter $1 has everything that requirements.txt pins; prints the first differences otherwise.
satisfied() { (cd "$root" && "$1" -m common.environment --check 2>/dev/null); }

# The first Python that runs, is new enough and can make a virtual environment. Being on PATH is not enough: pyenv puts
# stand-ins there for versions that are not active, and Debian's python3 lacks venv until python3-venv is installed.
find_python() {
  local candidate probe='import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
  for candidate in python python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c "$probe" 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  say "no Python >= 3.11, < 3.14 with the venv module on PATH; install one (Debian, Ubuntu: python3 and python3-venv)"
  return 1
}

# Builds or completes .venv. The stamp says that this was done for these pins, which keeps later starts quick.
prepare_venv() {
  local base stamp lock=$root/requirements.txt
  stamp=$(cat "$root/requirements.txt" "$root/pyproject.toml" | cksum)
  if [[ -x $venv/bin/python && $(cat "$venv/stamp" 2>/dev/null) == "$stamp" ]]; then
    return
  fi
  if [[ ! -x $venv/bin/python ]]; then
    base=$(find_python)
    say "making .venv with $("$base" --version)"
    "$base" -m venv "$venv"
  fi
  if ! satisfied "$venv/bin/python" >/dev/null; then
    if [[ -n ${TORCH_INDEX:-} ]]; then
      lock=$venv/requirements-cpu.txt
      (cd "$root" && "$venv/bin/python" -m common.environment --cpu "$lock")
    fi
    say "installing requirements.txt into .venv (several GB unless torch is CPU-only; minutes)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r "$lock"
    if ! satisfied "$venv/bin/python"; then
      say "the installation above is not what requirements.txt asks for; remove .venv and start again"
      return 1
    fi
  fi
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -e "$root"
  printf '%s\n' "$stamp" >"$venv/stamp"
}

# Every check of the project, each even when one before it failed. The closing line counts them.
run_tests() {
  local scratch passed=0 failed=0 failures=() notebooks parallel=(-n auto --maxprocesses 4 --dist loadfile)
  scratch=$(mktemp -d)
  # shellcheck disable=SC2064  # the folder's name as it is now
  trap "rm -rf '$scratch'" EXIT
  cd "$root"
  # Tests leave alone what was measured and rendered here.
  export IMBALANCE_STORE=$scratch/store IMBALANCE_REPORTS=$scratch/reports
  # One thread each: pytest, papermill's kernels and the trainings inside them would fight over the cores.
  export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

  step() {
    local name=$1
    shift
    say "test: $name"
    if "$@"; then passed=$((passed + 1)); else
      failed=$((failed + 1))
      failures+=("$name")
    fi
  }

  step "ruff" "$python" -m ruff check .
  step "unit tests" "$python" -m pytest "${parallel[@]}"
  notebooks=$(find notebooks -maxdepth 1 -name '[0-9]*_*.ipynb' | head -n 1)
  if [[ -n $notebooks ]]; then
    step "notebooks run as they are" "$python" -m pytest "${parallel[@]}" --nbval-lax --nbval-cell-timeout=600 notebooks/
    step "demo from the command line" "$python" -P -m common.run demo
  fi
  if ((failed)); then printf 'run_all: failed: %s\n' "${failures[@]}" >&2; fi
  printf 'checks: %d passed, %d failed\n' "$passed" "$failed"
  ((failed == 0))
}

export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2} TF_ENABLE_ONEDNN_OPTS=${TF_ENABLE_ONEDNN_OPTS:-0}
# Found from any folder, in an active environment too, where nothing is installed.
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}

if python=$(command -v python) && satisfied "$python" >/dev/null; then
  : # the active environment has everything
else
  prepare_venv
  python=$venv/bin/python
fi

case ${1:-} in
  test)
    (($# == 1)) || { say "'test' takes no arguments"; exit 2; }
    run_tests
    ;;
  lab)
    shift
    exec "$python" -m jupyter lab --ip=127.0.0.1 --notebook-dir="$root/notebooks" "$@"
    ;;
  *)
    # -P: a folder called `common` where the user happens to be must not be taken for ours.
    exec "$python" -P -m common.run "$@"
    ;;
esac
