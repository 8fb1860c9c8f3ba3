"""What the card shows: every observable by name, how it is measured of a mock, and which tables it is beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from mocksed.diagnostics import bins, style
from mocksed.diagnostics.sky import statistics
from mocksed.diagnostics.sky.mock import Mock
from mocksed.diagnostics.sky.panels import Panel, Reference, compare, complete_between, law, points
from mocksed.files.columns import (
    equivalent_width_column,
    line_column,
    line_flux_column,
    magnitude_column,
    rest_frame_column,
)
from mocksed.quantities import QUANTITIES
from mocksed.sky import laws
from mocksed.sky.observed import Observed, quiescent_share
from mocksed.sps.table import LSUN

Array = NDArray[np.float64]
Tables = Mapping[str, Sequence[Observed]]
Bins = Sequence[tuple[float, float]]

HALPHA, HBETA, NII = "halpha_6563", "hbeta_4861", ("nii_6548", "nii_6584")
OIII = ("oiii_4959", "oiii_5007")
K = rest_frame_column("twomass_Ks")
NO_AREA = "the area of the table is not known: diagnostics.area"

_MASS_WIDTH = 0.25
_FAINTEST_LINE = 38.0  # log10 of the luminosity [erg/s] below which none was observed, and which would make many bins


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


def missing(columns: Sequence[str]) -> str:
    """Return which keys of the config would give the catalogue columns that it lacks."""
    keys: dict[str, list[str]] = {}
    for column in columns:
        prefix, _, rest = column.partition("_")
        key = {
            "mag": "photometry.filters", "absmag": "photometry.rest_frame", "line": "spectra.lines",
            "lineflux": "spectra.lines", "ew": "spectra.lines",
        }.get(prefix, "columns")  # fmt: skip
        keys.setdefault(key, []).append(rest if key != "columns" else column)
    return "; ".join(f"{key} lacks {', '.join(dict.fromkeys(names))}" for key, names in keys.items())


def _in_bins(mock: Mock, z_bins: Bins, measure: Callable[[Mock, float, float, str], Panel]) -> list[Panel]:
    """Return a panel for each bin in redshift, empty where the catalogue has no such galaxies."""
    panels = []
    for low, high in z_bins:
        title = f"{low:g} < z < {high:g}"
        why = mock.why_not(low, high)
        panels.append(Panel(title, why=why) if why else measure(mock.between(low, high), low, high, title))
    return panels


# --- numbers per volume


def _log_phi(phi: Array) -> Array:
    return np.log10(np.maximum(phi, 1e-300))


def luminosity_function(
    mock: Mock, tables: Tables, observable: str, values: Callable[[Mock], Array], column: str, width: float,
    z_bins: Bins, faint_is_low: bool,
) -> list[Panel]:  # fmt: skip
    """Return the numbers per volume of magnitudes or log10 of luminosities, in bins of redshift."""

    def measure(part: Mock, low: float, high: float, title: str) -> Panel:
        own = values(part)
        edges = bins.edges(own, width)
        if not len(edges):
            return Panel(title, why="no galaxies")
        centres = 0.5 * (edges[1:] + edges[:-1])
        complete = complete_between(part.cut(own, edges), edges, faint_is_low)
        references = []
        for data in tables[observable]:
            if data.kind == "points":
                references += points(data, column, "log_phi", low, high)
            elif data.kind == "pozzetti2016" and low >= POZZETTI_FROM:
                for model in (1, 2, 3):
                    references += law(data, centres, width, low, high, _log_phi, f", model {model}", model=model)
            elif data.kind != "pozzetti2016":
                references += law(data, centres, width, low, high, _log_phi)
        statistic = statistics.log_density(part, own, part.volume(), part.cosmic_variance())
        return compare(title, part, statistic, edges, references, complete)

    return _in_bins(mock, z_bins, measure)


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


def log_luminosity(lines: Sequence[str], mock: Mock) -> Array:
    """Return log10 of the luminosity of lines together, with dust [erg/s]; NaN without them."""
    total = sum(mock[line_column(line)] for line in lines)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log10(total) + np.log10(LSUN)
    return np.where(found > _FAINTEST_LINE, found, np.nan)


HALPHA_BINS = ((0.3, 0.5), (0.5, 0.7), (0.7, 1.0), (1.0, 1.4), (1.3, 1.65), (2.0, 2.45))
POZZETTI_FROM = 0.7
"""Redshift from which on the models of Pozzetti et al. (2016) are shown: below they differ by ten."""
OIII_BINS = ((0.7, 1.0), (1.25, 1.6), (2.0, 2.45), (3.0, 3.5))


def halpha_luminosity_function(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the luminosity function of Halpha."""
    of, values = "halpha_luminosity_function", partial(log_luminosity, [HALPHA])
    return luminosity_function(mock, tables, of, values, "log_luminosity", 0.2, HALPHA_BINS, True)


