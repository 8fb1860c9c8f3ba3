"""The parent catalogue: points in the parameter space of FSPS from which the galaxies take theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mocksed import relations as rel
from mocksed.cosmology import AGE_MARGIN, age_max, t_univ
from mocksed.errors import UserError
from mocksed.relations import Relations
from mocksed.rng import Stage, uniforms
from mocksed.sps import TAU_RANGE

if TYPE_CHECKING:  # both take seconds to import, and not every stage that knows parents needs them
    from astropy.cosmology import FlatLambdaCDM

    from mocksed.sps.engine import Engine

Array = NDArray[np.float64]
Distribution = Mapping[str, Any]
Sampling = Mapping[str, Distribution]

PARAMETERS = ("log_mstar", "redshift", "age", "tau", "dust2", "log_zmet", "log_us")
"""Drawn in this order: each may depend on those before it, and has its own random number."""

COLUMNS = (*PARAMETERS, "log_sfr", "mass_fraction", "muv", "beta", "uv", "vj")
"""Columns of the parent catalogue."""

_DRAKOS_A: Sampling = {
    "log_mstar": {"uniform": (5.0, 12.0)},
    "redshift": {"uniform": (0.0, 12.0)},
    "log_zmet": {"relation": True},
    "log_us": {"relation": True},
    "dust2": {"normal": (0.0, 1.0, 0.0, 4.0)},
    "age": {"log_uniform_to_t_univ": AGE_MARGIN},
    "tau": {"log_uniform": TAU_RANGE},
}
_DRAKOS_B: Sampling = {
    "log_mstar": {"uniform": (5.0, 12.0)},
    "redshift": {"uniform_in_scale_factor": (0.0, 12.0)},
    "log_zmet": {"relation": True},
    "log_us": {"relation": True},
    "dust2": {"normal": (0.0, 0.5, 0.0, 4.0)},
    "age": {"normal": (6.0, 2.0)},
    "tau": {"uniform": TAU_RANGE},
}
_DEFAULT: Sampling = {
    "log_mstar": {"uniform": (5.0, 12.0)},
    "redshift": {"uniform": (0.0, 12.0)},
    "log_zmet": {"uniform": rel.LOG_ZMET_RANGE},
    "log_us": {"relation": True},
    "dust2": {"normal": (0.0, 1.0, 0.0, 4.0)},
    "age": {"log_uniform_to_t_univ": AGE_MARGIN},
    "tau": {"log_uniform": TAU_RANGE},
}

PRESETS: dict[str, dict[str, Sampling]] = {
    "star_forming": {"default": _DEFAULT, "drakos2021a": _DRAKOS_A, "drakos2021b": _DRAKOS_B},
    "quiescent": {
        "default": {
            **_DEFAULT,
            "dust2": {"constant": 0.0},
            "log_zmet": {"relation": True},
            "age": {"fraction_of_t_univ": (0.0, 1.0)},
        },
        "drakos2021a": {**_DRAKOS_A, "dust2": {"constant": 0.0}},
        "drakos2021b": {
            **_DRAKOS_B,
            "dust2": {"constant": 0.0},
            "age": {"normal": (10.0, 2.0)},
            "tau": {"uniform": (0.1, 10.0)},
        },
    },
}
"""Sampling presets of each class. April and May 2021: Drakos et al. (2022). The default covers the metallicities
evenly, since mass and metallicity are matched independently of each other."""


def sampling_of(setting: str | Sampling, kind: str) -> Sampling:
    """Return the distributions of a class ("star_forming", "quiescent"), from a preset's name or as they are."""
    return PRESETS[kind][setting] if isinstance(setting, str) else setting


def sample(
    ids: NDArray[np.int64],
    sampling: Sampling,
    *,
    quiescent: bool,
    seed: int,
    cosmo: FlatLambdaCDM,
    scatter: Relations,
) -> dict[str, Array]:
    """Draw the parameters of points.

    Parameters
    ----------
    ids : ndarray of shape (n, )
        Indices of the points; each has its own random numbers.
    sampling : mapping
        The distribution of each of `PARAMETERS`.
    quiescent : bool
        The class, which decides the relation behind the metallicity.
    seed : int
        Seed of the run.
    cosmo : FlatLambdaCDM
        Cosmology that limits the ages.
    scatter : Relations
        Scatter of the relations.

    Returns
    -------
    dict of ndarrays of shape (n, )
        One for each of `PARAMETERS`; ages between 1e6 yr and the age of the universe less 1e6 yr.

    """
    stage = Stage.PARENT_QUIESCENT if quiescent else Stage.PARENT_STAR_FORMING
    random = uniforms(seed, stage, ids, len(PARAMETERS))
    drawn: dict[str, Array] = {}
    for column, name in enumerate(PARAMETERS):
        drawn[name] = draw(name, sampling[name], random[:, column], drawn, quiescent, cosmo, scatter)
    return drawn


