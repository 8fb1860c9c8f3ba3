"""Metrics: what it means that a parent point is near to a proposal."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mocksed.errors import UserError
from mocksed.relations import Relations

Array = NDArray[np.float64]

_SCATTER = Relations()

_MADE_OF = {
    "log_ssfr": ("log_sfr", "log_mstar"),
    "muv_per_mass": ("muv", "log_mstar"),
    "scale_factor": ("redshift",),
    "log_tau": ("tau",),
}


@dataclass(frozen=True)
class Metric:
    """A Euclidean metric over quantities divided by scales.

    Attributes
    ----------
    scales : dict of str to float
        Quantity (see `quantity`) to the difference that counts as 1.
    nuisance : dict of str to float
        Quantities that no relation constrains: used in the search, to keep the neighbours of a galaxy on one branch of
        a degeneracy, but not part of the distance between proposal and result.

    """

    scales: dict[str, float]
    nuisance: dict[str, float] = field(default_factory=dict)

    @property
    def n_quantities(self) -> int:
        """Number of coordinates."""
        return len(self.scales) + len(self.nuisance)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the catalogue from which the coordinates follow."""
        needed = (_MADE_OF.get(name, (name,)) for name in self.scales | self.nuisance)
        return tuple(dict.fromkeys(column for columns in needed for column in columns))

    def coordinates(self, columns: Mapping[str, NDArray]) -> NDArray[np.float32]:
        """Return the coordinates of points or proposals, shape (n, n_quantity)."""
        axes = [quantity(name, columns) / scale for name, scale in (self.scales | self.nuisance).items()]
        return np.stack(axes, axis=1).astype(np.float32)

    def distance(self, one: Mapping[str, NDArray], other: Mapping[str, NDArray]) -> Array:
        """Return the distance between the rows of two sets of columns, shape (n, )."""
        difference = [(quantity(name, one) - quantity(name, other)) / scale for name, scale in self.scales.items()]
        return np.sqrt(np.sum(np.square(difference), axis=0))


METRICS: dict[str, Metric] = {
    # Spectra scale with mass and redshift enters through the allowed age alone: neither is a coordinate. Points older
    # than the universe are left out of the search, which costs nothing (benchmarks/search.txt) and comes closer than
    # to take ages as fractions of the age of the universe (benchmarks/ages.txt). The
    # ionisation parameter hardly moves the rest and is taken as proposed. Scales: the scatter of the relations. Age and
    # tau are degenerate, and averaging across the degeneracy moves a galaxy off its SFR and M_UV: each galaxy draws a
    # tau of its own and its neighbours are those of about this tau.
    "default": Metric(
        scales={
            "log_ssfr": _SCATTER.log_sfr_star_forming.scale,
            "muv_per_mass": _SCATTER.muv.scale,
            "beta": _SCATTER.beta.scale,
            "log_zmet": _SCATTER.log_zmet.scale,
        },
        nuisance={"log_tau": 1.0},
    ),
    "drakos2021a": Metric(
        {"redshift": 12.0, "log_mstar": 12.0, "log_sfr": 4.0, "log_zmet": 2.0, "log_us": 4.0, "muv": 30.0, "beta": 3.0}
    ),
    "drakos2021b": Metric(
        {"log_mstar": 1.0, "scale_factor": 1.0, "log_zmet": 1.0, "log_ssfr": 1.0, "muv": 1.0, "beta": 1.0}
    ),
}
"""Metric presets; April and May 2021: Drakos et al. (2022)."""


def metric_of(metric: str, scales: Mapping[str, float]) -> Metric:
    """Return a preset of `METRICS` with some of its scales replaced.

    Raises
    ------
    UserError
        If the preset has no such quantity.

    """
    preset = METRICS[metric]
    known = preset.scales | preset.nuisance
    for name in scales:
        if name not in known:
            raise UserError(f"'{name}' is no quantity of the metric {metric}; it has {', '.join(known)}")
    of_scales, of_nuisance = (
        {name: scales.get(name, scale) for name, scale in group.items()} for group in (preset.scales, preset.nuisance)
    )
    return Metric(of_scales, of_nuisance)


def quantity(name: str, columns: Mapping[str, NDArray]) -> Array:
    """Return a coordinate from the columns of the catalogue.

    ``log_ssfr`` is log10 of the SFR per mass [1/yr], ``muv_per_mass`` M_UV + 2.5 log10 of the mass, ``scale_factor``
    1 / (1 + z), ``log_tau`` log10 of tau [Gyr]; others are columns themselves.
    """
    if name == "log_ssfr":
        return columns["log_sfr"] - columns["log_mstar"]
    if name == "muv_per_mass":
        return columns["muv"] + 2.5 * columns["log_mstar"]
    if name == "scale_factor":
        return 1.0 / (1.0 + columns["redshift"])
    if name == "log_tau":
        return np.log10(columns["tau"])
    return np.asarray(columns[name])
