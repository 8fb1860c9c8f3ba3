"""What a relation is: a mean with its scatter, where it holds, and who measured it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.relations.scatter import Scatter

Array = NDArray[np.float64]

ARGUMENTS = {
    "log_sfr_star_forming": ("log_mstar", "redshift"),
    "log_sfr_quiescent": ("log_mstar", "redshift"),
    "log_zmet": ("log_mstar", "log_sfr", "redshift"),
    "log_us": ("log_zmet", "log_mstar", "log_sfr", "redshift"),
    "muv": ("log_mstar", "redshift"),
    "beta": ("muv", "redshift"),
}
"""What the relations of each quantity are functions of: the same for all, so that one can take another's place."""

ALL = (-np.inf, np.inf)
"""A range without ends."""


@dataclass(frozen=True)
class Relation:
    """How a quantity of galaxies depends on others.

    Attributes
    ----------
    name : str
        As in a config, e.g. "schreiber2015".
    quantity : str
        One of `ARGUMENTS`.
    mean : callable
        The mean, a function of the `ARGUMENTS` of the quantity, which are arrays that broadcast.
    scatter : Gaussian or StudentT
        Around the mean.
    paper, doi : str
        Where it comes from, with the number of the equation.
    redshift, log_mstar : tuple of float
        Range of the galaxies that it was measured from; beyond it the relation is extrapolated.
    imf : str, optional
        Initial mass function of its masses and SFRs, "chabrier", "kroupa" or "salpeter"; None where it has neither.

    """

    name: str
    quantity: str
    mean: Callable[..., Array]
    scatter: Scatter
    paper: str
    doi: str
    redshift: tuple[float, float] = ALL
    log_mstar: tuple[float, float] = ALL
    imf: str | None = None

    def draw(self, uniform: ArrayLike, *given: ArrayLike) -> Array:
        """Return the quantity at the cumulative probability ``uniform`` of its distribution, see `ARGUMENTS`."""
        return self.scatter.draw(self.mean(*given), uniform)
