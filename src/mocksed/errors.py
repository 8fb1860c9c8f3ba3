"""The one exception that users are meant to see."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Something the user can put right: a config value, an input table, a disk.

    The message says what is wrong, where (file, column, row, key), what was expected and what to do. It is
    printed alone, without a traceback.
    """


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean X?" with the known name nearest to a mistyped one, nothing if none is near."""
    close = get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""
