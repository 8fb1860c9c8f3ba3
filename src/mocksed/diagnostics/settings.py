"""What the diagnostics take from the configuration of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mocksed.errors import UserError
from mocksed.uvj import WILLIAMS2009


@dataclass(frozen=True)
class Settings:
    """The config's ``diagnostics``, with what it says of the model and of quiescent galaxies.

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
    max_searched: int = 1000
    """Galaxies whose best reachable models are searched, twice, at 6 ms; of more, an even sample."""
    uvj_box: Mapping[str, float] = field(default_factory=lambda: dict(WILLIAMS2009))
    """Keyword arguments of the box, see `mocksed.uvj.in_box`."""
    cosmology: Mapping[str, float] = field(default_factory=dict)
    """Keyword arguments of `mocksed.cosmology.Cosmology`."""
    sps: Mapping[str, Any] | None = None
    """The config's ``sps``; without it, nothing is searched that takes a stellar population model."""
    metric: Mapping[str, Any] = field(default_factory=lambda: {"metric": "default", "scales": {}})
    """Keyword arguments of `mocksed.neighbours.metric_of`."""
    scatter: Mapping[str, float] | None = None
    """The config's ``relations.scatter``; that of the literature without it."""
    quiescent_sampling: str | Mapping[str, Any] = "default"
    """The config's ``parent.quiescent.sampling``."""

    def __post_init__(self) -> None:
        if len(self.redshift_bins) < 2 or np.any(np.diff(self.redshift_bins) <= 0):
            raise UserError(
                f"config: diagnostics.redshift_bins is {list(self.redshift_bins)}; expected edges that increase."
            )
