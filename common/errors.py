"""The one error that says: the input is wrong, and this is the way out."""


class UserError(ValueError):
    """Bad input.

    The message is one line that names the value, what was expected and what to do. The command line prints it and
    exits 2; nothing has been started when it is raised.
    """
