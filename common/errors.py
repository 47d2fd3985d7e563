"""The one error that says: the input is wrong, and this is the way out."""


def reason(error: BaseException) -> str:
    """The first line of what an error says, without its full stop; its name where it says nothing."""
    return next(iter(str(error).splitlines()), "").rstrip(".") or type(error).__name__


class UserError(ValueError):
    """Bad input.

    The message is one line that names the value, what was expected and what to do. The command line prints it and
    exits 2; nothing has been started when it is raised.
    """
