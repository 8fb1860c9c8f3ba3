"""The parameters of the galaxies as the engines take them: arrays of one shape, without invalid values.

FSPS accepts invalid numbers silently: it returns a spectrum of zeros, extrapolates, or adds no dust.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.errors import UserError
from mocksed.sps import TAU_RANGE
from mocksed.sps.model import LIMITS, Model

Array = NDArray[np.float64]


def checked(
    age: ArrayLike, tau: ArrayLike, log_zmet: ArrayLike, log_us: ArrayLike, dust2: ArrayLike,
    dust_index: ArrayLike | None, *, nebular: ArrayLike, model: Model, oldest: float,
) -> tuple[Array, Array, Array, Array, Array, Array]:  # fmt: skip
    """Return the parameters as contiguous arrays of one shape (n, ).

    Parameters
    ----------
    age, tau, log_zmet, log_us, dust2 : array_like of shape (n, ) or ()
        Age and e-folding time [Gyr], log10(Z/Zsun), log10 of the ionisation parameter, optical depth at 5500 A.
    dust_index : array_like of shape (n, ) or (), optional
        Slope of the attenuation curve; not used, and returned as 0, where it is not free.
    nebular : bool or array_like of bool of shape (n, )
        Whether the ionisation parameter is used.
    model : Model
        Options of the model: a constant star-formation history does not use tau.
    oldest : float
        Age of the oldest SSP [Gyr].

    Raises
    ------
    UserError
        If a parameter that is used is not a finite number, if not 0 < age <= oldest, tau is outside `TAU_RANGE`,
        dust2 < 0 or dust_index is outside its `mocksed.sps.model.LIMITS`.
    ValueError
        If the slope is free and none is given.

    """
    if not model.slope_is_free:
        dust_index = 0.0
    elif dust_index is None:
        raise ValueError("the slope of the attenuation curve is free: each galaxy needs its dust_index")
    arrays = np.broadcast_arrays(*map(np.atleast_1d, (age, tau, log_zmet, log_us, dust2, dust_index)))
    ages, taus, log_zmets, log_uss, depths, slopes = (np.ascontiguousarray(array, np.float64) for array in arrays)
    _check("age", ages, (ages > 0.0) & (ages <= oldest), f"ages above 0, up to the oldest SSP, {oldest:.4g} Gyr")
    if model.sfh != "constant":
        shortest, longest = TAU_RANGE
        _check("tau", taus, (taus >= shortest) & (taus <= longest), f"{shortest:g} to {longest:g} Gyr")
    _check("log_zmet", log_zmets, np.isfinite(log_zmets), "finite numbers")
    _check("log_us", log_uss, np.isfinite(log_uss) | ~np.asarray(nebular, bool), "finite numbers")
    _check("dust2", depths, (depths >= 0.0) & np.isfinite(depths), "optical depths of at least 0")
    low, high = LIMITS["dust_index"]
    _check("dust_index", slopes, (slopes >= low) & (slopes <= high), f"slopes from {low:g} to {high:g}")
    return ages, taus, log_zmets, log_uss, depths, slopes


def _check(name: str, values: Array, allowed: NDArray[np.bool_], expected: str) -> None:
    if not allowed.all():
        rows = np.flatnonzero(~allowed)
        raise UserError(
            f"{name}: {len(rows)} of {len(values)} values are not allowed, the first {values[rows[0]]:g} at index "
            f"{rows[0]}; expected {expected}."
        )
