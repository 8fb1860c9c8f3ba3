"""The user's table as the config describes it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mocksed import imf
from mocksed.errors import UserError
from mocksed.galaxies.files import Files, table_path
from mocksed.galaxies.given import ERROR, SPELLINGS
from mocksed.uvj import WILLIAMS2009

CLASS_COLUMNS: dict[str, tuple[str, ...]] = {
    "column": ("quiescent",),
    "ssfr": ("ssfr",),
    "uvj": ("uv", "vj"),
    "mass_function": (),
}
"""Columns (keys of ``galaxies.table.columns``) that decide which galaxies are quiescent, by
``galaxies.table.quiescent.from``."""

DEFAULT_REDSHIFT, DEFAULT_MASS = "redshift", "log_mstar"


@dataclass(frozen=True)
class Conversion:
    """What the values of a column are multiplied with, for their unit.

    Attributes
    ----------
    factor : float
        Between the unit of the file and the expected one.
    log : bool
        Whether the values are log10, so that log10 of the factor is added to them.
    exponentiate : bool
        Whether they are log10 and come out linear.

    """

    factor: float = 1.0
    log: bool = False
    exponentiate: bool = False

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values in the expected unit."""
        if self.log:
            return np.asarray(values + np.log10(self.factor))
        return self.factor * (10.0**values if self.exponentiate else values)

    def words(self, target: str) -> str:
        """Describe the conversion to the expected unit ``target``."""
        if self.exponentiate:
            return f"{target} (10 to the power of it, times {self.factor:.6g})"
        return f"log10 of {target} ({math.log10(self.factor):+.6g})" if self.log else f"{target} (x {self.factor:.6g})"


@dataclass(frozen=True)
class TableSpec:
    """The config's ``galaxies.table``; every key is described in the schema of the config.

    ``columns`` has the columns that are named: key of the config to name in the table. ``conversions`` follow from the
    units of the file (`mocksed.galaxies.units`): name of the column to what is done with it.
    """

    path: Path | Files
    format: str = "auto"
    dataset: str | int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    constant_redshift: float | None = None
    mass_scale: Literal["log", "linear"] = "log"
    mass_unit: Literal["Msun", "Msun/h"] = "Msun"
    mass_factor: float = 1.0
    h: float = 0.6766
    mass_imf: str | None = None
    sfr_imf: str | None = None
    oh12_solar: float = 8.69
    units: Literal["file", "ignore"] = "file"
    conversions: Mapping[str, Conversion] = field(default_factory=dict)
    quiescent_from: Literal["column", "ssfr", "uvj", "mass_function"] = "mass_function"
    quiescent_values: tuple[str | float, ...] = ()
    mass_functions: str = "williams2018"
    log_ssfr_max: float = -11.0
    uvj_box: Mapping[str, float] = field(default_factory=lambda: WILLIAMS2009)
    keep: Literal["all"] | tuple[str, ...] = "all"
    missing_values: tuple[float, ...] = ()
    invalid_rows: Literal["stop", "drop"] = "stop"
    redshift: tuple[float, float] = (0.0, 20.0)
    log_mstar: tuple[float, float] = (4.0, 13.5)

    @classmethod
    def from_config(
        cls, table: Mapping[str, Any], uvj_box: Mapping[str, float] = WILLIAMS2009, mass_functions: str = "williams2018"
    ) -> "TableSpec":
        """Return the specification of the config's ``galaxies.table``, box of colours and ``galaxies.mass_functions``.

        Raises
        ------
        UserError
            If keys are missing or contradict each other.

        """
        if wrong := list(problems(table)):
            raise UserError("; ".join(wrong) + ".")
        quiescent = {"from": "mass_function", "values": (), "log_ssfr_max": -11.0} | table.get("quiescent", {})
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
        }
        named = _named(table)
        redshift = named.get("redshift")
        given |= {
            "path": table_path(table["path"]),
            "columns": {role: name for role, name in named.items() if isinstance(name, str)},
            "constant_redshift": None if isinstance(redshift, str) or redshift is None else float(redshift),
            "quiescent_from": quiescent["from"],
            "quiescent_values": tuple(quiescent["values"]),
            "log_ssfr_max": quiescent["log_ssfr_max"],
            "uvj_box": uvj_box,
            "mass_functions": mass_functions,
        }
        return cls(**{f.name: given[f.name] for f in fields(cls) if f.name in given})

    def roles(self) -> dict[str, str]:
        """Return the columns that are interpreted: role (key of ``columns``) to name in the table."""
        columns = {"redshift": DEFAULT_REDSHIFT, "mass": DEFAULT_MASS, **self.columns}
        if "scale_factor" in columns or self.constant_redshift is not None:
            del columns["redshift"]
        unused = {role for roles in CLASS_COLUMNS.values() for role in roles} - {*CLASS_COLUMNS[self.quiescent_from]}
        return {role: name for role, name in columns.items() if role not in unused}

    def given(self) -> dict[str, str]:
        """Return the quantities that the table gives: name in `mocksed.quantities.GIVEN` to key of ``columns``."""
        return {SPELLINGS[role].quantity: role for role in self.columns if role in SPELLINGS}

    @property
    def mass_offset(self) -> float:
        """What is added to log10 of the masses, for the IMF [dex]."""
        return 0.0 if self.mass_imf is None else imf.mass_offset(self.mass_imf)

    @property
    def sfr_offset(self) -> float:
        """What is added to log10 of the SFRs, for the IMF [dex]."""
        return 0.0 if self.sfr_imf is None else imf.sfr_offset(self.sfr_imf)


