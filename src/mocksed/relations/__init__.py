"""Observed scaling relations of galaxies: the mean of each, and the scatter around it.

`published` has all of them, by quantity and name; `Relations` are those of a run, one for each quantity. Mean and
scatter are separate, so that the same mean serves the dotted lines of the plots and the draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from mocksed.relations.published import BETA_RANGE, LOG_US_RANGE, LOG_ZMET_RANGE, RELATIONS
from mocksed.relations.relation import Relation
from mocksed.relations.scatter import Gaussian, Scatter, StudentT, normal_between, normal_cumulative

__all__ = [
    "BETA_RANGE",
    "LOG_US_RANGE",
    "LOG_ZMET_RANGE",
    "RELATIONS",
    "Gaussian",
    "Relation",
    "Relations",
    "Scatter",
    "StudentT",
    "normal_between",
    "normal_cumulative",
]


@dataclass(frozen=True)
class Relations:
    """The relations of a run, by default those of Drakos et al. (2022)."""

    log_sfr_star_forming: Relation = RELATIONS["log_sfr_star_forming"]["schreiber2015"]
    log_sfr_quiescent: Relation = RELATIONS["log_sfr_quiescent"]["schreiber2017"]
    log_zmet: Relation = RELATIONS["log_zmet"]["hunt2016"]
    log_us: Relation = RELATIONS["log_us"]["carton2017"]
    muv: Relation = RELATIONS["muv"]["williams2018"]
    beta: Relation = RELATIONS["beta"]["williams2018"]

    @classmethod
    def from_config(cls, relations: Mapping[str, Any]) -> Relations:
        """Return the relations of the config's ``relations``."""
        return cls().scattered(relations.get("scatter", {}))

    def scattered(self, scales: Mapping[str, float]) -> Relations:
        """Return the relations with other scales of their scatter, by quantity."""
        own = {of.name: getattr(self, of.name) for of in fields(self)}
        return replace(self, **{
            name: replace(own[name], scatter=replace(own[name].scatter, scale=scale)) for name, scale in scales.items()
        })  # fmt: skip
