"""What the card shows: every observable by name, how it is measured of a mock, and which tables it is beside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from mocksed.diagnostics import bins, style
from mocksed.diagnostics.sky import statistics
from mocksed.diagnostics.sky.in_bins import (
    Array,
    Tables,
    above_least_mass,
    in_bins,
    laws_of,
    log_mstar_of,
    log_phi,
    logarithmic,
    luminosity_function,
    mass_edges,
    medians,
    missing,
)
from mocksed.diagnostics.sky.lines import (
    BPT_LOG_MSTAR,
    HALPHA,
    HBETA,
    NII,
    OIII,
    bpt,
    equivalent_width,
    halpha_luminosity_function,
    line_counts,
    oiii_hbeta,
    oiii_hbeta_luminosity_function,
)
from mocksed.diagnostics.sky.mock import Mock
from mocksed.diagnostics.sky.panels import Panel, Reference, compare, complete_between, law, points
from mocksed.files.columns import (
    equivalent_width_column,
    line_column,
    line_flux_column,
    magnitude_column,
    rest_frame_column,
)
from mocksed.sky import laws
from mocksed.sky.observed import quiescent_share

K = rest_frame_column("twomass_Ks")
NO_AREA = "the area of the table is not known: diagnostics.area"
_MASS_WIDTH = 0.25


@dataclass(frozen=True)
class Observable:
    """One figure of the card.

    Attributes
    ----------
    title : str
        What it is.
    x, y : str
        Labels of the axes.
    unit : str
        Of offsets.
    columns : tuple of str
        Columns of the catalogue that it needs, beside redshift, mass and class.
    measure : callable
        Panels, of the mock and the tables of `mocksed.sky.by_observable`, which are in its cosmology and IMF.
    optional : tuple of str
        Columns of which it shows those that there are.
    counts : bool
        Whether it counts galaxies per area or volume.

    """

    title: str
    x: str
    y: str
    unit: str
    columns: tuple[str, ...]
    measure: Callable[[Mock, Tables], list[Panel]]
    optional: tuple[str, ...] = ()
    counts: bool = False


def panels_of(name: str, mock: Mock, tables: Tables) -> list[Panel]:
    """Return the panels of an observable, a single empty one where the run lacks what it is made of."""
    observable = OBSERVABLES[name]
    if observable.counts and mock.area is None:
        return [Panel("", why=NO_AREA)]
    if lacking := [column for column in observable.columns if column not in mock.galaxies]:
        return [Panel("", why=missing(lacking))]
    if not len(mock["redshift"]):
        return [Panel("", why="the catalogue is empty")]
    return observable.measure(mock, tables)


UV_BINS = (
    (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.2), (1.75, 2.35), (2.65, 3.15), (3.6, 4.2), (4.6, 5.3), (5.5, 6.5),
    (6.5, 7.4), (7.4, 8.5), (8.5, 9.5), (9.5, 10.5),
)  # fmt: skip


def _muv(mock: Mock) -> Array:
    return mock["muv"]


def uv_luminosity_function(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the UV luminosity function, with dust."""
    return luminosity_function(mock, tables, "uv_luminosity_function", _muv, "muv", 0.5, UV_BINS, False)


K_BINS = ((0.0, 0.35), (0.25, 0.75), (0.75, 1.25), (1.25, 1.75), (1.75, 2.25), (2.25, 2.75), (2.75, 3.25))


