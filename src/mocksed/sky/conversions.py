"""Offsets that convert what was published with one cosmology to another.

They are to be added to a logarithm (base 10) or a magnitude. Luminosities, and masses and SFRs that follow from them,
are proportional to the square of the distance; numbers per volume, to the inverse of the volume of the redshift bin.
Those named ``hubble_*`` are for cosmologies that only differ in H0 [km/s/Mpc].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.cosmology import Cosmology, comoving_distance, comoving_volume

Array = NDArray[np.float64]

_NEAR = 1e-4
"""Least redshift at which distances are compared: they vanish at 0, and below this their ratio is that of 1 / H0."""


def hubble_luminosity(from_h0: float, to_h0: float) -> float:
    """Return the offset of log10 of a luminosity, mass or SFR for another H0 [dex], -2 log10(to / from)."""
    return float(-2.0 * np.log10(to_h0 / from_h0))


def hubble_magnitude(from_h0: float, to_h0: float) -> float:
    """Return the offset of an absolute magnitude for another H0 [mag]; it keeps M - 5 log10(h)."""
    return -2.5 * hubble_luminosity(from_h0, to_h0)


def hubble_density(from_h0: float, to_h0: float) -> float:
    """Return the offset of log10 of a number per comoving volume for another H0 [dex], 3 log10(to / from)."""
    return float(3.0 * np.log10(to_h0 / from_h0))


def luminosity(redshift: ArrayLike, from_: Cosmology, to: Cosmology) -> Array:
    """Return the offset of log10 of a luminosity, mass or SFR for another cosmology [dex], shape of ``redshift``."""
    z = np.maximum(np.asarray(redshift, float), _NEAR)
    return np.asarray(2.0 * np.log10(comoving_distance(to, z) / comoving_distance(from_, z)))


def magnitude(redshift: ArrayLike, from_: Cosmology, to: Cosmology) -> Array:
    """Return the offset of an absolute magnitude for another cosmology [mag], shape of ``redshift``."""
    return -2.5 * luminosity(redshift, from_, to)


def density(low: ArrayLike, high: ArrayLike, from_: Cosmology, to: Cosmology) -> Array:
    """Return the offset of log10 of a number per comoving volume for another cosmology [dex].

    Parameters
    ----------
    low, high : array_like
        Limits of the redshift bin; they broadcast. Where both are the same, volumes per unit of redshift are compared.
    from_, to : Cosmology
        The cosmology of the number and the one to which it is converted.

    Returns
    -------
    ndarray of the broadcast shape

    """
    low, high = np.broadcast_arrays(np.asarray(low, float), np.asarray(high, float))
    middle = np.maximum(0.5 * (low + high), _NEAR)
    ratio_at_middle = comoving_volume(from_, middle) / comoving_volume(to, middle)
    before, after = (comoving_distance(cosmo, high) ** 3 - comoving_distance(cosmo, low) ** 3 for cosmo in (from_, to))
    has_width = high > low
    return np.asarray(np.log10(np.where(has_width, before / np.where(has_width, after, 1.0), ratio_at_middle)))
