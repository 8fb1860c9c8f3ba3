"""Spectra as files: one row per galaxy, in the window that the config asks for."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mocksed import catalog
from mocksed.jobs import Progress
from mocksed.sps.engine import Engine
from mocksed.sps.fsps import ReferenceEngine
from mocksed.storage import replacing, to_table

NEEDED = ("galaxy_id", "quiescent", "log_mstar", "mass_fraction", "age", "tau", "dust2", "log_zmet", "log_us")
"""Columns of the catalogue from which a spectrum follows."""


def window(wavelength: NDArray[np.float64], limits: tuple[float, float]) -> slice:
    """Return the wavelengths [A] within ``limits``, both included."""
    return slice(
        *(int(i) for i in (np.searchsorted(wavelength, limits[0]), np.searchsorted(wavelength, limits[1], "right")))
    )


def write(
    path: Path | str,
    columns: Mapping[str, NDArray],
    engine: Engine | ReferenceEngine,
    limits: tuple[float, float],
    metadata: Mapping[str, object],
    progress: Progress | None = None,
) -> None:
    """Write the spectra of a catalogue to a Parquet file, whole or not at all, holding one block at a time.

    Parameters
    ----------
    path : path
        The file: ``galaxy_id`` and ``spectrum``, a list of float32 of fixed size, rest-frame L_nu [Lsun/Hz]; its
        metadata hold ``wavelength``, a JSON list [A, vacuum].
    columns : mapping of str to ndarray of shape (n, )
        `NEEDED`.
    engine : Engine or ReferenceEngine
        The stellar population model.
    limits : tuple of float
        Rest-frame wavelengths to keep [A].
    metadata : mapping
        Further metadata, stored as JSON.
    progress : Progress, optional
        Told of the galaxies that are done.

    """
    kept = window(engine.wavelength, limits)
    about = dict(metadata) | {"wavelength": [float(x) for x in engine.wavelength[kept]]}

    def block_table(rows: slice, flux: NDArray[np.float32]) -> pa.Table:
        return to_table({"galaxy_id": columns["galaxy_id"][rows], "spectrum": flux[:, kept]}, about)

    empty = block_table(slice(0, 0), np.empty((0, len(engine.wavelength)), np.float32))
    with replacing(path) as temporary, pq.ParquetWriter(temporary, empty.schema, compression="zstd") as writer:
        for rows, flux in catalog.spectra(columns, engine, progress):
            writer.write_table(block_table(rows, flux))


def read_wavelength(path: Path | str) -> NDArray[np.float64]:
    """Return the rest-frame wavelengths of a file of spectra [A, vacuum], shape (n_wave, )."""
    return np.array(json.loads(pq.read_schema(path).metadata[b"wavelength"]))
