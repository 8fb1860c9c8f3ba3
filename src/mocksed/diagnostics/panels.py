"""Grids of panels, one per bin, with median, percentiles and relation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mocksed.diagnostics import style

_PANEL = (2.9, 2.5)  # inches
_COLUMNS = 4


def grid(n_panels: int, rows_each: int = 1) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with panels side by side, wrapped where they are many.

    Parameters
    ----------
    n_panels : int
        Number of panels; at least one is made.
    rows_each : int
        Rows of axes in each panel. The axes of a row share their ranges across all panels.

    Returns
    -------
    figure : Figure
    axes : list of list of Axes
        Indexed by panel and row.

    """
    n_panels = max(n_panels, 1)
    lines = -(-n_panels // _COLUMNS)
    columns = -(-n_panels // lines)
    drawn = style.figure(max(columns * _PANEL[0], 2 * _PANEL[0]), lines * rows_each * _PANEL[1] + 0.6)
    cells = drawn.subplots(lines * rows_each, columns, squeeze=False)
    panels = []
    for i in range(lines * columns):
        line, column = divmod(i, columns)
        panel = list(cells[line * rows_each : (line + 1) * rows_each, column])
        if i >= n_panels:
            for axes in panel:
                axes.remove()
            continue
        panels.append(panel)
        if i:
            for axes, first in zip(panel, panels[0], strict=True):
                axes.sharex(first)
                axes.sharey(first)
        if column:
            for axes in panel:
                axes.tick_params(labelleft=False)
    return drawn, panels


def title(axes: Axes, panel: dict[str, Any], name: str) -> None:
    """Write the bin of a panel above it on the left, its number of galaxies on the right."""
    low, high = (f"{panel[end]:g}".replace("-", "\N{MINUS SIGN}") for end in ("low", "high"))
    axes.set_title(f"{low} < {name} < {high}", loc="left")
    n, times = panel["n"], ""
    if "realisations" in panel:
        n, times = round(n / panel["realisations"]), f"{panel['realisations']} \N{MULTIPLICATION SIGN} "
    axes.set_title(times + f"{n:,}".replace(",", "\N{THIN SPACE}"), loc="right", fontsize=9, color="0.35")


def label(panels: list[list[Axes]], row: int, xlabel: str, ylabel: str) -> None:
    """Label a row of axes: x everywhere, y on the left of the figure."""
    for panel in panels:
        panel[row].set_xlabel(xlabel)
        if panel[row].get_subplotspec().is_first_col():  # type: ignore[union-attr]
            panel[row].set_ylabel(ylabel)


def draw(
    axes: Axes, panel: dict[str, Any], x: NDArray, y: NDArray, colour: str, relation: str, name: str | None = None
) -> None:  # fmt: skip
    """Draw median, 16 to 84 % band and relation of a panel of `bins.relation_panels`.

    Galaxies in bins with too few of them for a median are drawn one by one. With realisations, medians have error bars:
    their spread.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    panel : dict
        The numbers.
    x, y : ndarray of shape (n, )
        The galaxies of the panel.
    colour : str
        Colour of the class of the galaxies.
    relation : str
        Name of the relation in the legend.
    name : str, optional
        Name of the class in the legend; without one the entries name no class.

    """
    prefix, of_class = (f"{name}: ", f", {name}") if name else ("", "")
    centre, median, low, high = (np.array(panel[key], float) for key in ("x", "median", "p16", "p84"))
    few = _in_sparse_bins(x, np.array(panel["edges"]), median)
    axes.plot(x[few], y[few], ".", ms=3, alpha=0.5, color=colour, rasterized=True)
    axes.plot([], [], ".", ms=5, color=colour, label=f"{prefix}galaxies, where few")
    axes.fill_between(centre, low, high, color=colour, alpha=0.25, lw=0, label=f"{prefix}16 to 84 %")
    axes.vlines(centre, low, high, color=colour, alpha=0.35, lw=1)  # a bin without neighbours has no band
    axes.plot(centre, median, "o-", ms=3, color=colour, label=f"{prefix}median")
    if "median_spread" in panel:
        error = np.array(panel["median_spread"], float)
        label = f"{prefix}spread of the median"
        axes.errorbar(centre, median, error, fmt="none", capsize=3, capthick=1, elinewidth=1, color=colour, label=label)
    axes.plot(
        panel["line_x"], panel["line_y"], ":", color=style.RELATION, lw=1.8, label=f"relation{of_class}: {relation}"
    )


def bands(panels: Sequence[dict[str, Any]]) -> list[NDArray]:
    """Return the ends of all bands that `draw` draws, NaN where there are none, for limits of the y axis."""
    return [np.array(panel[key], float) for panel in panels for key in ("p16", "p84")]


def centres(panels: Sequence[dict[str, Any]]) -> list[NDArray]:
    """Return where `draw` draws medians, NaN where there are none, for limits of the x axis."""
    return [np.where(np.isfinite(np.array(panel["median"], float)), panel["x"], np.nan) for panel in panels]


def shade(axes: Axes, edges: Sequence[float], which: Sequence[bool], label: str) -> None:
    """Shade some bins of the x axis, whose medians are biased."""
    for low, high, shaded in zip(edges, edges[1:], which, strict=False):
        if shaded:
            axes.axvspan(low, high, color="0.5", alpha=0.25, lw=0, zorder=3, label=label)


def shade_below(axes: Axes, least: float, of_class: str = "") -> None:
    """Shade masses below a limit of a relation (of a class), where it is extrapolated, if the x axis reaches there."""
    label = f"masses below the range of the relation{of_class and f', {of_class}'}"
    lowest, highest = axes.get_xlim()
    if lowest < least:
        axes.axvspan(lowest, min(least, highest), color="0.5", alpha=0.12, lw=0, zorder=0, label=label)
        axes.set_xlim(lowest, highest)


def _in_sparse_bins(x: NDArray, edges: NDArray, median: NDArray) -> NDArray[np.bool_]:
    """Return which x lie in a bin without a median."""
    if not len(median):
        return np.zeros(len(x), bool)
    index = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(median) - 1)
    return np.isnan(median)[index]
