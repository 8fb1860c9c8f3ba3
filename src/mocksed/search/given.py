"""Quantities that a user's table gives besides redshift, mass and class; they replace draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from mocksed.files.columns import given_column, given_error_column
from mocksed.quantities import GIVEN
from mocksed.rng import Stage, uniforms

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MODES = ("exact", "error")
"""How what is given is asked for: as it is, or drawn within its error where it has one."""


def columns(galaxies: Mapping[str, NDArray]) -> list[str]:
    """Return the quantities that galaxies have from their table."""
    return [name for name in GIVEN if given_column(name) in galaxies]


def requested(galaxies: Mapping[str, NDArray], mode: str, seed: int) -> dict[str, Array]:
    """Return the targets that the table of the galaxies gives.

    Parameters
    ----------
    galaxies : mapping of str to ndarray of shape (n, )
        ``galaxy_id``, and ``realisation``, ``given_...`` and ``given_..._error`` where there are any.
    mode : str
        One of `MODES`.
    seed : int
        Seed of the run.

    Returns
    -------
    dict of ndarrays of shape (n, )
        By the names of `mocksed.quantities.GIVEN`, NaN where nothing is given; without those that no galaxy has.

    """
    given = {name: np.array(galaxies[given_column(name)], float) for name in columns(galaxies)}
    if mode == "error" and given:
        random = uniforms(
            seed, Stage.GIVEN, galaxies["galaxy_id"], len(GIVEN), realisation=galaxies.get("realisation", 0)
        )
        for name, values in given.items():
            error = np.nan_to_num(galaxies.get(given_error_column(name), 0.0))
            values += error * ndtri(random[:, GIVEN.index(name)])
    return given


def known(given: Mapping[str, Array], name: str, otherwise: ArrayLike) -> Array:
    """Return the given values of a quantity, and other values where none is given."""
    if name not in given:
        return np.asarray(otherwise, float)
    return np.where(np.isnan(given[name]), otherwise, given[name])


def is_given(given: Mapping[str, Array], name: str, n: int) -> Mask:
    """Return where a quantity is given, shape (n, )."""
    return ~np.isnan(given[name]) if name in given else np.zeros(n, bool)
