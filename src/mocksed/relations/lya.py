"""How much Lyman alpha leaves a galaxy, which scattering decides together with dust.

The config's ``sps.lya_escape`` names one of `LAWS`, or a fraction.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LAWS = ("dust", "hayes2011", "oyarzun2016")
"""Dust alone decides, as for any line; an escape fraction that grows with redshift; drawn equivalent widths."""

_REDSHIFT_OF_ALL = 11.1  # at which the escape fraction of Hayes et al. reaches unity
_LOG_MSTAR = (7.6, 10.6)  # of the galaxies of Oyarzun et al.; shares and widths are held beyond


def hayes2011(redshift: ArrayLike) -> Array:
    """Return the mean escape fraction at redshifts (Hayes et al. 2011, abstract).

    It grows as (1 + z)^2.57, measured for 0.3 < z < 6 from luminosity functions of Lyman alpha and Halpha, to unity at
    z = 11.1.
    """
    growth = (1.0 + np.asarray(redshift, np.float64)) / (1.0 + _REDSHIFT_OF_ALL)
    return np.minimum(growth**2.57, 1.0)


def oyarzun2016(log_mstar: ArrayLike, uniform: ArrayLike) -> Array:
    """Return equivalent widths in the rest frame [A] drawn for stellar masses (Oyarzun et al. 2016, abstract).

    A share A = 3.01 - 0.26 log M of galaxies at 3 < z < 4.6 emits the line, with equivalent widths that are distributed
    exponentially with the mean 166 - 15.6 log M.

    Parameters
    ----------
    log_mstar : array_like of shape (n, )
        Stellar mass [log10(Msun)].
    uniform : array_like of shape (n, )
        Random numbers in (0, 1).

    Returns
    -------
    ndarray of shape (n, )
        0 for galaxies without emission.

    """
    log_m = np.clip(np.asarray(log_mstar, np.float64), *_LOG_MSTAR)
    share, mean = np.minimum(3.01 - 0.26 * log_m, 1.0), 166.0 - 15.6 * log_m
    return np.maximum(mean * np.log(share / np.asarray(uniform, np.float64)), 0.0)
