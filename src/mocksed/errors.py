"""The exception for errors that users can correct."""

import os
import stat
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class UserError(Exception):
    """An error that the user can correct: a config value, an input table, a full disk.

    The message says what is wrong, where (file, column, row, key), what was expected and what to do. It is
    printed alone, without a traceback.
    """


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean X?" with the known name nearest to a mistyped one, nothing if none is near."""
    close = get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]}?" if close else ""


def no_file(path: Path | str) -> str:
    """Return why a path is not that of a file that can be opened, as the end of a sentence, nothing if it is."""
    try:
        return "" if stat.S_ISREG(os.stat(path).st_mode) else "is not a file"
    except PermissionError:
        return "is in a folder that you may not enter"
    except (OSError, ValueError):  # also names that are too long, or have NUL in them
        return "is not a file"