def k_luminosity_function(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the luminosity function in K."""
    return luminosity_function(mock, tables, "k_luminosity_function", lambda part: part[K], "m_k", 0.5, K_BINS, False)


MASS_BINS = (
    (0.2, 0.5), (0.5, 0.8), (0.8, 1.1), (1.1, 1.5), (1.5, 2.0), (2.0, 2.5), (2.5, 3.0), (3.0, 3.5), (3.5, 4.5),
    (4.5, 5.5), (5.5, 6.5), (6.5, 7.5),
)  # fmt: skip


def stellar_mass_function(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the stellar mass function of all galaxies."""

    def measure(part: Mock, low: float, high: float, title: str) -> Panel:
        edges = bins.edges(part["log_mstar"], _MASS_WIDTH)
        if not len(edges):
            return Panel(title, why="no galaxies")
        centres = 0.5 * (edges[1:] + edges[:-1])
        references = []
        for data in tables["stellar_mass_function"]:
            if data.kind == "points":
                references += points(data, "log_mstar", "log_phi", low, high, population="all")
            else:
                references += law(data, centres, _MASS_WIDTH, low, high, log_phi, population="all")
        statistic = statistics.log_density(part, part["log_mstar"], part.volume(), part.cosmic_variance())
        return compare(title, part, statistic, edges, references, (mock.log_mstar, np.inf))

    return in_bins(mock, MASS_BINS, measure)


_SFR_EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, *np.arange(1.0, 3.0, 0.25), *np.arange(3.0, 12.1, 0.5))
_SFR_WIDTH = 0.1  # of 1 + z, least width around a point


