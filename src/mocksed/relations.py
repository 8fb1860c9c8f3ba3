"""Observed scaling relations of galaxies: the mean of each, and the scatter around it.

``log`` is log10, stellar masses are in Msun, SFRs in Msun/yr, metallicities log(Z/Zsun). Every mean is a function of
arrays that broadcast; the scatter is a separate object (`Gaussian`, `StudentT`), so that the same mean serves the
dotted lines of the plots and the draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtri_exp, stdtr, stdtrit

Array = NDArray[np.float64]

LOG_ZMET_RANGE = (-2.2, 0.24)
LOG_US_RANGE = (-4.0, -1.0)
BETA_RANGE = (-2.6, np.inf)


def log_sfr_star_forming(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    """Return the mean log SFR of star-forming galaxies (Schreiber et al. 2015, eq 9).

    The form and coefficients of the main sequence as used in Schreiber et al. 2017 and Drakos et al. 2022.
    """
    r = np.log10(1.0 + np.asarray(redshift, float))
    m = np.asarray(log_mstar, float) - 9.0
    return m - 0.5 + 1.5 * r - 0.3 * np.maximum(0.0, m - 0.36 - 2.5 * r) ** 2


def log_sfr_quiescent(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    """Return the mean log SFR of quiescent galaxies (Schreiber et al. 2017)."""
    return 0.5 * (np.asarray(log_mstar, float) - 11.0) + np.log10(1.0 + np.asarray(redshift, float)) - 0.6


def log_zmet(log_mstar: ArrayLike, log_sfr: ArrayLike) -> Array:
    """Return the mean log(Z/Zsun) (fundamental relation: Hunt et al. 2016, Williams et al. 2018, eq 15)."""
    return -0.14 * np.asarray(log_sfr, float) + 0.37 * np.asarray(log_mstar, float) + 4.82 - 8.7


def log_us(log_zmet: ArrayLike) -> Array:
    """Return the mean log ionisation parameter (Carton et al. 2017, Williams et al. 2018, eq 18)."""
    return -0.8 * np.asarray(log_zmet, float) - 3.58


def muv(log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
    """Return the mean M_UV [AB mag] (Williams et al. 2018, eqs 11-12, as corrected by Drakos et al. 2022)."""
    z = np.minimum(np.asarray(redshift, float), 8.0)
    log_mstar_at_minus_20 = 9.43 - 0.12 * (z - 3.75) + 0.08 * np.maximum(0.0, 3.75 - z) ** 2
    return -20.0 - 1.66 * (np.asarray(log_mstar, float) - log_mstar_at_minus_20)


def beta(muv: ArrayLike, redshift: ArrayLike) -> Array:
    """Return the mean UV slope (Williams et al. 2018, eq 13)."""
    z = np.minimum(np.asarray(redshift, float), 8.0)
    return (-0.09 - 0.007 * z) * (np.asarray(muv, float) + 19.5) + (-1.49 - 0.09 * z)


@dataclass(frozen=True)
class Gaussian:
    """Normal scatter of standard deviation ``scale``, cut to ``limits`` of the quantity itself."""

    scale: float
    limits: tuple[float, float] = (-np.inf, np.inf)

    def draw(self, mean: ArrayLike, uniform: ArrayLike) -> Array:
        """Return the quantity at the cumulative probability ``uniform`` of the distribution around ``mean``."""
        return _draw(normal_between, self.scale, self.limits, mean, uniform)

    def cumulative(self, mean: ArrayLike, value: ArrayLike) -> Array:
        """Return the cumulative probability of a value of the distribution around ``mean``, the inverse of `draw`."""
        return _cumulative(normal_cumulative, self.scale, self.limits, mean, value)


@dataclass(frozen=True)
class StudentT:
    """Student-t scatter with ``nu`` degrees of freedom, cut to ``limits`` of the quantity itself."""

    scale: float
    limits: tuple[float, float] = (-np.inf, np.inf)
    nu: float = 3.0

    def draw(self, mean: ArrayLike, uniform: ArrayLike) -> Array:
        """Return the quantity at the cumulative probability ``uniform`` of the distribution around ``mean``."""
        return _draw(self._between, self.scale, self.limits, mean, uniform)

    def cumulative(self, mean: ArrayLike, value: ArrayLike) -> Array:
        """Return the cumulative probability of a value of the distribution around ``mean``, the inverse of `draw`."""
        return _cumulative(self._within, self.scale, self.limits, mean, value)

    def _between(self, low: Array, high: Array, uniform: Array) -> Array:
        below, above = stdtr(self.nu, low), stdtr(self.nu, high)
        return stdtrit(self.nu, below + uniform * (above - below))

    def _within(self, low: Array, high: Array, value: Array) -> Array:
        below, above = stdtr(self.nu, low), stdtr(self.nu, high)
        return (stdtr(self.nu, value) - below) / (above - below)


Scatter = Gaussian | StudentT


def normal_between(low: Array, high: Array, uniform: Array) -> Array:
    """Return standard normal deviates cut to ``low`` .. ``high``, at the cumulative probabilities ``uniform``.

    In logarithms and in the lower tail, since limits many standard deviations off leave no probability in doubles.
    """
    mirrored = low > 0.0
    low, high = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    below, above = np.where(mirrored, uniform, 1.0 - uniform), np.where(mirrored, 1.0 - uniform, uniform)
    value = ndtri_exp(np.logaddexp(log_ndtr(low) + np.log(below), log_ndtr(high) + np.log(above)))
    return np.where(mirrored, -value, value)


def normal_cumulative(low: Array, high: Array, value: Array) -> Array:
    """Return the cumulative probability of standard normal deviates cut to ``low`` .. ``high``, as `normal_between`."""
    mirrored = low > 0.0  # differences of tails, in logarithms
    first, last = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    log_first, log_last = log_ndtr(first), log_ndtr(last)
    log_at = log_ndtr(np.where(mirrored, -value, value))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        below = np.expm1(log_first - log_at) / np.expm1(log_first - log_last) * np.exp(log_at - log_last)
    return np.clip(np.where(mirrored, 1.0 - below, below), 0.0, 1.0)


def _draw(between, scale, limits, mean, uniform) -> Array:  # type: ignore[no-untyped-def]
    """Draw by inversion from a distribution cut to ``limits``; a scale of 0 gives the mean, moved into them."""
    mean = np.asarray(mean, float)
    if scale == 0.0:
        return np.clip(np.broadcast_to(mean, np.broadcast(mean, uniform).shape), *limits)
    low, high = ((limit - mean) / scale for limit in limits)
    return np.clip(mean + scale * between(low, high, np.asarray(uniform)), *limits)


def _cumulative(within, scale, limits, mean, value) -> Array:  # type: ignore[no-untyped-def]
    """Return the cumulative probability in a distribution cut to ``limits``; a scale of 0 has all of it at the mean."""
    mean, value = np.asarray(mean, float), np.clip(value, *limits)
    if scale == 0.0:
        return np.asarray(value >= np.clip(mean, *limits), float)
    return np.asarray(within(*((x - mean) / scale for x in (*limits, value))))


@dataclass(frozen=True)
class Relations:
    """The scatter asked around each relation (Drakos et al. 2022; Williams et al. 2018)."""

    log_sfr_star_forming: Scatter = Gaussian(0.3)
    log_sfr_quiescent: Scatter = Gaussian(0.4)
    log_zmet: Scatter = StudentT(0.3, LOG_ZMET_RANGE)
    log_us: Scatter = StudentT(0.3, LOG_US_RANGE)
    muv: Scatter = Gaussian(0.7)
    beta: Scatter = Gaussian(0.35, BETA_RANGE)

    @classmethod
    def from_config(cls, scatter: dict[str, float]) -> "Relations":
        """Return the relations with the scatters of the config's ``relations.scatter``."""
        return cls(
            log_sfr_star_forming=Gaussian(scatter["log_sfr_star_forming"]),
            log_sfr_quiescent=Gaussian(scatter["log_sfr_quiescent"]),
            log_zmet=StudentT(scatter["log_zmet"], LOG_ZMET_RANGE),
            log_us=StudentT(scatter["log_us"], LOG_US_RANGE),
            muv=Gaussian(scatter["muv"]),
            beta=Gaussian(scatter["beta"], BETA_RANGE),
        )