def _named(table: Mapping[str, Any]) -> dict[str, str | float]:
    named = {role: name for role, name in table.get("columns", {}).items() if name is not None}
    if "scale_factor" in named and named.get("redshift") == DEFAULT_REDSHIFT:  # the default of the schema
        del named["redshift"]
    return named


def problems(table: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is missing or contradictory in the config's ``galaxies.table``, each as a sentence without its dot."""
    key = "galaxies.table.columns"
    if not table.get("path"):
        yield "galaxies.table.path: null is not allowed with galaxies.source table; expected the path of your table"
    columns = _named(table)
    origin = table.get("quiescent", {}).get("from", "mass_function")
    given = {role: SPELLINGS[role].quantity for role in columns if role in SPELLINGS}
    for role in CLASS_COLUMNS[origin]:
        if role not in columns and not (role == "ssfr" and "log_sfr" in given.values()):
            instead = ", or the SFR in columns.log_sfr or columns.sfr" if role == "ssfr" else ""
            yield (
                f"{key}.{role}: null is not allowed with galaxies.table.quiescent.from {origin}; expected the name of "
                f"that column in the table{instead}"
            )
    for first, second in combinations(given, 2):
        if given[first] == given[second]:
            yield (
                f"{key}.{first} and {key}.{second}: both are named ('{columns[first]}', '{columns[second]}') and give "
                "the same quantity; expected one of them, set the other one to null"
            )
    for role in columns:
        value = role.removesuffix(ERROR)
        if role.endswith(ERROR) and value not in columns:
            yield f"{key}.{role}: '{columns[role]}' is not used without {key}.{value}; name that as well, or neither"
    if "scale_factor" in columns and "redshift" in columns:
        yield (
            f"{key}.redshift and {key}.scale_factor: both are given ({columns['redshift']!r}, "
            f"{columns['scale_factor']!r}); expected one of them"
        )
    low, high = table.get("redshift", (0.0, math.inf))
    if isinstance(columns.get("redshift"), float | int) and not low <= columns["redshift"] <= high:
        yield (
            f"{key}.redshift: {columns['redshift']:g} is not allowed; expected the name of a column, or a redshift "
            f"from {low:g} to {high:g} (galaxies.table.redshift)"
        )
    if table.get("quiescent", {}).get("values") and origin != "column":
        yield f"galaxies.table.quiescent.values: not used with quiescent.from {origin}; set that to column"
    if table.get("sfr_imf") is not None and "log_sfr" not in given.values():
        yield (
            f"galaxies.table.sfr_imf: not used as long as {key}.log_sfr and {key}.sfr name no column; name one, or "
            "leave it out"
        )
