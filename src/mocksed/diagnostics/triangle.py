"""Triangle plot of the star-forming parent catalogue and the galaxies that took its parameters."""

from collections.abc import Sequence
from typing import Any

import corner
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mocksed.diagnostics import bins, style
from mocksed.diagnostics.catalogue import Arrays, Sample, select, thin
from mocksed.diagnostics.settings import Settings

PARENT_COLUMNS = (
    "redshift",
    "log_mstar",
    "muv",
    "beta",
    "age",
    "tau",
    "log_sfr",
    "log_zmet",
    "dust2",
    "dust_index",
    "log_us",
)
COLUMNS = (*PARENT_COLUMNS, "quiescent")
QUANTITIES = tuple("log_tau" if name == "tau" else name for name in PARENT_COLUMNS)

MAX_POINTS = 20_000
"""Points of either catalogue in the plot; contours gain nothing from more."""


def measure(sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return count, median, 16th and 84th percentile of each quantity of parent and catalogue.

    Returns
    -------
    dict of str to dict of str to dict
        ``parent`` and ``catalogue``; then the quantity, see `QUANTITIES`; then the number.

    """
    catalogues = {"parent": sample.parent, "catalogue": _shown(sample, settings)}
    return {
        which: dict(zip(QUANTITIES, map(bins.percentiles, _points(arrays).T), strict=True))
        for which, arrays in catalogues.items()
    }


def _shown(sample: Sample, settings: Settings) -> Arrays:
    """Return the star-forming galaxies of the redshifts that are asked for."""
    galaxies = sample.star_forming
    if settings.triangle_redshift is None:
        return galaxies
    low, high = settings.triangle_redshift
    return select(galaxies, (galaxies["redshift"] >= low) & (galaxies["redshift"] <= high))


def _points(arrays: Arrays) -> NDArray[np.float64]:
    """Return the quantities, shape (n, len(QUANTITIES)), of the points that have them all."""
    columns = [np.asarray(arrays[name], float) for name in PARENT_COLUMNS]
    columns[PARENT_COLUMNS.index("tau")] = np.log10(columns[PARENT_COLUMNS.index("tau")])
    points = np.stack(columns, axis=1)
    return points[np.isfinite(points).all(axis=1)]


@style.styled
def draw(sample: Sample, measured: dict[str, Any], settings: Settings) -> Figure:
    """Draw the contours of both catalogues, with their medians in the legend's colours on the diagonal."""
    catalogues = {
        "parent": (_points(thin(sample.parent, MAX_POINTS)), style.PARENT),
        "catalogue": (_points(thin(_shown(sample, settings), MAX_POINTS)), style.STAR_FORMING),
    }
    n = len(QUANTITIES)
    drawn = Figure(figsize=(1.7 * n, 1.7 * n))
    drawn.subplots(n, n)
    ranges = [_range([points[:, i] for points, _ in catalogues.values()]) for i in range(n)]
    for which, (points, colour) in catalogues.items():
        constant = [i for i in range(n) if len(points) and np.ptp(points[:, i]) == 0.0]
        _draw_corner(drawn, _spread_out(points, constant, ranges), colour, ranges)
        for i in constant:  # what does not vary is drawn of the catalogue that comes next alone
            for j in range(n):
                for cell in {i * n + j, j * n + i}:
                    drawn.axes[cell].cla()
        for i, quantity in enumerate(QUANTITIES):
            if not len(points) or np.ptp(points[:, i]) == 0.0:
                continue
            drawn.axes[i * (n + 1)].axvline(measured[which][quantity]["median"], color=colour, ls="--", lw=1)
    _finish(drawn, ranges)
    handles = [
        Line2D([], [], color=colour, lw=3, label=f"{which}, star-forming ({len(points)} points drawn)")
        for which, (points, colour) in catalogues.items()
    ]
    handles.append(Line2D([], [], color="0.3", ls="--", lw=1, label="medians; contours hold 39 % and 86 %"))
    drawn.legend(handles=handles, loc="upper right", bbox_to_anchor=(0.96, 0.96), fontsize=18)
    return drawn


def _range(values: Sequence[NDArray]) -> tuple[float, float]:
    """Return the limits of an axis: of 90 % of the parent, which has long tails, and nearly all of the catalogue."""
    outside = (5.0, 0.1)
    ends = [
        style.limits(own, outside=share)
        for own, share in zip(values, outside, strict=True)
        if len(own) and np.ptp(own) > 0.0
    ]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else style.limits(*values)


def _spread_out(points: NDArray, constant: list[int], ranges: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Return points with values spread over the axis where all are the same, since contours need a spread."""
    points = points.copy()
    for i in constant:
        points[:, i] = np.linspace(*ranges[i], len(points))
    return points


def _draw_corner(drawn: Figure, points: NDArray, colour: str, ranges: list[tuple[float, float]]) -> None:
    if len(points) < 10 * len(QUANTITIES):  # too few for contours
        if len(points):
            corner.overplot_points(drawn, points, marker=".", color=colour, ms=5)
        return
    corner.corner(
        points,
        fig=drawn,
        range=ranges,
        bins=40,
        smooth=1.2,
        color=colour,
        levels=(0.393, 0.865),  # 1 and 2 sigma of a Gaussian in two dimensions
        plot_datapoints=False,
        plot_density=False,
        fill_contours=True,
        no_fill_contours=False,
        contourf_kwargs={"colors": [(0, 0, 0, 0), (colour, 0.25), (colour, 0.55)]},
        hist_kwargs={"density": True, "lw": 1.5},
    )


def _finish(drawn: Figure, ranges: list[tuple[float, float]]) -> None:
    """Set ranges and labels, also where corner drew nothing."""
    n = len(QUANTITIES)
    for row in range(n):
        for column in range(n):
            axes = drawn.axes[row * n + column]
            if column > row:
                axes.set_visible(False)
                continue
            axes.set_xlim(ranges[column])
            axes.tick_params(labelsize=10, labelbottom=row == n - 1, labelleft=0 == column < row)
            axes.locator_params(axis="x", nbins=4)
            if row == column:
                axes.set_yticks([])
            else:
                axes.set_ylim(ranges[row])
                axes.locator_params(axis="y", nbins=4)
            if row == n - 1:
                axes.set_xlabel(style.LABELS[QUANTITIES[column]], fontsize=13)
            if column == 0 < row:
                axes.set_ylabel(style.LABELS[QUANTITIES[row]], fontsize=13)
    drawn.align_labels()
    drawn.subplots_adjust(left=0.06, right=0.985, bottom=0.06, top=0.985, hspace=0.06, wspace=0.06)
