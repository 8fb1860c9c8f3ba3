"""How every plot looks and how it is saved: sizes, colours, labels with units."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mocksed import atomic, jsontext
from mocksed.quantities import QUANTITIES

# Okabe & Ito (2008), distinct for all common forms of colour vision
STAR_FORMING = "#0072B2"
QUIESCENT = "#D55E00"
PARENT = "#7F7F7F"
RELATION = "black"
DENSITY = LinearSegmentedColormap.from_list("density", ["#DCEAF4", "#56A3CF", "#0072B2", "#00263D"])

CLASS_COLOURS = {"star_forming": STAR_FORMING, "quiescent": QUIESCENT}
CLASS_NAMES = {"star_forming": "star-forming", "quiescent": "quiescent"}

LABELS = {name: quantity.axis for name, quantity in QUANTITIES.items()}
"""Label with unit of every quantity on an axis; quantities without a unit have none."""

_RC: Any = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 11,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "lines.linewidth": 1.5,
    "pdf.fonttype": 42,
}
_WIDTH_BELOW = 2.5  # ratio of the ends of the step for what is below all edges
_NONE = 0.5  # galaxies, where a logarithmic axis of counts begins
_FEW = 1000  # points below this are drawn one by one, more as a density

P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function with the style of the project alone, leaving matplotlib's global settings as they were."""

    @wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context():
            mpl.rcdefaults()  # without the user's own matplotlibrc, which may ask for LaTeX
            mpl.rcParams.update(_RC)
            return function(*args, **kwargs)

    return inner


def figure(width: float, height: float) -> Figure:
    """Return an empty figure, sizes in inches, that makes room for its labels by itself."""
    return Figure(figsize=(width, height), layout="constrained")


@styled
def save(drawn: Figure, png: Path | str, pdf: Path | str | None = None, about: Mapping[str, Any] | None = None) -> None:
    """Write a figure as PNG and as PDF, each whole or not at all, the same bytes every time.

    Parameters
    ----------
    drawn : Figure
        The figure.
    png, pdf : path
        The files; without ``pdf`` the first alone.
    about : mapping, optional
        Where its numbers come from, put as JSON under PNG's ``Description`` and PDF's ``Subject``.

    Raises
    ------
    UserError
        If a file cannot be written.

    """
    said = jsontext.dumps(about, sort_keys=True) if about else None
    with atomic.replacing(png) as temporary:
        drawn.savefig(temporary, dpi=150, metadata={"Software": None, "Description": said})
    if pdf is None:
        return
    with atomic.replacing(pdf) as temporary:
        drawn.savefig(temporary, dpi=150, metadata={"CreationDate": None, "Subject": said})


def limits(
    *values: NDArray, pad: float = 0.04, outside: float = 0.1, whole: Sequence[NDArray] = ()
) -> tuple[float, float]:
    """Return axis limits that enclose the finite values but ``outside`` per cent at either end, (0, 1) for none.

    They enclose all finite values of ``whole``, too, such as medians of the few galaxies of the largest masses.
    """
    together, always = (
        np.concatenate([np.empty(0), *(np.ravel(array) for array in arrays)]) for arrays in (values, whole)
    )
    together, always = together[np.isfinite(together)], always[np.isfinite(always)]
    if not together.size:
        return 0.0, 1.0
    low, high = np.percentile(together, [outside, 100.0 - outside])
    low, high = min([low, *always]), max([high, *always])
    if high - low < 1e-6:
        return low - 0.5, high + 0.5
    return low - pad * (high - low), high + pad * (high - low)


def span(*values: NDArray) -> tuple[float, float]:
    """Return axis limits that enclose all finite values: of masses, of which the few largest matter."""
    return limits(*values, outside=0.0)


def density(
    axes: Axes, x: NDArray, y: NDArray, xlim: tuple[float, float], ylim: tuple[float, float], label: str | None = None
) -> None:
    """Draw a cloud of points, as a density on a logarithmic scale where there are many of them."""
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(x) < _FEW:
        axes.plot(x, y, ".", ms=4, alpha=0.6, color=STAR_FORMING, rasterized=True)
        axes.plot([], [], ".", ms=8, color=STAR_FORMING, label=label)
    else:
        axes.hist2d(x, y, bins=80, range=(xlim, ylim), norm=LogNorm(), cmap=DENSITY, cmin=1, rasterized=True)
        axes.plot([], [], "s", color=DENSITY(0.5), label=label)
    axes.set(xlim=xlim, ylim=ylim)


def histograms_of_distances(
    axes: Axes, edges: Sequence[float], *histograms: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> None:
    """Draw histograms on logarithmic axes, with one step for all that is below the first edge: distances may be 0.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    edges : sequence of float
        Edges of the bins.
    *histograms : tuple of mappings
        ``below`` and ``counts``, see `mocksed.diagnostics.bins.counts_above`; and how `Axes.stairs` draws them.

    """
    start = edges[0] / _WIDTH_BELOW
    for histogram, looks in histograms:
        axes.stairs([histogram["below"], *histogram["counts"]], [start, *edges], baseline=_NONE, **looks)
    axes.axvline(edges[0], color="0.5", ls=":", lw=1)
    axes.text(start * _WIDTH_BELOW**0.5, 1.4 * _NONE, f"below {edges[0]:g}", rotation=90, ha="center", fontsize=8)
    axes.set(xlabel="distance in the metric of the run", ylabel="number of galaxies", xscale="log", yscale="log")
    axes.set(xlim=(start, None), ylim=(_NONE, 10.0 * axes.get_ylim()[1]))  # with room for a note


def note(axes: Axes, text: str, x: float = 0.04, y: float = 0.96) -> None:
    """Write a note into a corner of the axes, by default the upper left one."""
    axes.text(
        x,
        y,
        text,
        transform=axes.transAxes,
        ha="left" if x < 0.5 else "right",
        va="top" if y > 0.5 else "bottom",
        fontsize=9,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
    )


def legend_below(drawn: Figure) -> None:
    """Put one legend below the whole figure, with every entry of its axes once."""
    unique: dict[str, Artist] = {}  # the first of each
    for axes in drawn.axes:
        handles, labels = axes.get_legend_handles_labels()
        unique = dict(zip(map(str, labels), handles, strict=True)) | unique
    if unique:
        widest = 0.6 + 0.07 * max(map(len, unique))  # inches
        columns = max(int(drawn.get_figwidth() // max(widest, 2.6)), 1)
        drawn.legend(list(unique.values()), list(unique), loc="outside lower center", ncols=columns)
