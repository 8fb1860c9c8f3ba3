"""The files that a path of the config stands for: one, several that are listed, or those that match a pattern."""

import glob
import os
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mocksed.errors import UserError

_END_BYTES = 1 << 16


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


def made_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the galaxies of a configuration follow from, besides seed, cosmology and realisations.

    Returns
    -------
    dict
        ``source`` and its settings in the config. Of a table, instead of its path, which may change with the machine,
        ``file``, its name, how many ``files`` it has, their ``bytes`` and a checksum of both ends of each, ``crc32``:
        enough to tell one table from another without reading it.

    Raises
    ------
    UserError
        If the table cannot be read.

    """
    source = config["galaxies"]["source"]
    settings = dict(config["galaxies"][source])
    if source == "lightcone" or settings["quiescent"]["from"] == "mass_function":
        settings["mass_functions"] = config["galaxies"]["mass_functions"]
    if source == "table":
        del settings["given"]  # it concerns the search
        settings = _identity(files_of(table_path(settings.pop("path")))) | settings
        if settings["quiescent"]["from"] == "uvj":
            settings["uvj_box"] = config["quiescent"]["uvj_box"]
    return {"source": source, source: settings}


def _identity(files: Sequence[Path]) -> dict[str, Any]:
    size = crc = 0
    for path in files:
        try:
            with open(path, "rb") as file:
                crc = zlib.crc32(file.read(_END_BYTES), crc)
                n = file.seek(0, os.SEEK_END)
                file.seek(max(n - _END_BYTES, 0))
                crc, size = zlib.crc32(file.read(), crc), size + n
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}. Check galaxies.table.path.") from error
    return {"file": files[0].name, "files": len(files), "bytes": size, "crc32": crc}
