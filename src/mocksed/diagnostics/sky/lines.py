"""The observables of emission lines: luminosity functions, counts, ratios and equivalent widths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from mocksed.diagnostics.sky import statistics
from mocksed.diagnostics.sky.in_bins import (
    Array,
    Tables,
    above_least_mass,
    laws_of,
    log_mstar_of,
    logarithmic,
    luminosity_function,
    mass_edges,
    medians,
    missing,
)
from mocksed.diagnostics.sky.mock import Mock
from mocksed.diagnostics.sky.panels import Panel, Reference, compare, complete_between
from mocksed.files.columns import (
    equivalent_width_column,
    line_column,
    line_flux_column,
)
from mocksed.quantities import QUANTITIES
from mocksed.sky import laws
from mocksed.sky.observed import Observed
from mocksed.sps.table import LSUN

HALPHA, HBETA, NII = "halpha_6563", "hbeta_4861", ("nii_6548", "nii_6584")
OIII = ("oiii_4959", "oiii_5007")
_FAINTEST_LINE = 38.0  # log10 of the luminosity [erg/s] below which none was observed, and which would make many bins


def log_luminosity(lines: Sequence[str], mock: Mock) -> Array:
    """Return log10 of the luminosity of lines together, with dust [erg/s]; NaN without them."""
    total = sum(mock[line_column(line)] for line in lines)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log10(total) + np.log10(LSUN)
    return np.where(found > _FAINTEST_LINE, found, np.nan)


HALPHA_BINS = ((0.3, 0.5), (0.5, 0.7), (0.7, 1.0), (1.0, 1.4), (1.3, 1.65), (2.0, 2.45))
OIII_BINS = ((0.7, 1.0), (1.25, 1.6), (2.0, 2.45), (3.0, 3.5))


def halpha_luminosity_function(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the luminosity function of Halpha."""
    of, values = "halpha_luminosity_function", partial(log_luminosity, [HALPHA])
    return luminosity_function(mock, tables, of, values, "log_luminosity", 0.2, HALPHA_BINS, True)


def oiii_hbeta_luminosity_function(mock: Mock, tables: Tables) -> list[Panel]:
    """Return the luminosity function of Hbeta and both lines of [O III] together."""
    of, values = "oiii_hbeta_luminosity_function", partial(log_luminosity, [HBETA, *OIII])
    return luminosity_function(mock, tables, of, values, "log_luminosity", 0.2, OIII_BINS, True)


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
            found.append(logarithmic(data.label, np.log10(np.asarray(rows["flux"], float)), rows, "n", 0.0))
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
    return medians(
        mock.star_forming, RATIO_BINS[1:], mass_edges(mock), log_mstar_of,
        partial(log_ratio, OIII[1], HBETA),
        laws_of(tables["oiii_hbeta_mass"], 0.5), above_least_mass,
    )  # fmt: skip


BPT_LOG_MSTAR = 9.0


def bpt(mock: Mock, tables: Tables) -> list[Panel]:
    """Return log [O III]/Hbeta against log [N II]/Halpha of star-forming galaxies."""
    forming = mock.star_forming
    forming = forming.where(forming["log_mstar"] > BPT_LOG_MSTAR)
    edges = np.arange(-2.1, 0.11, 0.2)
    return medians(
        forming, RATIO_BINS, edges, partial(log_ratio, NII[1], HALPHA), partial(log_ratio, OIII[1], HBETA),
        laws_of(tables["bpt"], 0.2), lambda part: (-np.inf, np.inf),
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
                references.append(logarithmic(data.label, z, rows, "median", _EW_WIDTH, errors))
        statistic = statistics.median(chosen, chosen["redshift"], values)
        panels.append(compare(title, chosen, statistic, edges, references))
    return panels
