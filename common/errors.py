"""The one error that says: the input is wrong, and this is the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def reason(error: BaseException) -> str:
    """The first line of what an error says, without its full stop; its name where it says nothing."""
    return next(iter(str(error).splitlines()), "").rstrip(".") or type(error).__name__


class UserError(ValueError):
    """Bad input.

    The message is one line that names the value, what was expected and what to do. The command line prints it and
    exits 2; nothing has been started when it is raised.
    """

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: that line, for a traceback tells the reader of a notebook no more."""
        return [f"{type(self).__name__}: {self}"]


def unknown(what: str, value: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not among the known ones, with the nearest of them."""
    known = [str(name) for name in known]
    close = difflib.get_close_matches(str(value), known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return UserError(f"unknown {what} {value!r}; {hint}there are {', '.join(known) or 'none'}")
