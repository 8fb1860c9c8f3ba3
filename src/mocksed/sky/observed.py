"""One observable of one paper: a table with its metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from mocksed import imf, shipped
from mocksed.cosmology import Cosmology
from mocksed.errors import UserError, suggestion
from mocksed.sky import conversions
from mocksed.sky.laws import LAWS

Array = NDArray[np.float64]

FOLDER = shipped.found("resources/sky")
"""Where the tables are, seen from the folder of the workflow."""

OBSERVABLES = {
    "uv_luminosity_function": "UV luminosity function, 1500 to 1600 A, with dust",
    "k_luminosity_function": "Luminosity function in K",
    "stellar_mass_function": "Stellar mass function, by class",
    "sfr_density": "Density of star formation",
    "number_counts": "Number counts of galaxies",
    "obscured_share": "Share of the SFR behind dust, against mass",
    "uvj": "V-J of star-forming galaxies, against mass",
    "uv_slope": "UV slope, against M_UV",
    "halpha_luminosity_function": "Luminosity function of Halpha",
    "oiii_hbeta_luminosity_function": "Luminosity function of Hbeta + [O III]",
    "line_counts": "Line emitters per square degree, above a flux",
    "bpt": "log [O III]/Hbeta, against log [N II]/Halpha",
    "oiii_hbeta_mass": "log [O III]/Hbeta, against mass",
    "equivalent_width": "Rest-frame equivalent widths",
}
"""The observables, each with its title."""

_KINDS = ("points", "lognormal", *LAWS)
_REQUIRED = ("observable", "kind", "paper", "doi", "imf", "cosmology", "redshift", "range", "verified")
_MAGNITUDES = ("muv", "m_k", "m_star")
_MASSES = ("log_mstar", "log_m_star")
_LUMINOSITIES = ("log_luminosity", "log_l_star")
_LOG_DENSITIES = ("log_phi",)
_DENSITIES = ("phi_star", "phi_star_1", "phi_star_2")


@dataclass(frozen=True)
class Observed:
    """One observable of one paper.

    Attributes
    ----------
    name : str
        Name of the file: the observable and the paper.
    observable : str
        One of `OBSERVABLES`.
    kind : str
        "points", with columns ``err_up`` and ``err_down``; "lognormal", ``median`` and ``scatter`` [dex]; or one of
        `mocksed.sky.laws.LAWS`, whose parameters the columns are.
    paper, doi : str
        Where it was published, with the number of the table or the equation.
    imf : str, optional
        Initial mass function of masses and SFRs, of `mocksed.imf.SALPETER_TO`; None where there are none.
    cosmology : Cosmology, optional
        Cosmology of distances and volumes; None where there are none.
    redshift : tuple of float
        Limits of the sample.
    range : tuple of float
        Where it holds: limits of what the values are against (mass, magnitude, luminosity, ...), as published.
    verified : str
        Where the numbers were compared.
    assumed : tuple of str
        Those of the above that are not stated where the numbers were compared.
    note : str
        What else a user has to know.
    mass_offset : float
        What was added to log10 of the masses in a function, where none of its parameters scales them.
    table : astropy.table.Table
        Each row with ``redshift``, ``redshift_min`` and ``redshift_max``, the same three times where the paper gives
        one. Units are those of the columns.

    """

    name: str
    observable: str
    kind: str
    paper: str
    doi: str
    imf: str | None
    cosmology: Cosmology | None
    redshift: tuple[float, float]
    range: tuple[float, float]
    verified: str
    table: Table
    assumed: tuple[str, ...] = ()
    note: str = ""
    mass_offset: float = 0.0

    @property
    def label(self) -> str:
        """The name in plots: the authors and the year."""
        return re.sub(r"^(.*?) \((\d{4})\).*$", r"\1 \2", self.paper)

    @property
    def bins(self) -> list[tuple[float, float]]:
        """The limits of the bins in redshift, increasing."""
        return sorted(set(zip(*(map(float, self.table[f"redshift_{end}"]) for end in ("min", "max")), strict=True)))

    def rows(self, redshift: float, **chosen: Any) -> Table:
        """Return the rows of the bin that a redshift is in, or else of the nearest one, with some values in columns.

        For example ``rows(1.2, population="quiescent")``, or ``rows(1.2, model=3)``.
        """
        table = self.table
        for column, value in chosen.items():
            table = table[table[column] == value]
        below = np.asarray(table["redshift_min"] - redshift, float)
        away = np.maximum(np.maximum(below, np.asarray(redshift - table["redshift_max"], float)), 0.0)
        near = away == away.min()
        # of two bins that share an edge, the one that begins there
        return table[near & (below == below[near].max())]

    def value(self, x: ArrayLike, redshift: float, **chosen: Any) -> Array:
        """Return the function of the paper at x, with the parameters of the `rows`.

        Raises
        ------
        ValueError
            If the table is of points or of a distribution, or more than one row is left.

        """
        if self.kind not in LAWS:
            raise ValueError(f"{self.name} is no function: its kind is {self.kind}")
        law = LAWS[self.kind]
        if self.kind == "double_schechter_dex" and "anchor" in self.table.colnames:
            parameters = [_through_anchors(self.table, name, redshift) for name in law.parameters]
        else:
            rows = self.rows(redshift, **chosen)
            if len(rows) != 1:
                raise ValueError(f"{self.name} has {len(rows)} rows at z = {redshift:g}: choose by a column")
            parameters = [rows[name][0] for name in law.parameters]
        x = np.asarray(x, float) - self.mass_offset
        return law.function(x, *([redshift] if law.evolves else []), *parameters)

    def converted(self, to_imf: str | None = None, to: Cosmology | None = None) -> Observed:
        """Return it for another initial mass function and another cosmology, each as it is where none is given.

        Offsets of luminosities are those of the middle redshift of a row, offsets of densities those of its bin.
        """
        table, mass_offset = self.table.copy(), self.mass_offset
        if to_imf is not None and self.imf is not None:
            if self.kind in LAWS and LAWS[self.kind].fixed_mass:
                mass_offset += imf.mass_offset(self.imf, to_imf)
            _add(table, _MASSES, imf.mass_offset(self.imf, to_imf))
            _add(table, ("log_sfr_density",), imf.sfr_offset(self.imf, to_imf))
            _multiply(table, ("psi",), imf.sfr_offset(self.imf, to_imf))
        if to is not None and self.cosmology is not None:
            luminosity = conversions.luminosity(table["redshift"], self.cosmology, to)
            density = conversions.density(table["redshift_min"], table["redshift_max"], self.cosmology, to)
            _add(table, _MAGNITUDES, -2.5 * luminosity)
            _add(table, (*_MASSES, *_LUMINOSITIES), luminosity)
            _add(table, _LOG_DENSITIES, density)
            _multiply(table, _DENSITIES, density)
            _add(table, ("log_sfr_density",), luminosity + density)
            _multiply(table, ("psi",), luminosity + density)
        return replace(
            self,
            table=table,
            mass_offset=mass_offset,
            imf=to_imf if to_imf is not None and self.imf is not None else self.imf,
            cosmology=to if to is not None and self.cosmology is not None else self.cosmology,
        )


def read(path: str | Path) -> Observed:
    """Return the table of a file.

    Raises
    ------
    UserError
        If the file cannot be read, or its header or columns are incomplete or not allowed.

    """
    path = Path(path)
    try:
        table = Table.read(path, format="ascii.ecsv")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a table of observed data (ECSV): {error}") from error
    header = dict(table.meta)
    missing = [key for key in _REQUIRED if key not in header]
    if missing:
        raise UserError(f"{path}: the header lacks {', '.join(missing)}. See the other files in {FOLDER}.")
    for key, allowed in (("observable", OBSERVABLES), ("kind", _KINDS), ("imf", (None, *imf.SALPETER_TO))):
        if header[key] not in allowed:
            raise UserError(
                f"{path}: {key} is {header[key]!r} in the header{suggestion(str(header[key]), map(str, allowed))}. "
                f"It must be one of {', '.join(map(str, allowed))}."
            )
    columns = {"redshift", "redshift_min", "redshift_max"} | set(
        LAWS[header["kind"]].parameters if header["kind"] in LAWS else
        ("median", "scatter") if header["kind"] == "lognormal" else ("err_up", "err_down")
    )  # fmt: skip
    if lacking := sorted(columns - set(table.colnames)):
        raise UserError(f"{path}: a table of the kind {header['kind']} needs the columns {', '.join(lacking)}.")
    return Observed(
        name=path.stem,
        table=table,
        cosmology=Cosmology(**header["cosmology"]) if header["cosmology"] else None,
        redshift=tuple(header["redshift"]),
        range=tuple(header["range"]),
        assumed=tuple(header.get("assumed", ())),
        note=header.get("note", ""),
        **{key: header[key] for key in ("observable", "kind", "paper", "doi", "imf", "verified")},
    )


def by_observable(folder: str | Path = FOLDER) -> dict[str, list[Observed]]:
    """Return all tables of a folder, in the order of `OBSERVABLES` and of the names of their files.

    Raises
    ------
    UserError
        If the folder has none.

    """
    paths = sorted(Path(folder).glob("*.ecsv"))
    if not paths:
        raise UserError(f"{folder} has no tables of observed data (*.ecsv).")
    tables = [read(path) for path in paths]
    return {name: [table for table in tables if table.observable == name] for name in OBSERVABLES}


def quiescent_share(observed: Observed) -> Table:
    """Return the share of quiescent galaxies from a mass function of points by class.

    Returns
    -------
    astropy.table.Table
        ``redshift``, ``redshift_min``, ``redshift_max``, ``log_mstar``, ``share``, ``err_up``, ``err_down``. Errors are
        those of the two classes, taken as independent.

    """
    rows = []
    for low, high in observed.bins:
        in_bin = observed.table[(observed.table["redshift_min"] == low) & (observed.table["redshift_max"] == high)]
        quiescent, forming = (in_bin[in_bin["population"] == name] for name in ("quiescent", "star_forming"))
        for quiescent_row in quiescent:
            for forming_row in forming[np.isclose(forming["log_mstar"], quiescent_row["log_mstar"])]:
                share = 1.0 / (1.0 + 10.0 ** (forming_row["log_phi"] - quiescent_row["log_phi"]))
                spread = np.log(10.0) * share * (1.0 - share)
                up, down = (
                    spread * np.hypot(quiescent_row[f"err_{end}"], forming_row[f"err_{against}"])
                    for end, against in (("up", "down"), ("down", "up"))
                )
                mass = quiescent_row["log_mstar"]
                rows.append((quiescent_row["redshift"], low, high, mass, share, up, down))
    names = ("redshift", "redshift_min", "redshift_max", "log_mstar", "share", "err_up", "err_down")
    return Table(rows=rows, names=names)


def _through_anchors(table: Table, name: str, redshift: float) -> float:
    """Return a parameter on the parabola through its values, or log10 of densities, at the redshifts of a table."""
    values = np.log10(table[name]) if name in _DENSITIES else table[name]
    value = float(np.polyval(np.polyfit(table["redshift"], values, 2), redshift))
    return float(10.0**value) if name in _DENSITIES else value


def _add(table: Table, names: tuple[str, ...], offset: ArrayLike) -> None:
    for name in set(names) & set(table.colnames):
        table[name] += offset


def _multiply(table: Table, names: tuple[str, ...], offset: ArrayLike) -> None:
    for name in set(names) & set(table.colnames):
        table[name] *= 10.0 ** np.asarray(offset)