def oiii_hbeta_luminosity_function(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the luminosity function of Hbeta and both lines of [O III] together."""
    of, values = "oiii_hbeta_luminosity_function", partial(log_luminosity, [HBETA, *OIII])
    return luminosity_function(mock, tables, of, values, "log_luminosity", 0.2, OIII_BINS, True)


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
                references += law(data, centres, _MASS_WIDTH, low, high, _log_phi, population="all")
        statistic = statistics.log_density(part, part["log_mstar"], part.volume(), part.cosmic_variance())
        return compare(title, part, statistic, edges, references, (mock.log_mstar, np.inf))

    return _in_bins(mock, MASS_BINS, measure)


# --- density of star formation


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


# --- number counts

COUNTS = {
    "i": ("lsst_baseline_i", "hsc_i", "decam_i", "acs_wfc_f775w"),
    "H": ("wfc3_ir_f160w", "Euclid-H", "roman_wfi_f158"),
    "4.4 um": ("jwst_f444w",),
}
"""Filters that are as good as those of the counts, the best first."""

_BANDS = {"i": ("i",), "H": ("F160W", "H"), "4.4 um": ("IRAC2",)}
_COUNTED = tuple(magnitude_column(name) for names in COUNTS.values() for name in names)


def _logarithmic(label: str, x: Array, table: Table, column: str, width: float, errors: str = "err_") -> Reference:
    """Return log10 of a column with errors, and with ``cosmic_variance``, which is relative, where there is one."""
    value, up, down = (np.asarray(table[name], float) for name in (column, f"{errors}up", f"{errors}down"))
    variance = np.asarray(table["cosmic_variance"], float) if "cosmic_variance" in table.colnames else 0.0
    up, down = (np.hypot(error / value, variance) for error in (up, down))
    with np.errstate(divide="ignore"):
        low = -np.log10(np.maximum(1.0 - down, 0.0))
    return Reference(label, x, np.log10(value), low, np.log10(1.0 + up), np.full(len(x), width))


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
                    references.append(_logarithmic(f"{data.label}, {name}", x, table, "n", 0.5))
        statistic = statistics.log_density(mock, values, float(mock.area or np.nan), mock.cosmic_variance())
        complete = complete_between(mock.cut(values, edges, by_redshift=True), edges, False)
        panels.append(compare(there[0], mock, statistic, edges, references, complete))
    return panels


# --- medians and shares


def _medians(
    mock: Mock, z_bins: Bins, edges: Array, by: Callable[[Mock], Array], values: Callable[[Mock], Array],
    references: Callable[[Array, float, float], list[Reference]], complete: Callable[[Mock], tuple[float, float]],
) -> list[Panel]:  # fmt: skip
    """Return medians in bins of another quantity and of redshift."""
    centres = 0.5 * (edges[1:] + edges[:-1])

    def measure(part: Mock, low: float, high: float, title: str) -> Panel:
        statistic = statistics.median(part, by(part), values(part))
        return compare(title, part, statistic, edges, references(centres, low, high), complete(part))

    return _in_bins(mock, z_bins, measure)


def _laws(
    of: Sequence[Observed], width: float, then: Callable[[Array], ArrayLike] = np.asarray
) -> Callable[[Array, float, float], list[Reference]]:
    """Return what makes the functions of papers, in bins of a width, of x and the limits of redshift."""
    return lambda x, low, high: [one for data in of for one in law(data, x, width, low, high, then)]


def _above_least_mass(mock: Mock) -> tuple[float, float]:
    return mock.log_mstar, np.inf


def _log_mstar(mock: Mock) -> Array:
    return mock["log_mstar"]


def _mass_edges(mock: Mock) -> Array:
    return np.arange(np.floor(2.0 * mock.log_mstar) / 2.0, 12.1, 0.5) - 0.25


A_UV_BINS = ((0.5, 1.0), (1.0, 1.5), (1.5, 2.0), (2.0, 2.5))


def a_uv(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the attenuation of star-forming galaxies in the ultraviolet against mass."""
    return _medians(
        mock.star_forming, A_UV_BINS, _mass_edges(mock), _log_mstar,
        lambda part: part["muv"] - part["muv_intrinsic"],
        _laws(tables["obscured_share"], 0.5, laws.attenuation), _above_least_mass,
    )  # fmt: skip


V_J_BINS = ((0.2, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, 2.0), (2.0, 2.5), (2.5, 3.5))


def v_j(mock: Mock, tables: Tables) -> list[Panel]:
    """Return V-J of star-forming galaxies against mass."""
    return _medians(
        mock.star_forming, V_J_BINS, _mass_edges(mock), _log_mstar,
        lambda part: part["vj"],
        _laws(tables["uvj"], 0.5), _above_least_mass,
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
    return _medians(
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
        return compare(title, part, statistic, edges, references, _above_least_mass(part))

    return _in_bins(mock, MASS_BINS[:10], measure)


# --- lines


LINE_COUNTS: tuple[tuple[str, float, float, tuple[str, ...], str, str], ...] = (
    (r"H$\alpha$", 0.9, 1.8, (HALPHA,), "pozzetti", "Halpha"),
    (r"H$\alpha$", 0.7, 1.5, (HALPHA,), "mehta", "Halpha"),
    (r"H$\alpha$", 1.5, 2.0, (HALPHA,), "mehta", "Halpha"),
    (r"H$\alpha$ + [N II]", 0.9, 1.6, (HALPHA, *NII), "bagley", "Halpha+[NII]"),
    (r"[O III] 5007", 1.5, 2.3, (OIII[1],), "bagley", "[OIII]5007"),
)  # fmt: skip
"""Panels of the counts above a flux: of what, redshifts, lines, which paper, and the name that it has there."""

_FLUX_EDGES = np.arange(-16.45, -14.9, 0.1)


def line_counts(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the numbers of line emitters per area above a flux."""
    panels = []
    for name, low, high, lines, paper, line in LINE_COUNTS:
        title = f"{name}, {low:g} < z < {high:g}"
        why = mock.why_not(low, high)
        if lacking := [line_flux_column(one) for one in lines if line_flux_column(one) not in mock.galaxies]:
            why = missing(lacking)
        if why:
            panels.append(Panel(title, why=why))
            continue
        part = mock.between(low, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log10(sum(part[line_flux_column(one)] for one in lines))
        references = _counts_of(tables, paper, line, low, high, mock)
        complete = complete_between(part.cut(values, _FLUX_EDGES), _FLUX_EDGES, True)
        statistic = statistics.log_counts_above(part, values, float(mock.area or np.nan), part.cosmic_variance())
        panels.append(compare(title, part, statistic, _FLUX_EDGES, references, complete))
    return panels


def _counts_of(tables: Tables, paper: str, line: str, low: float, high: float, mock: Mock) -> list[Reference]:
    if paper == "pozzetti":
        x = np.array([-16.0, -15.9, -15.8, -15.7, -15.6, -15.5, -15.4, -15.3])
        none = np.full(len(x), np.nan)
        return [
            Reference(
                f"{data.label}, model {model}", x,
                np.log10([laws.counts_above(_density(data, model), 10.0**flux, (low, high), mock.cosmo) for flux in x]),
                none, none, np.zeros(len(x)), line=True,
            )
            for data in tables["halpha_luminosity_function"] if data.kind == "pozzetti2016"
            for model in (1, 2, 3)
        ]  # fmt: skip
    found = []
    for data in tables["line_counts"]:
        table = data.table
        rows = table[
            (table["line"] == line) & np.isclose(table["redshift_min"], low) & np.isclose(table["redshift_max"], high)
        ]
        if paper in data.name and len(rows):
            found.append(_logarithmic(data.label, np.log10(np.asarray(rows["flux"], float)), rows, "n", 0.0))
    return found


def _density(data: Observed, model: int) -> Callable[[Array, Array], Array]:
    """Return a model of Pozzetti et al. (2016) as a function of log10 of luminosity and redshift, which broadcast."""
    row = data.rows(1.1, model=model)[0]
    return lambda log_l, z: laws.pozzetti2016(log_l, z, *(row[name] for name in laws.LAWS[data.kind].parameters))


RATIO_BINS = ((0.0, 0.3), (1.4, 1.8), (2.0, 2.6))


def log_ratio(above: str, below: str, mock: Mock) -> Array:
    """Return log10 of the ratio of two lines, with dust; NaN where one is missing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log10(mock[line_column(above)] / mock[line_column(below)])
    return np.where(np.isfinite(found), found, np.nan)


def oiii_hbeta(mock: Mock, tables: Tables) -> list[Panel]:
    """Return log [O III]/Hbeta of star-forming galaxies against mass."""
    return _medians(
        mock.star_forming, RATIO_BINS[1:], _mass_edges(mock), _log_mstar,
        partial(log_ratio, OIII[1], HBETA),
        _laws(tables["oiii_hbeta_mass"], 0.5), _above_least_mass,
    )  # fmt: skip


BPT_LOG_MSTAR = 9.0


def bpt(mock: Mock, tables: Tables) -> list[Panel]:
    """Return log [O III]/Hbeta against log [N II]/Halpha of star-forming galaxies."""
    forming = mock.star_forming
    forming = forming.where(forming["log_mstar"] > BPT_LOG_MSTAR)
    edges = np.arange(-2.1, 0.11, 0.2)
    return _medians(
        forming, RATIO_BINS, edges, partial(log_ratio, NII[1], HALPHA), partial(log_ratio, OIII[1], HBETA),
        _laws(tables["bpt"], 0.2), lambda part: (-np.inf, np.inf),
    )  # fmt: skip


EQUIVALENT_WIDTHS: tuple[tuple[str, str, tuple[str, ...], str, tuple[float, float], Array], ...] = (
    ("[OIII]5007", "[O III] 5007", (OIII[1],), "muv", (-21.6, -19.0), np.arange(1.0, 3.3, 0.4)),
    ("Halpha", r"H$\alpha$", (HALPHA,), "log_mstar", (9.5, 10.5), np.arange(1.0, 6.1, 1.0)),
    ("Hbeta+[OIII]", r"H$\beta$ + [O III]", (HBETA, *OIII), "muv", (-22.5, -21.0), np.arange(5.75, 7.8, 0.5)),
)
"""Panels of the equivalent widths: name in the tables, label, lines, what galaxies are chosen by, bins in redshift."""


_EW_WIDTH = 0.5  # in redshift, around a point


def equivalent_width(mock: Mock, tables: Tables) -> list[Panel]:
    """Return log10 of the rest-frame equivalent width of star-forming galaxies against redshift."""
    panels = []
    for name, label, lines, by, (low, high), edges in EQUIVALENT_WIDTHS:
        chosen = mock.star_forming
        chosen = chosen.where((chosen[by] >= low) & (chosen[by] < high))
        title = f"{label}, {low:g} < {QUANTITIES[by].symbol} < {high:g}"
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log10(sum(chosen[equivalent_width_column(line)] for line in lines))
        references = []
        for data in tables["equivalent_width"]:
            rows = data.table[data.table["line"] == name]
            if len(rows):
                errors = "median_err_" if data.kind == "lognormal" else "err_"
                z = np.asarray(rows["redshift"], float)
                references.append(_logarithmic(data.label, z, rows, "median", _EW_WIDTH, errors))
        statistic = statistics.median(chosen, chosen["redshift"], values)
        panels.append(compare(title, chosen, statistic, edges, references))
    return panels


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
