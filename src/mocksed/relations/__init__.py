"""Observed scaling relations of galaxies: the mean of each, and the scatter around it.

`published` has all of them, by quantity and name; `Relations` are those of a run, one for each quantity. Mean and
scatter are separate, so that the same mean serves the dotted lines of the plots and the draws.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mocksed import digest
from mocksed.errors import UserError, suggestion
from mocksed.relations import table
from mocksed.relations.published import BETA_RANGE, DUST_RANGE, LOG_US_RANGE, LOG_ZMET_RANGE, RELATIONS
from mocksed.relations.relation import ALL, ARGUMENTS, AS_PUBLISHED, Array, Relation
from mocksed.relations.scatter import Gaussian, Scatter, StudentT, normal_between, normal_cumulative

__all__ = [
    "ARGUMENTS",
    "AS_PUBLISHED",
    "BEHIND_BALANCE",
    "BETA_RANGE",
    "DUST_RANGE",
    "LOG_US_RANGE",
    "LOG_ZMET_RANGE",
    "RELATIONS",
    "Gaussian",
    "Relation",
    "Relations",
    "Scatter",
    "StudentT",
    "find",
    "normal_between",
    "normal_cumulative",
    "problems",
    "used",
]

BEHIND_BALANCE = ("log_sfr_star_forming", "log_zmet", "muv", "beta", "a_uv", "a_v", "dust_index")
"""Quantities whose relations the balance of a run follows from (`mocksed.search.balance`)."""

_LIGHT_PER_SFR = 0.63 * 1.15e-28
"""SFR [Msun/yr] per luminosity at 1500 A [erg/s/Hz] (Madau & Dickinson 2014, eq. 10 and section 3.1: Chabrier)."""

_A_UV_PER_A_V = 2.55
"""A at 1500 A in A_V (Calzetti et al. 2000)."""


@dataclass(frozen=True)
class Relations:
    """The relations of a run, by default those of Drakos et al. (2022).

    A relation of A_UV or A_V takes the place of that of M_UV, one of ``dust_index`` that of the prior on it.
    """

    log_sfr_star_forming: Relation = RELATIONS["log_sfr_star_forming"]["schreiber2015"]
    log_sfr_quiescent: Relation = RELATIONS["log_sfr_quiescent"]["schreiber2017"]
    log_zmet: Relation = RELATIONS["log_zmet"]["hunt2016"]
    log_us: Relation = RELATIONS["log_us"]["carton2017"]
    muv: Relation = RELATIONS["muv"]["williams2018"]
    beta: Relation = RELATIONS["beta"]["williams2018"]
    a_uv: Relation | None = None
    a_v: Relation | None = None
    dust_index: Relation | None = None

    @classmethod
    def from_config(cls, relations: Mapping[str, Any]) -> Relations:
        """Return the relations of the config's ``relations``, or of a part of them (`used`).

        Raises
        ------
        UserError
            If a name is not known or a table cannot be read.

        """
        default = cls()
        scales = relations.get("scatter", {})
        imfs = (relations.get("mass_imf", AS_PUBLISHED), relations.get("sfr_imf", AS_PUBLISHED))
        by_quantity = {}
        for field in fields(cls):
            name = relations.get(field.name)
            relation = getattr(default, field.name) if name is None else find(field.name, name)
            if relation is not None:
                relation = relation.converted(*imfs)
                scale = scales.get(field.name)
                by_quantity[field.name] = relation if scale is None else relation.scattered(scale)
        return cls(**by_quantity)

    def __iter__(self) -> Iterator[Relation]:
        """Yield the relations that the run has."""
        return (relation for field in fields(self) if (relation := getattr(self, field.name)) is not None)

    def of(self, quantity: str, quiescent: bool = False) -> Relation:
        """Return the relation of a quantity of `mocksed.quantities.QUANTITIES`; SFRs have one for each class.

        Raises
        ------
        UserError
            If the run has no relation of this quantity.

        """
        kind = "quiescent" if quiescent else "star_forming"
        relation: Relation | None = getattr(self, f"log_sfr_{kind}" if quantity == "log_sfr" else quantity, None)
        if relation is None:
            raise UserError(f"the run has no relation of {quantity}")
        return relation

    def scattered(self, scales: Mapping[str, float]) -> Relations:
        """Return the relations with other scales of their scatter, by quantity."""
        return replace(self, **{name: getattr(self, name).scattered(scale) for name, scale in scales.items()})

    @property
    def attenuation(self) -> Relation | None:
        """The relation that takes the place of that of M_UV, of ``a_uv`` or ``a_v``."""
        return self.a_uv or self.a_v

    def mean_muv(self, log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
        """Return the M_UV around which UV slopes are drawn [AB mag].

        It is the mean of its relation; with one of A_UV or A_V instead what the mean SFR gives (Madau & Dickinson 2014,
        eq. 10), dimmed by the mean attenuation.
        """
        if self.attenuation is None:
            return self.muv.mean(log_mstar, redshift)
        bare = _muv_of_sfr(self.log_sfr_star_forming.mean(log_mstar, redshift))
        return np.asarray(self.mean_a_uv(log_mstar, redshift) + bare)

    def mean_a_uv(self, log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
        """Return the attenuation around which UV slopes are drawn, where they follow it [mag].

        It is the mean of its relation, of A_V times 2.55 (Calzetti et al. 2000); without one what the light of the mean
        SFR (Madau & Dickinson 2014, eq. 10) exceeds the mean M_UV by, and not below 0.
        """
        if self.attenuation is not None:
            return np.asarray(self.attenuation.mean(log_mstar, redshift) * (1.0 if self.a_uv else _A_UV_PER_A_V))
        bare = _muv_of_sfr(self.log_sfr_star_forming.mean(log_mstar, redshift))
        return np.maximum(self.muv.mean(log_mstar, redshift) - bare, 0.0)

    @property
    def scatter_muv(self) -> Scatter:
        """The scatter of M_UV around its mean, with a relation of A_UV or A_V that of SFR and attenuation together."""
        if self.attenuation is None:
            return self.muv.scatter
        scatter_a_uv = self.attenuation.scatter.scale * (1.0 if self.a_uv else _A_UV_PER_A_V)
        return Gaussian(float(np.hypot(2.5 * self.log_sfr_star_forming.scatter.scale, scatter_a_uv)))

    def extrapolated(self, redshift: Iterable[float], log_mstar: Iterable[float]) -> list[str]:
        """Return which relations galaxies between limits of redshift and mass extrapolate, each with its range."""
        limits = {"z": ("redshift", tuple(redshift)), "log M": ("log_mstar", tuple(log_mstar))}
        extrapolated = []
        for relation in self:
            if relation is self.muv and self.attenuation is not None:  # it is not used
                continue
            beyond = [
                f"{short} {low:g}-{high:g}"
                for short, (name, (first, last)) in limits.items()
                for low, high in [getattr(relation, name)]
                if (first < low or last > high) and (low, high) != ALL
            ]
            if beyond:
                extrapolated.append(f"{relation.quantity} {relation.name} ({', '.join(beyond)})")
        return extrapolated


def _muv_of_sfr(log_sfr: Array) -> Array:
    """Return M_UV without dust of log10 of an SFR [Msun/yr], of a Chabrier IMF."""
    return np.asarray(_AB_AT_10_PC - 2.5 * (log_sfr - np.log10(_LIGHT_PER_SFR)))


_AB_AT_10_PC = 2.5 * float(np.log10(4.0 * np.pi * (10.0 * 3.0856775814913673e18) ** 2)) - 48.6
"""AB magnitude at 10 pc of 1 erg/s/Hz."""


def find(quantity: str, name: str) -> Relation:
    """Return the relation of a quantity by its name, or that of a table by its path.

    Raises
    ------
    UserError
        If no relation has that name, or the table cannot be read.

    """
    known = RELATIONS[quantity]
    if name in known:
        return known[name]
    if table.is_table(name) and quantity in table.QUANTITIES:
        return table.read(name, quantity, next(iter(known.values())).scatter)
    more = f", or a table that ends in {' or '.join(table.ENDS)}" if quantity in table.QUANTITIES else ""
    only = f"; only {', '.join(table.QUANTITIES)} may be tables" if table.is_table(name) else ""
    raise UserError(
        f"'{name}' is not known{only}; expected one of {', '.join(sorted(known))}{more}{suggestion(name, known)}"
    )


def problems(relations: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the config's ``relations``, each with its key."""
    for quantity in ARGUMENTS:
        name = relations[quantity]
        if name is not None:
            try:
                find(quantity, name)
            except UserError as error:
                yield f"relations.{quantity}: {error}"
        elif relations["scatter"][quantity] is not None:
            yield f"relations.scatter.{quantity}: not used without relations.{quantity}; name one, or leave this out"
    if relations["a_uv"] is not None and relations["a_v"] is not None:
        yield "relations.a_uv, relations.a_v: only one of them can take the place of M_UV; set the other one to null"


def used(relations: Mapping[str, Any], quantities: Iterable[str]) -> dict[str, Any]:
    """Return the part of the config's ``relations`` behind some quantities, in plain types.

    `Relations.from_config` takes it. It has the SHA-256 of tables (``tables``), so that a changed one shows.
    """
    default = Relations()
    names = {}
    for quantity in quantities:
        relation = getattr(default, quantity)
        name = relations.get(quantity, relation and relation.name)
        if name is not None:
            names[quantity] = name
    scales = relations.get("scatter", {})
    part: dict[str, Any] = {
        **names,
        "scatter": {name: scales[name] for name in names if scales.get(name) is not None},
    }
    part |= {key: relations[key] for key in ("mass_imf", "sfr_imf") if relations.get(key, AS_PUBLISHED) != AS_PUBLISHED}
    tables = {name: digest.sha256(name) for name in names.values() if table.is_table(name)}
    return part | ({"tables": tables} if tables else {})
