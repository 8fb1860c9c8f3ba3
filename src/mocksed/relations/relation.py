"""A relation: a mean with its scatter, the range where it holds, and its source."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed import imf
from mocksed.relations.scatter import Scatter

Array = NDArray[np.float64]
Range = tuple[float, float]
Mean = Callable[..., Array]

ARGUMENTS = {
    "log_sfr_star_forming": ("log_mstar", "redshift"),
    "log_sfr_quiescent": ("log_mstar", "redshift"),
    "log_zmet": ("log_mstar", "log_sfr", "redshift"),
    "log_us": ("log_zmet", "log_mstar", "log_sfr", "redshift"),
    "muv": ("log_mstar", "redshift"),
    "beta": ("muv", "redshift", "a_uv"),
    "a_uv": ("log_mstar", "redshift"),
    "a_v": ("log_mstar", "redshift"),
    "dust_index": ("a_v",),
}
"""What the relations of each quantity are functions of: the same for all, so that one can take another's place."""

ALL: Range = (-np.inf, np.inf)
"""A range that is not stated."""

AS_PUBLISHED = "as_published"
"""In place of an initial mass function: each relation has its own, and nothing is converted."""


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
        Scatter around the mean.
    paper, doi : str
        Where it comes from, with the number of the equation.
    redshift, log_mstar : tuple of float
        Range of the galaxies that it was measured from; beyond it the mean is extrapolated, but where ``note`` says so.
    mass_imf, sfr_imf : str, optional
        Initial mass functions of its masses and of its SFRs, of `mocksed.imf.SALPETER_TO`; None where it has none.
    needs : tuple of str
        Those of the `ARGUMENTS` on which it depends.
    note : str
        What else a user has to know.
    scale : callable, optional
        The scale of the scatter, a function as the mean; without it that of ``scatter`` holds for all.

    """

    name: str
    quantity: str
    mean: Mean
    scatter: Scatter
    paper: str
    doi: str
    redshift: Range = ALL
    log_mstar: Range = ALL
    mass_imf: str | None = None
    sfr_imf: str | None = None
    needs: tuple[str, ...] = ()
    note: str = ""
    scale: Mean | None = None

    @property
    def label(self) -> str:
        """The name in plots: the authors and the year, or the file name of a user's table."""
        return re.sub(r"^(.*?) \((\d{4})\).*$", r"\1 \2", self.paper) or self.name

    def law(self, *given: ArrayLike) -> Scatter:
        """Return the scatter at values of the `ARGUMENTS`, with an array for its scale where that is a function."""
        return self.scatter if self.scale is None else replace(self.scatter, scale=self.scale(*given))  # type: ignore[arg-type]

    def draw(self, uniform: ArrayLike, *given: ArrayLike) -> Array:
        """Return the quantity at the cumulative probability ``uniform`` of its distribution, see `ARGUMENTS`."""
        return self.law(*given).draw(self.mean(*given), uniform)

    def scattered(self, scale: float) -> Relation:
        """Return the relation with another scale of its scatter."""
        return replace(self, scatter=replace(self.scatter, scale=scale), scale=None)

    def converted(self, mass_imf: str, sfr_imf: str) -> Relation:
        """Return the relation for masses and SFRs of other initial mass functions; either may be `AS_PUBLISHED`."""
        offset = {"log_mstar": 0.0, "log_sfr": 0.0}  # of the arguments
        value = 0.0
        if mass_imf != AS_PUBLISHED and self.mass_imf is not None:
            offset["log_mstar"] = imf.mass_offset(mass_imf, self.mass_imf)
        if sfr_imf != AS_PUBLISHED and self.sfr_imf is not None:
            offset["log_sfr"] = imf.sfr_offset(sfr_imf, self.sfr_imf)
            if self.quantity.startswith("log_sfr"):
                value = imf.sfr_offset(self.sfr_imf, sfr_imf)
        offsets = tuple(offset.get(name, 0.0) for name in ARGUMENTS[self.quantity])
        if value == 0.0 and not any(offsets):
            return self
        scale = self.scale and partial(_shifted, self.scale, offsets, 0.0)
        return replace(self, mean=partial(_shifted, self.mean, offsets, value), scale=scale)


def _shifted(mean: Mean, offsets: tuple[float, ...], value: float, *given: ArrayLike) -> Array:
    return mean(*(np.add(argument, offset) for argument, offset in zip(given, offsets, strict=True))) + value
