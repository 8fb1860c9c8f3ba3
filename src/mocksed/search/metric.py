"""Metrics: the distance of a parent point from the draw of a galaxy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mocksed.errors import UserError
from mocksed.relations import Relations, find

Array = NDArray[np.float64]


def _scatter(quantity: str, quiescent: bool) -> float:
    return Relations().of(quantity, quiescent).scatter.scale


_MADE_OF = {
    "log_ssfr": ("log_sfr", "log_mstar"),
    "muv_per_mass": ("muv", "log_mstar"),
    "scale_factor": ("redshift",),
}


@dataclass(frozen=True)
class Metric:
    """A Euclidean metric over quantities divided by scales.

    Attributes
    ----------
    scales : dict of str to float
        Quantity (see `quantity`) to the difference that counts as 1.
    payload : tuple of str
        Quantities of the points that are no part of the distance and are wanted with the points that are found.

    """

    scales: dict[str, float]
    payload: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the parent from which coordinates and payload follow."""
        needed = (_MADE_OF.get(name, (name,)) for name in (*self.scales, *self.payload))
        return tuple(dict.fromkeys(column for columns in needed for column in columns))

    def coordinates(self, columns: Mapping[str, NDArray]) -> NDArray[np.float32]:
        """Return the coordinates of points or draws, shape (n, n_quantity)."""
        return np.stack([quantity(name, columns) / scale for name, scale in self.scales.items()], 1).astype(np.float32)

    def carried(self, columns: Mapping[str, NDArray]) -> NDArray[np.float32]:
        """Return the payload of points, shape (n, n_payload)."""
        n = len(next(iter(columns.values())))
        values = [quantity(name, columns) for name in self.payload]
        return np.reshape(values, (len(values), n)).T.astype(np.float32)

    def distance(self, one: Mapping[str, NDArray], other: Mapping[str, NDArray]) -> Array:
        """Return the distance between the rows of two sets of columns, shape (n, )."""
        difference = [(quantity(name, one) - quantity(name, other)) / scale for name, scale in self.scales.items()]
        return np.sqrt(np.sum(np.square(difference), axis=0))


_MAY_2021 = {"log_mstar": 1.0, "scale_factor": 1.0, "log_zmet": 1.0, "log_ssfr": 1.0}

METRICS: dict[str, dict[str, Metric]] = {
    # Spectra scale with mass and redshift enters through the allowed age alone: neither is a coordinate. Points older
    # than the universe are left out of the search, which costs nothing (benchmarks/search.txt). Scales: the scatter of
    # the relations. M_UV is no coordinate: it decides which of the points that are near is taken.
    "default": {
        "star_forming": Metric(
            {
                "log_ssfr": _scatter("log_sfr", False), "log_zmet": _scatter("log_zmet", False),
                "beta": _scatter("beta", False),
            },
            payload=("muv_per_mass", "dust_index"),
        ),
        "quiescent": Metric({"log_ssfr": _scatter("log_sfr", True), "log_zmet": _scatter("log_zmet", True)}),
    },
    "drakos2021a": {
        "star_forming": Metric({
            "redshift": 12.0, "log_mstar": 12.0, "log_sfr": 4.0, "log_zmet": 2.0, "log_us": 4.0, "muv": 30.0,
            "beta": 3.0,
        }),
        "quiescent": Metric({"redshift": 12.0, "log_mstar": 12.0, "log_sfr": 4.0, "log_zmet": 2.0}),
    },
    "drakos2021b": {
        "star_forming": Metric(_MAY_2021 | {"muv": 1.0, "beta": 1.0}),
        "quiescent": Metric(_MAY_2021),
    },
}  # fmt: skip
"""Metric presets of each class; April and May 2021: Drakos et al. (2022)."""


def metric_of(kind: str, metric: str, scales: Mapping[str, float], carries: Sequence[str] = ()) -> Metric:
    """Return the metric of a class, a preset of `METRICS` with some of its scales replaced.

    Parameters
    ----------
    kind : str
        "star_forming" or "quiescent".
    metric : str
        Name of the preset.
    scales : mapping of str to float
        Quantity to scale; those that the class has not are of the other one.
    carries : sequence of str
        Quantities that the points carry beside those of the preset.

    Raises
    ------
    UserError
        If neither class has such a quantity.

    """
    presets = METRICS[metric]
    known = {name: None for of_class in presets.values() for name in of_class.scales}
    for name in scales:
        if name not in known:
            raise UserError(f"'{name}' is not a quantity of the metric {metric}; it has {', '.join(known)}")
    preset = presets[kind]
    return Metric({name: scales.get(name, scale) for name, scale in preset.scales.items()}, (*preset.payload, *carries))


def carries(relations: Mapping[str, Any], given: Sequence[str] = ()) -> list[str]:
    """Return what points carry beside their preset's, for the config's ``relations`` and what its table gives."""
    needs_dust = any(relations.get(name) is not None for name in ("a_uv", "a_v", "dust_index"))
    needs_dust |= "a_uv" in find("beta", relations.get("beta", "williams2018")).needs
    return ["dust2"] if needs_dust or "dust2" in given else []


def quantity(name: str, columns: Mapping[str, NDArray]) -> Array:
    """Return a coordinate from the columns of the catalogue.

    ``log_ssfr`` is log10 of the SFR per mass [1/yr], ``muv_per_mass`` M_UV + 2.5 log10 of the mass, ``scale_factor``
    1 / (1 + z); others are columns themselves.
    """
    if name == "log_ssfr":
        return columns["log_sfr"] - columns["log_mstar"]
    if name == "muv_per_mass":
        return columns["muv"] + 2.5 * columns["log_mstar"]
    if name == "scale_factor":
        return 1.0 / (1.0 + columns["redshift"])
    return np.asarray(columns[name])
