"""Distributions of galaxies around the mean of a relation, truncated to limits.

SciPy is imported where it is used: every job of a workflow imports this module to read its config, and few jobs draw.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """Normal scatter, truncated to limits of the quantity.

    Attributes
    ----------
    scale : float
        Standard deviation, in the unit of the quantity. `Relation.law` may put an array here that broadcasts with the
        means, one value for each galaxy.
    limits : tuple of float
        Lowest and highest value of the quantity itself, not of its difference from the mean.

    """

    scale: float
    limits: tuple[float, float] = (-np.inf, np.inf)

    def draw(self, mean: ArrayLike, uniform: ArrayLike) -> Array:
        """Return the quantity at cumulative probabilities ``uniform`` around ``mean``, in their broadcast shape."""
        return _draw(normal_between, self.scale, self.limits, mean, uniform)

    def cumulative(self, mean: ArrayLike, value: ArrayLike) -> Array:
        """Return the cumulative probability of ``value`` in the distribution around ``mean``, the inverse of `draw`."""
        return _cumulative(normal_cumulative, self.scale, self.limits, mean, value)


@dataclass(frozen=True)
class StudentT:
    """Scatter of Student's t distribution, truncated to limits of the quantity.

    Attributes
    ----------
    scale : float
        Scale parameter, in the unit of the quantity; may be an array as in `Gaussian`.
    limits : tuple of float
        Lowest and highest value of the quantity itself.
    nu : float
        Degrees of freedom.

    """

    scale: float
    limits: tuple[float, float] = (-np.inf, np.inf)
    nu: float = 3.0

    def draw(self, mean: ArrayLike, uniform: ArrayLike) -> Array:
        """Return the quantity at cumulative probabilities ``uniform`` around ``mean``, in their broadcast shape."""
        return _draw(self._between, self.scale, self.limits, mean, uniform)

    def cumulative(self, mean: ArrayLike, value: ArrayLike) -> Array:
        """Return the cumulative probability of ``value`` in the distribution around ``mean``, the inverse of `draw`."""
        return _cumulative(self._within, self.scale, self.limits, mean, value)

    def _between(self, low: Array, high: Array, uniform: Array) -> Array:
        from scipy.special import stdtr, stdtrit

        below, above = stdtr(self.nu, low), stdtr(self.nu, high)
        return stdtrit(self.nu, below + uniform * (above - below))

    def _within(self, low: Array, high: Array, value: Array) -> Array:
        from scipy.special import stdtr

        below, above = stdtr(self.nu, low), stdtr(self.nu, high)
        return (stdtr(self.nu, value) - below) / (above - below)


Scatter = Gaussian | StudentT


def normal_between(low: Array, high: Array, uniform: Array) -> Array:
    """Return deviates of the standard normal distribution truncated to an interval.

    `scipy.stats.truncnorm` gives the same within 4e-15, but is 3 to 12 times slower and takes 1.5 s to import.

    Parameters
    ----------
    low, high : ndarray
        Limits of the interval, in standard deviations; all arguments broadcast.
    uniform : ndarray
        Cumulative probabilities of the truncated distribution.

    Returns
    -------
    ndarray of the broadcast shape

    """
    from scipy.special import log_ndtr, ndtri_exp

    # in logarithms and always in the lower tail: far from the mean probabilities underflow, or round to 1 on the other
    # side
    mirrored = low > 0.0
    low, high = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    below, above = np.where(mirrored, uniform, 1.0 - uniform), np.where(mirrored, 1.0 - uniform, uniform)
    value = ndtri_exp(np.logaddexp(log_ndtr(low) + np.log(below), log_ndtr(high) + np.log(above)))
    return np.where(mirrored, -value, value)


def normal_cumulative(low: Array, high: Array, value: Array) -> Array:
    """Return the cumulative probabilities of ``value``, the inverse of `normal_between`; arguments broadcast."""
    from scipy.special import log_ndtr

    mirrored = low > 0.0  # as in `normal_between`
    first, last = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    log_first, log_last = log_ndtr(first), log_ndtr(last)
    log_at = log_ndtr(np.where(mirrored, -value, value))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        below = np.expm1(log_first - log_at) / np.expm1(log_first - log_last) * np.exp(log_at - log_last)
    return np.clip(np.where(mirrored, 1.0 - below, below), 0.0, 1.0)


def _draw(between, scale, limits, mean, uniform) -> Array:  # type: ignore[no-untyped-def]
    """Draw by inversion from a distribution truncated to ``limits``; a scale of 0 gives the mean, clipped to them.

    ``between`` is the inverse of the truncated cumulative distribution for a mean of 0 and a scale of 1.
    """
    mean = np.asarray(mean, float)
    if np.ndim(scale) == 0 and scale == 0.0:
        return np.clip(np.broadcast_to(mean, np.broadcast(mean, uniform).shape), *limits)
    low, high = ((limit - mean) / scale for limit in limits)
    return np.clip(mean + scale * between(low, high, np.asarray(uniform)), *limits)


def _cumulative(within, scale, limits, mean, value) -> Array:  # type: ignore[no-untyped-def]
    """Return the cumulative probability in a distribution truncated to ``limits``; at a scale of 0 it is a step.

    ``within`` is the truncated cumulative distribution for a mean of 0 and a scale of 1.
    """
    mean, value = np.asarray(mean, float), np.clip(value, *limits)
    if np.ndim(scale) == 0 and scale == 0.0:
        return np.asarray(value >= np.clip(mean, *limits), float)
    return np.asarray(within(*((x - mean) / scale for x in (*limits, value))))
