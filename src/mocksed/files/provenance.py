"""Provenance: the record of run and model in every output file.

A stage adds its own settings and takes over the rest from the files that it reads, so that a file records everything it
depends on. The record does not depend on dates or machines. A stage that reads a file compares (`check`) what the file
says with what it would say if this run had made it: files of another configuration, of another clone with the same
folder of results, or that were copied are never mixed in. Snakemake sees the same when it remembers what it did; the
files do not depend on its memory.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocksed import __version__, digest, jsontext, realisations
from mocksed.errors import UserError
from mocksed.files import storage
from mocksed.sps.model import Model

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine
    from mocksed.sps.fsps import ReferenceEngine

log = logging.getLogger("mocksed")

KEYS = (
    *("run", "seed", "cosmology", "realisations", "galaxies", "relations", "search"),
    *("engine", "sps_model", "ssp_table", "fsps"),
)
"""Keys of the record that later stages take over, as far as a file depends on them."""

SHARD = "shard"
"""Key of a file's shard, its number and how many there are: rows do not tell 1 of 2 from 1 of 4. Not taken over."""

_OF_RUN = ("run", "seed", "cosmology")
_OF_GALAXIES = ("seed", "cosmology", "realisations", "galaxies")


def of_run(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of all files of a run, from its complete configuration."""
    return {key: config[key] for key in _OF_RUN}


def of_galaxies(config: Mapping[str, Any], made_of: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of all files with galaxies.

    Parameters
    ----------
    config : mapping
        The complete configuration.
    made_of : mapping
        What the galaxies are made of (`mocksed.galaxies.files.made_of`).

    Returns
    -------
    dict
        As `of_run`, and ``galaxies``; also ``realisations``, their indices, unless it is 0 alone.

    """
    indices = realisations.indices(config["realisations"])
    about = of_run(config) | {"galaxies": dict(made_of)}
    return about | ({"realisations": indices} if realisations.column_needed(indices) else {})


def of_shard(number: int, n_shards: int) -> dict[str, Any]:
    """Return the record of the shard of galaxies in a file."""
    return {SHARD: [number, n_shards]}


def expected_of_galaxies(about: Mapping[str, Any], shard: Sequence[int]) -> dict[str, Any]:
    """Return the expected record of a file of galaxies of a run, for `check`.

    Parameters
    ----------
    about : mapping
        What files of the run say, those of galaxies or of a later stage.
    shard : pair of int
        Number of the shard, and how many there are.

    """
    return {key: about.get(key) for key in _OF_GALAXIES} | {SHARD: list(shard)}


def expected_of_search(about: Mapping[str, Any], sps: Mapping[str, Any], shard: Sequence[int]) -> dict[str, Any]:
    """Return the expected record of a file of neighbours, or of later stages, of a run, for `check`.

    Parameters
    ----------
    about : mapping
        What these files of the run say: of the galaxies, ``relations`` and ``search``.
    sps : mapping
        The config's ``sps``.
    shard : pair of int
        Number of the shard, and how many there are.

    """
    record = {key: about.get(key) for key in ("relations", "search")} | {"sps_model": asdict(Model.from_config(sps))}
    if os.path.isfile(sps["table"]):  # else the stage that reads it stops
        record["ssp_table.sha256"] = digest.sha256(sps["table"])
    return expected_of_galaxies(about, shard) | record


def expected_of_catalogue(about: Mapping[str, Any], sps: Mapping[str, Any], shard: Sequence[int]) -> dict[str, Any]:
    """Return the expected record of a shard of the catalogue of a run, for `check`; parameters as before."""
    record = {"engine": sps["engine"]} | ({"fsps.imf_type": sps["imf_type"]} if sps["engine"] == "fsps" else {})
    return expected_of_search(about, sps, shard) | record


def check(path: Path | str, expected: Mapping[str, Any]) -> None:
    """Stop unless a file has the expected record.

    The name of the run, and all that is not in ``expected``, may be anything. Another version of mocksed is noted in
    the log.

    Parameters
    ----------
    path : path
        Parquet or JSON that the pipeline wrote.
    expected : mapping of str to value
        Keys of the file's metadata; a dot leads to a key within ("ssp_table.sha256").

    Raises
    ------
    UserError
        If the file cannot be read, or says something else: the message names what differs, and both values.

    """
    agree(path, _metadata(path), expected)


def agree(
    path: Path | str, metadata: Mapping[str, Any], expected: Mapping[str, Any], within: str | None = None
) -> None:
    """Stop as `check` does, of metadata that are read already, all or what is ``within`` one of their keys."""
    if (version := metadata.get("mocksed_version", __version__)) != __version__:
        log.info("%s was made by mocksed %s; this is %s.", path, version, __version__)
    for key, expected_value in storage.plain(expected).items():
        value: Any = metadata if within is None else metadata[within]
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if difference := _difference(key, value, expected_value):
            where, stored, wanted = difference
            raise UserError(
                f"{path} was made with another configuration: {where} is {jsontext.shown(stored)}, expected "
                f"{jsontext.shown(wanted)}. Remove it and run again: it will be made again."
            )


def _difference(key: str, stored: Any, expected: Any) -> tuple[str, Any, Any] | None:
    """Return the name and both values of the first thing that differs."""
    if isinstance(stored, Mapping) and isinstance(expected, Mapping):
        names = dict.fromkeys([*expected, *stored])
        inside = (_difference(f"{key}.{name}", stored.get(name), expected.get(name)) for name in names)
        return next(filter(None, inside), None)
    return None if stored == expected else (key, stored, expected)


def of_engine(engine: Engine | ReferenceEngine, sps: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of files with numbers of a stellar population model.

    Parameters
    ----------
    engine : Engine or ReferenceEngine
        The model.
    sps : mapping
        The config's ``sps``, from which it was made.

    Returns
    -------
    dict
        ``engine``, ``sps_model``, and either ``ssp_table``, what the table says of itself with the ``file``'s name and
        the ``sha256`` of its bytes, or ``fsps``, what python-fsps says of itself.

    """
    about: dict[str, Any] = {key: value for key, value in engine.about.items() if key in KEYS}
    if "ssp_table" in about:
        about["ssp_table"] = {
            **about["ssp_table"],
            "file": Path(sps["table"]).name,
            "sha256": digest.sha256(sps["table"]),
        }
    else:
        about["fsps"] = {key: value for key, value in engine.about.items() if key not in KEYS}
    return about


def of_file(path: Path | str) -> dict[str, Any]:
    """Return the record in a file of the pipeline, Parquet or JSON.

    Raises
    ------
    UserError
        If it cannot be read.

    """
    metadata = _metadata(path)
    return {key: metadata[key] for key in KEYS if key in metadata}


def _metadata(path: Path | str) -> Mapping[str, Any]:
    stored: Mapping[str, Any] = storage.read_json(path) if Path(path).suffix == ".json" else storage.metadata(path)
    return stored


def stamped(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with the version of mocksed, for files that `mocksed.files.storage` does not stamp itself."""
    return {"mocksed_version": __version__, **about}
