"""Small catalogues as a run writes them, without a run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocksed import catalog
from mocksed.cosmology import Cosmology, age_max
from mocksed.files import storage
from mocksed.files.columns import Flag, column
from mocksed.search.metric import METRICS
from mocksed.uvj import WILLIAMS2009

_COSMO = Cosmology()
PROPOSED = ("log_sfr", "log_zmet", "log_us", "muv", "beta")
_OF_QUIESCENT = ("log_sfr", "log_zmet")  # asked of them

ABOUT = {"run": "demo", "seed": 42, "cosmology": {"H0": 67.66, "Om0": 0.3111}, "small": 1e-5}


def columns(n: int, start: int = 0, *, filters: tuple[str, ...] = ("jwst_f200w", "Euclid-VIS")) -> dict[str, NDArray]:
    """Return columns of the galaxies from ``start`` on, each a function of its identifier."""
    rng = np.random.default_rng(start)
    quiescent = rng.random(n) < 0.3
    ids = np.arange(start, start + n) + 2**60  # which a float would round
    found: dict[str, NDArray] = {
        "galaxy_id": ids,
        "redshift": rng.uniform(0.2, 6.0, n),
        "log_mstar": rng.uniform(8.0, 11.5, n),
        "quiescent": quiescent,
        "ra": rng.uniform(149.9, 150.1, n),
        "dec": rng.uniform(2.0, 2.2, n),
        "age": rng.uniform(0.1, 1.0, n),
        "tau": rng.uniform(0.1, 10.0, n),
        "dust2": rng.uniform(0.0, 1.0, n),
        "dust_index": rng.uniform(-1.0, 0.2, n),
        "log_zmet": rng.uniform(-1.5, 0.2, n),
        "log_us": np.where(quiescent, np.nan, rng.uniform(-3.5, -1.5, n)),
        "log_sfr": rng.uniform(-2.0, 2.0, n),
        "muv": rng.uniform(-22.0, -16.0, n),
        "muv_intrinsic": rng.uniform(-22.0, -16.0, n),
        "beta": rng.uniform(-2.5, 0.0, n),
        "uv": rng.uniform(0.0, 2.0, n),
        "vj": rng.uniform(0.0, 2.0, n),
        "mass_fraction": rng.uniform(0.6, 0.9, n),
        "flags": rng.integers(0, 64, n).astype(np.int32),
    }
    for i, name in enumerate(filters):
        found[f"mag_{name}"] = rng.uniform(20.0, 30.0, n).astype(np.float32)
        found[f"mag_{name}"][i::7] = np.nan  # nothing received
    return found


def write(folder: Path, *shards: Mapping[str, NDArray], stage: str = "catalog", about: Mapping = ABOUT) -> list[Path]:
    """Write the shards of a stage of the run in ``folder``; return their paths."""
    paths = [folder / stage / f"{i:04d}.parquet" for i in range(len(shards))]
    for i, (path, rows) in enumerate(zip(paths, shards, strict=True)):
        storage.write_table(path, rows, {**about, "shard": [i, len(shards)]})
    return paths


def shapes(n: int) -> dict[str, NDArray]:
    """Return columns of morphology."""
    rng = np.random.default_rng(n)
    found = {
        "re_circ": rng.uniform(0.5, 5.0, n),
        "re_maj": rng.uniform(0.1, 1.0, n),
        "sersic_n": rng.uniform(0.6, 4.0, n),
        "axis_ratio": rng.uniform(0.2, 1.0, n),
        "position_angle": rng.uniform(0.0, 180.0, n),
    }
    return _as_stored(found)


def lines(n: int, names: tuple[str, ...]) -> dict[str, NDArray]:
    """Return columns of emission lines and of what is averaged over the history."""
    rng = np.random.default_rng(n)
    found = {f"lineflux_{name}": 10.0 ** rng.uniform(-20.0, -16.0, n) for name in names}
    found |= {f"ew_{name}": rng.uniform(1.0, 500.0, n) for name in names}
    return _as_stored(found | {"log_sfr_10": rng.uniform(-2.0, 2.0, n), "log_sfr_100": rng.uniform(-2.0, 2.0, n)})


def _as_stored(columns: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Return columns with the types that files of a run have for them."""
    types = {name: known.type for name in columns if (known := column(name))}
    return {name: values.astype(types[name].to_pandas_dtype()) for name, values in columns.items()}


def models(engine, rng, quiescent, age, redshift=None):
    """Return what spectra follow from, of galaxies of these classes, with ages [Gyr] and redshifts between limits."""
    n = len(quiescent)
    own = {"galaxy_id": rng.permutation(n) * 10**12}
    own |= {} if redshift is None else {"redshift": rng.uniform(*redshift, n)}
    own |= {
        "quiescent": quiescent,
        "log_mstar": rng.uniform(8.0, 11.5, n),
        "age": rng.uniform(*age, n),
        "tau": rng.uniform(0.1, 10.0, n),
        "dust2": np.where(quiescent, 0.0, rng.uniform(0.0, 1.0, n)),
        "dust_index": rng.uniform(-1.2, 0.4, n),
        "log_zmet": rng.uniform(-1.9, 0.1, n),
        "log_us": np.where(quiescent, np.nan, rng.uniform(-4.0, -1.0, n)),
    }
    own["mass_fraction"] = engine.derived(own["age"], own["tau"], own["log_zmet"], -3.0, 0.0, -0.2, nebular=False)[0]
    return own


def galaxies(n: int = 60, quiescent: float = 0.4) -> dict[str, NDArray]:
    """Return galaxies as a table of a user or a light cone has them."""
    rng = np.random.default_rng(8)
    return {
        "galaxy_id": rng.permutation(n) + 1000,
        "redshift": rng.uniform(0.05, 9.0, n),
        "log_mstar": rng.uniform(8.0, 11.5, n),
        "quiescent": rng.random(n) < quiescent,
    }


def assigned(own: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Return what could have been assigned to the galaxies of each class."""
    rng = np.random.default_rng(9)
    n = len(own["redshift"])
    limit = age_max(_COSMO, own["redshift"])
    everything = {
        "age": limit * rng.uniform(0.1, 1.0, n),
        "tau": 10.0 ** rng.uniform(-1, 2, n),
        "dust2": rng.uniform(0.0, 1.0, n),
        "dust_index": rng.uniform(-0.7, 0.4, n),
        "log_zmet": rng.uniform(-1.9, 0.19, n),
        "log_us": np.where(own["quiescent"], np.nan, rng.uniform(-4.0, -1.0, n)),
        "flags": np.full(n, Flag.AGE_CLIPPED, np.int32),
    }
    for name in PROPOSED:
        values = rng.normal(size=n) - 1.0
        everything[f"prop_{name}"] = values if name in _OF_QUIESCENT else np.where(own["quiescent"], np.nan, values)
    return everything


def build(own: dict[str, NDArray], engine, given: Mapping[str, NDArray] | None = None) -> dict[str, NDArray]:
    """Return galaxies with the columns of the catalogue."""
    return own | catalog.build(
        own, given or assigned(own), engine=engine, metrics=METRICS["default"], cosmo=_COSMO, uvj_box=WILLIAMS2009
    )
