"""The part of the configuration that the diagnostics need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mocksed.errors import UserError
from mocksed.relations import Relations
from mocksed.uvj import WILLIAMS2009


@dataclass(frozen=True)
class Settings:
    """The config's ``diagnostics``, with its relations and its colours of quiescent galaxies.

    Raises
    ------
    UserError
        If the edges of the redshift bins do not increase.

    """

    redshift_bins: Sequence[float] = (0.0, 0.3, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0)
    """Edges of the redshift bins."""
    mass_bin: float = 0.5
    """Width of the bins in log stellar mass [dex]."""
    min_count: int = 20
    """Bins with fewer galaxies, on average over realisations, have no statistics."""
    max_galaxies: int = 2_000_000
    """Galaxies that are read, all realisations together; of more, an even sample."""
    area: float | None = None
    """Solid angle of a user's table [deg^2], for the card of the sky; a light cone knows its own."""
    triangle_redshift: Sequence[float] | None = None
    """Redshifts of the galaxies of the triangle plot, lowest and highest; None for all."""
    uvj_box: Mapping[str, float] = field(default_factory=lambda: dict(WILLIAMS2009))
    """Keyword arguments of the box, see `mocksed.uvj.in_box`."""
    cosmology: Mapping[str, float] = field(default_factory=dict)
    """Keyword arguments of `mocksed.cosmology.Cosmology`."""
    relations: Mapping[str, Any] | None = None
    """The config's ``relations``; the default ones without it."""

    sps: Mapping[str, Any] = field(default_factory=dict)
    """The config's ``sps``, with which spectra are drawn."""
    photometry: Mapping[str, Any] = field(default_factory=dict)
    """The config's ``photometry``, whose filters are drawn with them."""

    @cached_property
    def run_relations(self) -> Relations:
        """The relations of the run."""
        return Relations.from_config(self.relations) if self.relations else Relations()

    def relation_name(self, column: str, quiescent: bool = False) -> str:
        """Return how plots call the relation of a column, e.g. "Schreiber et al. 2015"."""
        if column == "muv" and self.run_relations.attenuation is not None:
            name = f"mean SFR, dust of {self.run_relations.attenuation.label}"
        else:
            name = self.run_relations.of(column, quiescent).label
        return name.replace("$", r"\$")  # a user's file is no formula

    def least_log_mstar(self, column: str) -> float:
        """Return the least log mass of the range of the relation of a column of star-forming galaxies."""
        dust = self.run_relations.attenuation if column == "muv" else None
        return (dust or self.run_relations.of(column)).log_mstar[0]

    def __post_init__(self) -> None:
        if len(self.redshift_bins) < 2 or np.any(np.diff(self.redshift_bins) <= 0):
            raise UserError(
                f"config: diagnostics.redshift_bins is {list(self.redshift_bins)}; expected edges that increase."
            )
