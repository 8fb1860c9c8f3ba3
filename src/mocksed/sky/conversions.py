"""What was published with one cosmology and one initial mass function, in another.

Offsets are added to a logarithm or a magnitude. Luminosities and the masses and SFRs that follow from them go as the
square of the distance, numbers per volume as the inverse of the volume of the bin in redshift.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.cosmology import Cosmology, comoving_distance, comoving_volume

Array = NDArray[np.float64]

_NEAR = 1e-4
"""Redshift below which only the Hubble constant matters."""


def hubble_luminosity(from_h0: float, to_h0: float) -> float:
    """Return what is added to log10 of a luminosity, mass or SFR for another H0: -2 log10(to / from)."""
    return float(-2.0 * np.log10(to_h0 / from_h0))


def hubble_magnitude(from_h0: float, to_h0: float) -> float:
    """Return what is added to an absolute magnitude for another H0 [mag]: M - 5 log10(h) stays."""
    return -2.5 * hubble_luminosity(from_h0, to_h0)


def hubble_density(from_h0: float, to_h0: float) -> float:
    """Return what is added to log10 of a number per comoving volume for another H0: 3 log10(to / from)."""
    return float(3.0 * np.log10(to_h0 / from_h0))


def luminosity(redshift: ArrayLike, from_: Cosmology, to: Cosmology) -> Array:
    """Return what is added to log10 of a luminosity, or of a mass or SFR from it, for another cosmology [dex]."""
    z = np.maximum(np.asarray(redshift, float), _NEAR)
    return np.asarray(2.0 * np.log10(comoving_distance(to, z) / comoving_distance(from_, z)))


def magnitude(redshift: ArrayLike, from_: Cosmology, to: Cosmology) -> Array:
    """Return what is added to an absolute magnitude for another cosmology [mag]."""
    return -2.5 * luminosity(redshift, from_, to)


def density(low: ArrayLike, high: ArrayLike, from_: Cosmology, to: Cosmology) -> Array:
    """Return what is added to log10 of a number per comoving volume between two redshifts [dex].

    Where both are the same, it is that of the volume per redshift there.
    """
    low, high = np.broadcast_arrays(np.asarray(low, float), np.asarray(high, float))
    middle = np.maximum(0.5 * (low + high), _NEAR)
    thin = comoving_volume(from_, middle) / comoving_volume(to, middle)
    was, is_ = (comoving_distance(cosmo, high) ** 3 - comoving_distance(cosmo, low) ** 3 for cosmo in (from_, to))
    thick = high > low
    return np.asarray(np.log10(np.where(thick, was / np.where(thick, is_, 1.0), thin)))
