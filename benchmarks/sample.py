"""Galaxies to compute, every parameter spread over its range, and what is computed of them."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mocksed import light
from mocksed.cosmology import Cosmology, age_max
from mocksed.run import configuration
from mocksed.search.parent import FSPS
from mocksed.sps import filters
from mocksed.sps.engine import Engine

NIRCAM = [f"jwst_f{band}" for band in ("070w", "090w", "115w", "150w", "200w", "277w", "356w", "410m", "444w", "480m")]

Columns = dict[str, NDArray]


def galaxies(n: int, seed: int = 1) -> Columns:
    """Return the columns that spectra and magnitudes need, arrays of shape (n, )."""
    rng = np.random.default_rng(seed)
    redshift = rng.uniform(0.1, 8.0, n)
    return {
        "redshift": redshift,
        "log_mstar": rng.uniform(8.0, 11.0, n),
        "quiescent": np.zeros(n, bool),
        "mass_fraction": np.full(n, 0.6),
        "age": age_max(Cosmology(), redshift) * rng.uniform(0.01, 1.0, n),
        "tau": 10.0 ** rng.uniform(-1.0, 2.0, n),
        "log_zmet": rng.uniform(-1.9, 0.19, n),
        "log_us": rng.uniform(-4.0, -1.0, n),
        "dust2": rng.uniform(0.0, 2.0, n),
        "dust_index": rng.uniform(-1.2, 0.4, n),
    }


def parameters(columns: Columns) -> tuple[NDArray, ...]:
    """Return the arguments of the engine."""
    return tuple(columns[name] for name in FSPS)


@cache
def default_filters() -> tuple[str, ...]:
    """Return the filters of a config that names none."""
    return tuple(configuration.load({"run": "benchmark"})["photometry"]["filters"])


def spectra(engine: Engine, columns: Columns) -> None:
    """Compute spectra in the blocks of the pipeline, and keep none."""
    for _ in light.spectra(columns, engine):
        pass


def derived(engine: Engine, columns: Columns) -> None:
    """Compute the derived quantities."""
    engine.derived(*parameters(columns), nebular=True)


def magnitudes(engine: Engine, columns: Columns, names: Sequence[str] = NIRCAM) -> None:
    """Compute apparent magnitudes behind the intergalactic medium."""
    bands = [filters.load(name) for name in names]
    light.magnitudes(columns, bands, engine=engine, cosmo=Cosmology(), igm_model="madau1995")


WORK: dict[str, Callable[[Engine, Columns], None]] = {
    "spectra": spectra,
    "derived quantities": derived,
    "ten magnitudes": magnitudes,
}
"""What memory and threads are measured with."""