def draw(
    name: str,
    distribution: Distribution,
    uniform: Array,
    drawn: Mapping[str, Array],
    quiescent: bool,
    cosmo: FlatLambdaCDM,
    scatter: Relations,
) -> Array:
    """Return a parameter at the cumulative probabilities ``uniform`` of its distribution, given those ``drawn``.

    Distributions of the age are cut to the ages allowed at the redshift, not clipped: nothing piles up at the limit.
    """
    ((kind, value),) = distribution.items()
    low, high = (AGE_MARGIN, age_max(cosmo, drawn["redshift"])) if name == "age" else (-np.inf, np.inf)
    match kind, value:
        case "relation", _ if name == "log_us":
            result = scatter.log_us.draw(rel.log_us(drawn["log_zmet"]), uniform)
        case "relation", _:
            log_sfr = rel.log_sfr_quiescent if quiescent else rel.log_sfr_star_forming
            mean = rel.log_zmet(drawn["log_mstar"], log_sfr(drawn["log_mstar"], drawn["redshift"]))
            result = scatter.log_zmet.draw(mean, uniform)
        case "constant", _:
            result = np.full(len(uniform), float(value))
        case "uniform", (first, last):
            first, last = np.clip(first, low, high), np.clip(last, low, high)
            result = first + uniform * (last - first)
        case "log_uniform", (first, last):
            first, last = np.clip(first, low, high), np.clip(last, low, high)
            result = first * (last / first) ** uniform
        case "normal", (mean, sigma, *limits):
            first, last = (np.maximum(low, limits[0]), np.minimum(high, limits[1])) if limits else (low, high)
            deviate = rel.normal_between((first - mean) / sigma, (last - mean) / sigma, uniform)
            result = np.clip(mean + sigma * deviate, first, last)
        case "uniform_in_scale_factor", (first, last):
            first, last = 1.0 / (1.0 + last), 1.0 / (1.0 + first)
            result = 1.0 / (first + uniform * (last - first)) - 1.0
        case "log_uniform_to_t_univ", youngest:
            result = youngest * (high / youngest) ** uniform
        case "fraction_of_t_univ", (first, last):
            result = (first + uniform * (last - first)) * t_univ(cosmo, drawn["redshift"])
        case _:
            raise ValueError(f"unknown distribution {kind} of {name}")
    return np.clip(result, low, high)


def evaluate(parameters: Mapping[str, Array], engine: Engine, *, quiescent: bool) -> dict[str, Array]:
    """Return the parent catalogue, `COLUMNS`: the parameters and what the stellar population model makes of them.

    Metallicities are those of the SSP table where the drawn ones lie outside it. Quiescent points have no gas.

    Raises
    ------
    UserError
        If the model cannot take a parameter, or nothing is left of a point's light.

    """
    columns = {name: np.asarray(parameters[name]) for name in PARAMETERS}
    columns["log_zmet"] = engine.clip_log_zmet(columns["log_zmet"])
    fsps = (columns[name] for name in ("age", "tau", "log_zmet", "log_us", "dust2"))
    derived = engine.derived(*fsps, nebular=not quiescent)
    columns["log_sfr"] = derived.log_ssfr + columns["log_mstar"]
    columns["muv"] = derived.muv - 2.5 * columns["log_mstar"]
    for name in ("mass_fraction", "beta", "uv", "vj"):
        columns[name] = getattr(derived, name)
    for name, values in columns.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            point = ", ".join(f"{key} {columns[key][bad[0]]:.3g}" for key in PARAMETERS)
            raise UserError(
                f"{name} of {len(bad)} of {len(values)} parent points is no finite number, e.g. at {point}. Change "
                f"parent.{'quiescent' if quiescent else 'star_forming'}.sampling in the config."
            )
    return columns
