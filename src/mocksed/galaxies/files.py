"""The files that a path of the config stands for: one, several that are listed, or those that match a pattern."""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path


class Files(tuple[Path, ...]):
    """Paths of the files of one table, in its order; in messages they are the first one and their number."""

    def __str__(self) -> str:
        return f"{self[0]} and {len(self) - 1} more" if len(self) > 1 else str(self[0])


def table_path(path: str | Sequence[str]) -> Path | Files:
    """Return the config's ``galaxies.table.path`` as a path, which may be a pattern, or as several."""
    return Path(path) if isinstance(path, str) else Files(map(Path, path))


def files_of(path: Path | Files) -> list[Path]:
    """Return the files of a table.

    Parameters
    ----------
    path : Path or Files
        Where there is no file of this name, a pattern as of the shell (``*``, ``?``, ``[ab]``).

    Returns
    -------
    list of Path
        Files that match a pattern are in the order of the numbers in their names (2 before 10). A pattern that nothing
        matches stands for itself, as the file that is missing.

    """
    files: list[Path] = []
    for pattern in [path] if isinstance(path, Path) else path:
        matching = [] if os.path.exists(pattern) else [Path(name) for name in glob.glob(str(pattern))]
        files += sorted(matching, key=_natural) or [pattern]
    return files


def _natural(path: Path) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path))]
