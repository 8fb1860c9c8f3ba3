"""Ages and distances. FSPS's own cosmology (Om0 = 0.27, H0 = 72) is never used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:  # it takes two seconds to import, and many jobs know of a cosmology without using it
    from astropy.cosmology import FlatLambdaCDM

AGE_MARGIN = 1e-3
"""Youngest age, and distance kept from the age of the universe [Gyr] (1e6 yr)."""


def cosmology(H0: float = 67.66, Om0: float = 0.3111) -> FlatLambdaCDM:  # noqa: N803 (astropy's names)
    """Return the flat LCDM cosmology of the run, by default that of Planck 2018 (without radiation)."""
    from astropy.cosmology import FlatLambdaCDM

    return FlatLambdaCDM(H0=H0, Om0=Om0)


def t_univ(cosmo: FlatLambdaCDM, redshift: ArrayLike) -> NDArray[np.float64]:
    """Return the age of the universe [Gyr], shape of ``redshift``."""
    return cosmo.age(np.asarray(redshift, np.float64)).to_value("Gyr")


def age_max(cosmo: FlatLambdaCDM, redshift: ArrayLike) -> NDArray[np.float64]:
    """Return the oldest age allowed for a galaxy [Gyr]: the age of the universe less 1e6 yr."""
    return t_univ(cosmo, redshift) - AGE_MARGIN


def distance_modulus(cosmo: FlatLambdaCDM, redshift: ArrayLike) -> NDArray[np.float64]:
    """Return the distance modulus [mag] at the luminosity distance, shape of ``redshift``; -inf at z = 0."""
    distance = cosmo.luminosity_distance(np.asarray(redshift, np.float64)).to_value("pc")
    with np.errstate(divide="ignore"):
        return 5.0 * np.log10(distance / 10.0)