def sfr_density(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the SFR per volume of all galaxies above the least mass, against redshift."""
    first, last = mock.redshift
    edges = np.unique(np.clip(_SFR_EDGES, first, last))
    if len(edges) < 2:
        return [Panel("", why="the catalogue is at one redshift")]
    centres, widths = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    references = []
    for data in tables["sfr_density"]:
        if data.kind == "points":
            table = data.table[(data.table["redshift"] >= first) & (data.table["redshift"] < last)]
            z, value, down, up = (
                np.asarray(table[name]) for name in ("redshift", "log_sfr_density", "err_down", "err_up")
            )
            width = np.maximum(table["redshift_max"] - table["redshift_min"], _SFR_WIDTH * (1.0 + z))
            references += [Reference(data.label, z, value, down, up, np.asarray(width))] if len(z) else []
        else:
            references += law(data, centres, widths, first, last, np.log10, ", fit")
    statistic = statistics.log_sum_density(mock, mock["redshift"], 10.0 ** mock["log_sfr"])
    return [compare(rf"log $M_*$ > {mock.log_mstar:.3g}", mock, statistic, edges, references)]


COUNTS = {
    "i": ("lsst_baseline_i", "hsc_i", "decam_i", "acs_wfc_f775w"),
    "H": ("wfc3_ir_f160w", "Euclid-H", "roman_wfi_f158"),
    "4.4 um": ("jwst_f444w",),
}
"""Filters that are as good as those of the counts, the best first."""
_BANDS = {"i": ("i",), "H": ("F160W", "H"), "4.4 um": ("IRAC2",)}
_COUNTED = tuple(magnitude_column(name) for names in COUNTS.values() for name in names)


def number_counts(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the numbers of galaxies per area and magnitude, a panel for each band."""
    panels = []
    for band, filters in COUNTS.items():
        there = [name for name in filters if magnitude_column(name) in mock.galaxies]
        if not there:
            panels.append(Panel(band, why=missing([magnitude_column(filters[0])])))
            continue
        values = np.asarray(mock[magnitude_column(there[0])], float)
        edges = bins.edges(values, 0.5)
        references = []
        for data in tables["number_counts"]:
            for name in _BANDS[band]:
                table = data.table[data.table["band"] == name]
                if len(table):
                    x = np.asarray(table["magnitude"], float)
                    references.append(logarithmic(f"{data.label}, {name}", x, table, "n", 0.5))
        statistic = statistics.log_density(mock, values, float(mock.area or np.nan), mock.cosmic_variance())
        complete = complete_between(mock.cut(values, edges, by_redshift=True), edges, False)
        panels.append(compare(there[0], mock, statistic, edges, references, complete))
    return panels


A_UV_BINS = ((0.5, 1.0), (1.0, 1.5), (1.5, 2.0), (2.0, 2.5))


def a_uv(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the attenuation of star-forming galaxies in the ultraviolet against mass."""
    return medians(
        mock.star_forming, A_UV_BINS, mass_edges(mock), log_mstar_of,
        lambda part: part["muv"] - part["muv_intrinsic"],
        laws_of(tables["obscured_share"], 0.5, laws.attenuation), above_least_mass,
    )  # fmt: skip


V_J_BINS = ((0.2, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, 2.0), (2.0, 2.5), (2.5, 3.5))


def v_j(mock: Mock, tables: Tables) -> list[Panel]:
    """Return V-J of star-forming galaxies against mass."""
    return medians(
        mock.star_forming, V_J_BINS, mass_edges(mock), log_mstar_of,
        lambda part: part["vj"],
        laws_of(tables["uvj"], 0.5), above_least_mass,
    )  # fmt: skip


DUSTY_V_J, DUSTY_LOG_MSTAR = 1.2, 10.5
_DUSTY_EDGES = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])


def dusty_share(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the share of massive star-forming galaxies that are red by dust, beside that which V-J of mass makes."""
    massive = mock.star_forming
    massive = massive.where(massive["log_mstar"] > DUSTY_LOG_MSTAR)
    z, mass = massive["redshift"], massive["log_mstar"]
    centres, widths = 0.5 * (_DUSTY_EDGES[1:] + _DUSTY_EDGES[:-1]), np.diff(_DUSTY_EDGES)
    references = []
    for data in tables["uvj"]:
        scatter = float(np.hypot(data.table["scatter"][0], data.table["scatter_each"][0]))
        # of the masses that there are, so that it is the colours that are compared
        expected = [
            float(ndtr((data.value(mass[rows], middle) - DUSTY_V_J) / scatter).mean()) if rows.any() else np.nan
            for middle in centres
            for rows in [np.abs(z - middle) < 0.25]
        ]
        none = np.full(len(centres), np.nan)
        references.append(Reference(data.label, centres, np.array(expected), none, none, widths, line=True))
    statistic = statistics.share(massive, z, massive["vj"] > DUSTY_V_J)
    title = rf"star-forming, log $M_*$ > {DUSTY_LOG_MSTAR}"
    return [compare(title, massive, statistic, _DUSTY_EDGES, references)]


SLOPE_BINS = ((2.0, 3.0), (3.5, 4.5), (4.5, 5.5), (5.5, 6.5), (6.5, 7.4), (7.4, 9.0), (9.0, 12.0))


def uv_slope(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the UV slope of star-forming galaxies against their UV magnitude."""
    forming = mock.star_forming
    edges = np.arange(-23.5, -13.9, 0.5)
    return medians(
        forming, SLOPE_BINS, edges, _muv, lambda part: part["beta"],
        lambda x, low, high: [
            one for data in tables["uv_slope"] for one in points(data, "muv", "beta", low, high, width=0.5)
        ],
        lambda part: complete_between(part.cut(part["muv"], edges), edges, False),
    )  # fmt: skip


def quiescent_shares(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the share of quiescent galaxies against mass."""
    of_papers = [
        (data, quiescent_share(data))
        for data in tables["stellar_mass_function"]
        if data.kind == "points" and "quiescent" in set(data.table["population"])
    ]

    def measure(part: Mock, low: float, high: float, title: str) -> Panel:
        references = []
        for data, table in of_papers:
            rows = table[(table["redshift"] >= low) & (table["redshift"] < high)]
            if len(rows):
                x, value, down, up = (np.asarray(rows[name]) for name in ("log_mstar", "share", "err_down", "err_up"))
                references.append(Reference(data.label, x, value, down, up, np.full(len(x), _MASS_WIDTH)))
        edges = bins.edges(part["log_mstar"], _MASS_WIDTH)
        if not len(edges):
            return Panel(title, why="no galaxies")
        statistic = statistics.share(part, part["log_mstar"], part.quiescent)
        return compare(title, part, statistic, edges, references, above_least_mass(part))

    return in_bins(mock, MASS_BINS[:10], measure)


_MASS, _Z = style.LABELS["log_mstar"], style.LABELS["redshift"]
_PHI_MAG = r"$\log\,\phi\ [\mathrm{Mpc}^{-3}\,\mathrm{mag}^{-1}]$"
_PHI_DEX = r"$\log\,\phi\ [\mathrm{Mpc}^{-3}\,\mathrm{dex}^{-1}]$"
_RATIO = r"$\log\,[\mathrm{O\,III}]/\mathrm{H}\beta$"


def _lines(columns: Callable[[str], str], *names: str) -> tuple[str, ...]:
    return tuple(map(columns, names))


OBSERVABLES: dict[str, Observable] = {
    "uv_luminosity_function": Observable(
        "UV luminosity function, with dust", style.LABELS["muv"], _PHI_MAG, "dex", ("muv",), uv_luminosity_function,
        counts=True,
    ),
    "k_luminosity_function": Observable(
        "Luminosity function in K", r"$M_K$ [AB mag]", _PHI_MAG, "dex", (K,), k_luminosity_function, counts=True
    ),
    "stellar_mass_function": Observable(
        "Stellar mass function", _MASS, _PHI_DEX, "dex", (), stellar_mass_function, counts=True
    ),
    "sfr_density": Observable(
        "Density of star formation", _Z, r"$\log\,\rho_\psi\ [\mathrm{M}_\odot\,\mathrm{yr}^{-1}\,\mathrm{Mpc}^{-3}]$",
        "dex", ("log_sfr",), sfr_density, counts=True,
    ),
    "number_counts": Observable(
        "Number counts", "AB magnitude", r"$\log\,N\ [\mathrm{deg}^{-2}\,\mathrm{mag}^{-1}]$", "dex", (), number_counts,
        optional=_COUNTED, counts=True,
    ),
    "a_uv": Observable(
        "Attenuation of star-forming galaxies", _MASS, style.LABELS["a_uv"], "mag", ("muv", "muv_intrinsic"), a_uv
    ),
    "v_j": Observable("V-J of star-forming galaxies", _MASS, style.LABELS["vj"], "mag", ("vj",), v_j),
    "dusty_share": Observable(
        "Share of the dusty among massive star-forming galaxies", _Z, f"share with V-J > {DUSTY_V_J}", "", ("vj",),
        dusty_share,
    ),
    "uv_slope": Observable(
        "UV slope of star-forming galaxies", style.LABELS["muv"], style.LABELS["beta"], "", ("muv", "beta"), uv_slope
    ),
    "quiescent_share": Observable("Share of quiescent galaxies", _MASS, "quiescent share", "", (), quiescent_shares),
    "halpha_luminosity_function": Observable(
        r"Luminosity function of H$\alpha$", r"$\log\,L\ [\mathrm{erg\,s}^{-1}]$", _PHI_DEX, "dex",
        _lines(line_column, HALPHA), halpha_luminosity_function, counts=True,
    ),
    "oiii_hbeta_luminosity_function": Observable(
        r"Luminosity function of H$\beta$ + [O III]", r"$\log\,L\ [\mathrm{erg\,s}^{-1}]$", _PHI_DEX, "dex",
        _lines(line_column, HBETA, *OIII), oiii_hbeta_luminosity_function, counts=True,
    ),
    "line_counts": Observable(
        "Line emitters above a flux", r"$\log$ flux $[\mathrm{erg\,s}^{-1}\,\mathrm{cm}^{-2}]$",
        r"$\log\,N\ [\mathrm{deg}^{-2}]$", "dex", (), line_counts,
        optional=_lines(line_flux_column, HALPHA, *NII, OIII[1]), counts=True,
    ),
    "oiii_hbeta": Observable(
        r"[O III]/H$\beta$ against mass", _MASS, _RATIO, "dex", _lines(line_column, OIII[1], HBETA), oiii_hbeta
    ),
    "bpt": Observable(
        rf"Ratios of lines, log $M_*$ > {BPT_LOG_MSTAR:g}", r"$\log\,[\mathrm{N\,II}]/\mathrm{H}\alpha$", _RATIO,
        "dex", _lines(line_column, OIII[1], HBETA, NII[1], HALPHA), bpt,
    ),
    "equivalent_width": Observable(
        "Equivalent widths of lines", _Z, r"$\log\,\mathrm{EW}$ [$\mathrm{\AA}$]", "dex",
        ("muv", *_lines(equivalent_width_column, HALPHA, HBETA, *OIII)), equivalent_width,
    ),
}  # fmt: skip
"""Every observable by the name of its figure, in the order of the card."""
