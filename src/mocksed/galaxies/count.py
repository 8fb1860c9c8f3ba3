"""The number of galaxies of a configuration, found quickly before anything runs."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from mocksed import jsontext
from mocksed.errors import UserError, no_file
from mocksed.galaxies.files import Files, files_of, table_path

GUESS = 1_000_000
"""Galaxies of a table that is not there, or does not tell."""


class Count(NamedTuple):
    """A number of galaxies, and how it is known."""

    n: int
    how: str


def of_config(config: Mapping[str, Any]) -> Count:
    """Return the number of galaxies of a complete configuration.

    Of a light cone it is the number that will be drawn; of a table its rows as the head of the file has them, with
    those that a run leaves out. A table that is missing or unreadable counts as `GUESS`, which leaves it to the run to
    say what is wrong with it.

    Raises
    ------
    UserError
        If a light cone is empty or has impossible limits.

    """
    galaxies = config["galaxies"]
    if galaxies["source"] == "table":
        table = galaxies["table"]
        path = table_path(table["path"] or "")
        files = files_of(path)
        if any(map(no_file, files)):
            return Count(GUESS, f"a guess: {path} is not there yet")
        return _of_table(path, table["format"], table["dataset"], tuple(file.stat().st_mtime_ns for file in files))
    if n := galaxies["lightcone"]["n_galaxies"]:
        return Count(int(n), "as the config says")
    drawn = _of_lightcone(
        jsontext.dumps([galaxies["lightcone"], config["cosmology"], config["seed"], galaxies["mass_functions"]])
    )
    return Count(drawn, f"drawn for {galaxies['lightcone']['area']:g} deg^2")


@lru_cache
def _of_table(path: Path | Files, file_format: str, dataset: str | int | None, modified: tuple[int, ...]) -> Count:
    from mocksed.galaxies.readers import count_rows  # takes 0.3 s to import, and light cones do without

    try:
        n, counted = count_rows(path, file_format, dataset)
    except UserError:
        return Count(GUESS, f"a guess: {path} cannot be read")
    return Count(n, f"the rows of {path}" if counted else f"estimated from the first lines and the size of {path}")


@lru_cache
def _of_lightcone(key: str) -> int:
    from mocksed.cosmology import Cosmology
    from mocksed.galaxies.lightcone import LightCone

    lightcone, cosmology, seed, mass_functions = json.loads(key)
    return LightCone.from_config(lightcone, Cosmology(**cosmology), seed, mass_functions).n_galaxies
