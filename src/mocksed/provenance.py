"""Where numbers come from: what every output file says of the run and the model that made it.

A stage adds what it knows and takes over the rest from the files that it reads, so that a file tells of all that it
depends on. Nothing of it depends on shards, dates or machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mocksed import __version__, realisations, storage
from mocksed.errors import UserError

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine
    from mocksed.sps.fsps import ReferenceEngine

KEYS = ("run", "seed", "cosmology", "realisations", "relations", "engine", "sps_model", "ssp_table", "fsps")
"""What a file says, as far as it depends on it, beside the version of mocksed."""

_OF_RUN = ("run", "seed", "cosmology")


def of_run(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all files of a run say, from its complete configuration."""
    return {key: config[key] for key in _OF_RUN}


def of_galaxies(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what all files with galaxies say: also the indices of their realisations, unless it is 0 alone."""
    indices = realisations.indices(config["realisations"])
    return of_run(config) | ({"realisations": indices} if realisations.column_needed(indices) else {})


def of_engine(engine: Engine | ReferenceEngine, sps: Mapping[str, Any]) -> dict[str, Any]:
    """Return what files with numbers of a stellar population model say.

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
        about["ssp_table"] = {**about["ssp_table"], "file": Path(sps["table"]).name, "sha256": sha256(sps["table"])}
    else:
        about["fsps"] = {key: value for key, value in engine.about.items() if key not in KEYS}
    return about


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file, as ``sha256sum`` prints it.

    Raises
    ------
    UserError
        If it cannot be read.

    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Check the path, seen from {Path.cwd()}.") from error


def of_file(path: Path | str) -> dict[str, Any]:
    """Return what a file of the pipeline, Parquet or JSON, says of where its numbers come from.

    Raises
    ------
    UserError
        If it cannot be read.

    """
    stored = storage.read_json(path) if Path(path).suffix == ".json" else storage.metadata(path)
    return {key: stored[key] for key in KEYS if key in stored}


def stamped(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return it with the version of mocksed, for files that are not Parquet (`mocksed.storage` stamps those)."""
    return {"mocksed_version": __version__, **about}
