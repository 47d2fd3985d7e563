"""The command line's words and options, and what they alone can get wrong."""

from __future__ import annotations

import argparse

from common.errors import UserError, unknown
from common.options import PROFILES

WORDS = {  # word -> whether it takes a file
    "demo": False,
    "reduced": False,
    "paper": False,
    "site": False,
    "export": True,
    "merge": True,
    "clean": False,
}

DESCRIPTION = """\
Run the replication notebooks, or one of the words:
  demo            stand-in data, minutes (default)
  reduced         real data, a stated subset, shortened schedules; resumable
  paper           the papers' full protocols; for a GPU, resumable
  site            write index, ledger, comparison, and the results in README.md and docs/ again
  export FILE     write the measured results to a folder or a .zip
  merge FILE      take in what export wrote on another machine
  clean           remove reports/runs, reports/demo, decoded data and old checkpoints; results stay
  test            check everything (./run_all.sh only)
  lab             JupyterLab on this machine (./run_all.sh only)
"""

EPILOG = """\
Finished cells are kept in the store: starting the same command again goes on where it stopped.
Exit status: 0 done (or out of time), 1 a run failed, 2 bad input, 130 interrupted.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UserError(f"{message}; see --help")


def parser() -> argparse.ArgumentParser:
    """The parser of `python -m common.run`."""
    p = _Parser(
        prog="run_all.sh", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter, usage="%(prog)s [WORD [FILE]] [options]",
    )  # fmt: skip
    p.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    p.add_argument("--only", action="append", default=[], metavar="N|STEM", help="these notebooks (repeat, or commas)")
    p.add_argument("--data", metavar="DIR", help="folder of data sets (else IMBALANCE_DATA, else data/)")
    p.add_argument("--store", metavar="DIR", help="folder of finished cells (else IMBALANCE_STORE, else .store/)")
    p.add_argument("--weights", metavar="FILE", help="pre-trained weights (else IMBALANCE_WEIGHTS)")
    p.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where networks train")
    p.add_argument("--jobs", type=int, default=1, metavar="N", help="notebooks at once, sharing the cores")
    p.add_argument("--scheduler", metavar="ADDRESS", help="run the cells on this Dask cluster; local: one here")
    p.add_argument("--time-budget", default="", metavar="90m", help="for all runs of this start together")
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a notebook parameter (repeat)")
    p.add_argument("--no-notebook", action="store_true", help="run the cells without Jupyter; no pages")
    p.add_argument("--refresh", action="store_true", help="run finished cells again")
    p.add_argument("--dry-run", action="store_true", help="say which cells would run and why; start nothing")
    p.add_argument("--offline", action="store_true", help="never download data or weights")
    p.add_argument("--version", action="store_true", help="print the version")
    return p


def parse(argv: list[str]) -> tuple[str, str | None, argparse.Namespace]:
    """(word, its file or None, options); `UserError` for what the parser alone can tell."""
    arguments = parser().parse_intermixed_args(argv)
    word, *rest = arguments.words or ["demo"]
    if word in ("test", "lab"):
        raise UserError(f"{word!r} is a word of ./run_all.sh, and comes first")
    if word not in WORDS:
        raise unknown("word or profile", word, (*WORDS, "test", "lab"))
    if len(rest) > WORDS[word]:
        raise UserError(f"{word}: {rest[-1]!r} is one word too many")
    if len(rest) < WORDS[word]:
        raise UserError(f"{word}: which file? For example `{word} results.zip`")
    if rest and not rest[0].strip():  # a path of "" would be the current folder
        raise UserError(
            f"{word} {rest[0]!r}: an empty name; expected a file or folder (is a variable of the shell unset?)"
        )
    if arguments.jobs < 1:
        raise UserError(f"--jobs {arguments.jobs}: expected at least 1")
    if arguments.jobs > 1 and arguments.no_notebook:
        raise UserError("--jobs is for notebooks; with --no-notebook the cells already use the cores (--set workers=N)")
    if word in PROFILES:
        return word, None, arguments
    given = {name for name, value in vars(arguments).items() if value != parser().get_default(name)} - {"words"}
    for name in sorted(given - ({"store"} if word in ("export", "merge") else set()) - {"version"}):
        raise UserError(f"{word} takes no --{name.replace('_', '-')}")
    return word, rest[0] if rest else None, arguments
