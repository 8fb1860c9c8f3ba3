"""Panels in bins of redshift: numbers per volume, and medians, beside what papers have of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from astropy.table import Table
from numpy.typing import ArrayLike, NDArray

from mocksed.diagnostics import bins
from mocksed.diagnostics.sky import statistics
from mocksed.diagnostics.sky.mock import Mock
from mocksed.diagnostics.sky.panels import Panel, Reference, compare, complete_between, law, points
from mocksed.sky.observed import Observed

Array = NDArray[np.float64]
Tables = Mapping[str, Sequence[Observed]]
Bins = Sequence[tuple[float, float]]


def in_bins(mock: Mock, z_bins: Bins, measure: Callable[[Mock, float, float, str], Panel]) -> list[Panel]:
    """Return a panel for each bin in redshift, empty where the catalogue has no such galaxies."""
    panels = []
    for low, high in z_bins:
        title = f"{low:g} < z < {high:g}"
        why = mock.why_not(low, high)
        panels.append(Panel(title, why=why) if why else measure(mock.between(low, high), low, high, title))
    return panels


def log_phi(phi: Array) -> Array:
    """Return log10 of a number per volume, hardly any for none."""
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
                    references += law(data, centres, width, low, high, log_phi, f", model {model}", model=model)
            elif data.kind != "pozzetti2016":
                references += law(data, centres, width, low, high, log_phi)
        statistic = statistics.log_density(part, own, part.volume(), part.cosmic_variance())
        return compare(title, part, statistic, edges, references, complete)

    return in_bins(mock, z_bins, measure)


POZZETTI_FROM = 0.7
"""Redshift from which on the models of Pozzetti et al. (2016) are shown: below they differ by ten."""


def medians(
    mock: Mock, z_bins: Bins, edges: Array, by: Callable[[Mock], Array], values: Callable[[Mock], Array],
    references: Callable[[Array, float, float], list[Reference]], complete: Callable[[Mock], tuple[float, float]],
) -> list[Panel]:  # fmt: skip
    """Return medians in bins of another quantity and of redshift."""
    centres = 0.5 * (edges[1:] + edges[:-1])

    def measure(part: Mock, low: float, high: float, title: str) -> Panel:
        statistic = statistics.median(part, by(part), values(part))
        return compare(title, part, statistic, edges, references(centres, low, high), complete(part))

    return in_bins(mock, z_bins, measure)


def laws_of(
    of: Sequence[Observed], width: float, then: Callable[[Array], ArrayLike] = np.asarray
) -> Callable[[Array, float, float], list[Reference]]:
    """Return what makes the functions of papers, in bins of a width, of x and the limits of redshift."""
    return lambda x, low, high: [one for data in of for one in law(data, x, width, low, high, then)]


def above_least_mass(mock: Mock) -> tuple[float, float]:
    """Return the masses above which a mock is complete [log10(Msun)]."""
    return mock.log_mstar, np.inf


def log_mstar_of(mock: Mock) -> Array:
    """Return the stellar masses [log10(Msun)]."""
    return mock["log_mstar"]


def mass_edges(mock: Mock) -> Array:
    """Return edges of bins of half a dex in mass around whole and half ones, from the least mass on."""
    return np.arange(np.floor(2.0 * mock.log_mstar) / 2.0, 12.1, 0.5) - 0.25


def logarithmic(label: str, x: Array, table: Table, column: str, width: float, errors: str = "err_") -> Reference:
    """Return log10 of a column with errors, and with ``cosmic_variance``, which is relative, where there is one."""
    value, up, down = (np.asarray(table[name], float) for name in (column, f"{errors}up", f"{errors}down"))
    variance = np.asarray(table["cosmic_variance"], float) if "cosmic_variance" in table.colnames else 0.0
    up, down = (np.hypot(error / value, variance) for error in (up, down))
    with np.errstate(divide="ignore"):
        low = -np.log10(np.maximum(1.0 - down, 0.0))
    return Reference(label, x, np.log10(value), low, np.log10(1.0 + up), np.full(len(x), width))


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
