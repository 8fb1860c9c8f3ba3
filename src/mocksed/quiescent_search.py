"""Whether any age, metallicity and dust gives a quiescent galaxy the colours of one: what its assignment is judged by.

A dense search over everything that is allowed, refined around its best point, with the stellar population model alone:
neither the priors nor the tables and tries of the assignment enter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mocksed.cosmology import AGE_MARGIN, Cosmology, age_max
from mocksed.quiescent_proposal import missed_sfr, solve_tau
from mocksed.relations import LOG_ZMET_RANGE

if TYPE_CHECKING:
    from mocksed.sps.engine import Engine

Array = NDArray[np.float64]

_N_AGE, _N_ZMET, _N_DUST2 = 40, 8, 9  # of the search
_YOUNGEST = 0.02  # of the oldest allowed age
_ROUNDS, _N_LOCAL = 5, 5  # of the refinement, and points along each axis
_AT_ONCE = 200_000  # points


class Nearest(NamedTuple):
    """The allowed point deepest in the UVJ box, or else the nearest to it; arrays of shape (n, ).

    Attributes
    ----------
    depth : ndarray
        How far inside the nearest side of the box [mag]; negative outside, -inf where no history has the SFR.
    age, log_zmet, dust2 : ndarrays
        Its parameters.

    """

    depth: Array
    age: Array
    log_zmet: Array
    dust2: Array


def depth(uv: Array, vj: Array, box: Mapping[str, float]) -> Array:
    """Return how far colours lie inside the nearest side of the UVJ box [mag], negative outside."""
    diagonal = (uv - box["slope"] * vj - box["intercept"]) / np.hypot(box["slope"], 1.0)
    return np.minimum(np.minimum(uv - box["uv_min"], box["vj_max"] - vj), diagonal)


def nearest(
    log_ssfr: Array,
    redshift: Array,
    box: Mapping[str, float],
    engine: Engine,
    cosmo: Cosmology,
    dust2_range: tuple[float, float],
) -> Nearest:
    """Search the allowed points with the SFR of each galaxy for the one deepest in the UVJ box.

    Parameters
    ----------
    log_ssfr, redshift : ndarrays of shape (n, )
        SFR per surviving mass, log10 [1/yr], and redshift.
    box : mapping
        The UVJ box (see `mocksed.uvj`).
    engine : Engine
        The stellar population model.
    cosmo : Cosmology
        Cosmology that limits the ages.
    dust2_range : tuple of float
        The dust that is allowed.

    """
    oldest = np.maximum(age_max(cosmo, redshift), AGE_MARGIN)
    at_once = max(_AT_ONCE // (_N_AGE * _N_ZMET * _N_DUST2), 1)
    parts = [slice(first, first + at_once) for first in range(0, max(len(log_ssfr), 1), at_once)]
    found = [_search(log_ssfr[part], oldest[part], box, engine, dust2_range) for part in parts]
    return Nearest(*(np.concatenate(values) for values in zip(*found, strict=True)))


def _search(
    log_ssfr: Array, oldest: Array, box: Mapping[str, float], engine: Engine, dust2_range: tuple[float, float]
) -> Nearest:
    zmet_range = (
        max(LOG_ZMET_RANGE[0], engine.table.log_zmet_range[0]),
        min(LOG_ZMET_RANGE[1], engine.table.log_zmet_range[1]),
    )
    centre = np.full((len(log_ssfr), 3), 0.5)  # of the part searched, of log age / oldest, metallicity and dust2
    width, counts = 1.0, (_N_AGE, _N_ZMET, _N_DUST2)
    for _ in range(1 + _ROUNDS):
        steps = [np.linspace(-0.5, 0.5, n) * width for n in counts]
        offset = np.stack([x.ravel() for x in np.meshgrid(*steps, indexing="ij")], axis=1)
        at = np.clip(centre[:, None] + offset, 0.0, 1.0)
        age = np.maximum(oldest[:, None] * _YOUNGEST ** (1.0 - at[..., 0]), AGE_MARGIN)
        log_zmet = zmet_range[0] + at[..., 1] * (zmet_range[1] - zmet_range[0])
        dust2 = dust2_range[0] + at[..., 2] * (dust2_range[1] - dust2_range[0])
        value = _depths(np.broadcast_to(log_ssfr[:, None], age.shape), age, log_zmet, dust2, box, engine)
        best = np.argmax(value, axis=1)[:, None]
        centre = np.take_along_axis(at, best[..., None], axis=1)[:, 0]
        result = Nearest(*(np.take_along_axis(x, best, 1)[:, 0] for x in (value, age, log_zmet, dust2)))
        width, counts = (0.3 if counts[0] == _N_AGE else 0.5 * width), (_N_LOCAL,) * 3
    return result


def _depths(
    log_ssfr: Array, age: Array, log_zmet: Array, dust2: Array, box: Mapping[str, float], engine: Engine
) -> Array:
    """Return the depth in the box of points, all of one shape."""
    wanted, a, z, d = (x.ravel() for x in (log_ssfr, age, log_zmet, dust2))
    mass_fraction = np.full(len(a), 0.6)
    for _ in range(3):
        tau = solve_tau(a, mass_fraction * 10.0 ** (wanted + 9.0), engine.model.sfh)
        derived = engine.derived(a, tau, z, -4.0, d, nebular=False)
        mass_fraction = derived.mass_fraction
    reached = missed_sfr(derived.log_ssfr, wanted) == 0.0
    return np.where(reached, depth(derived.uv, derived.vj, box), -np.inf).reshape(age.shape)
