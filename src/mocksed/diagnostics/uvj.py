"""Rest-frame U-V against V-J, and the fraction of quiescent galaxies in the UVJ box."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mocksed.diagnostics import bins, style
from mocksed.diagnostics.catalogue import Arrays, Sample, select, thin
from mocksed.diagnostics.settings import Settings
from mocksed.realisations import COLUMN
from mocksed.uvj import depth, in_box

COLUMNS = ("redshift", "quiescent", "uv", "vj")
PARENT_COLUMNS: tuple[str, ...] = ()

_MAX_POINTS = 5000  # of quiescent galaxies drawn one by one
_EDGE = 0.05  # mag


def measure(sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return the fraction of galaxies inside the box, of each class, overall and by redshift.

    Galaxies without colours do not count.

    Returns
    -------
    dict
        ``box`` : the limits of the box;
        ``star_forming``, ``quiescent`` : dict with ``overall`` : {``n``, ``in_box`` (a fraction), ``p16``, ``p84``}
        and ``by_redshift`` : list of the same with ``low`` and ``high``. p16 and p84 are the Wilson interval of the
        fraction (Wilson 1927), with realisations also ``in_box_spread`` (see `mocksed.diagnostics.bins.spread`).
        ``at_edge`` is the fraction within 0.05 mag of an edge of the box, on either side.

    """
    classes = {"star_forming": sample.star_forming, "quiescent": sample.quiescent}
    return {"box": dict(settings.uvj_box)} | {name: _of_class(arrays, settings) for name, arrays in classes.items()}


def _of_class(galaxies: Arrays, settings: Settings) -> dict[str, Any]:
    galaxies = select(galaxies, np.isfinite(galaxies["uv"]) & np.isfinite(galaxies["vj"]))
    inside, realisation = in_box(galaxies["uv"], galaxies["vj"], settings.uvj_box), galaxies.get(COLUMN)
    at_edge = np.abs(depth(galaxies["uv"], galaxies["vj"], settings.uvj_box)) < _EDGE
    by_redshift = [
        {"low": low, "high": high} | _fraction(inside[rows], at_edge[rows], bins.rows_of(realisation, rows))
        for low, high, rows in bins.slices(galaxies["redshift"], settings.redshift_bins)
    ]
    return {"overall": _fraction(inside, at_edge, realisation), "by_redshift": by_redshift}


def _fraction(inside: NDArray, at_edge: NDArray, realisation: bins.Realisation) -> dict[str, float]:
    from astropy.stats import binom_conf_interval  # other plots do without it

    n = len(inside)
    if n:
        low, high = binom_conf_interval(int(inside.sum()), n, interval="wilson")
        result = {"n": n, "in_box": float(inside.mean()), "p16": float(low), "p84": float(high)}
    else:
        result = {"n": 0, "in_box": np.nan, "p16": np.nan, "p84": np.nan}
    result["at_edge"] = float(at_edge.mean()) if n else np.nan
    if realisation is not None:
        result["in_box_spread"] = float(bins.spread(lambda rows: inside[rows].mean(), realisation))
    return result


@style.styled
def draw(sample: Sample, measured: dict[str, Any], settings: Settings) -> Figure:
    """Draw the colours of both classes with the box, and the fraction inside it against redshift."""
    drawn = style.figure(10.5, 5.0)
    colours, fractions = drawn.subplots(1, 2)
    draw_colours(colours, sample, measured, *colour_limits(sample))
    draw_fractions(fractions, measured, settings)
    style.legend_below(drawn)
    return drawn


def colour_limits(sample: Sample) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return limits of V-J and of U-V that hold the galaxies and the edges of the box."""
    vj, uv = (style.limits(sample.galaxies[name], pad=0.1) for name in ("vj", "uv"))
    return (min(vj[0], 0.0), max(vj[1], 1.8)), (min(uv[0], 0.0), max(uv[1], 2.3))


def draw_colours(
    axes: Axes, sample: Sample, measured: dict[str, Any], xlim: tuple[float, float], ylim: tuple[float, float]
) -> None:
    """Draw the colours of both classes with the box, and how many quiescent galaxies are inside."""
    star_forming, quiescent = sample.star_forming, sample.quiescent
    style.density(axes, star_forming["vj"], star_forming["uv"], xlim, ylim, "star-forming")
    shown = thin({name: quiescent[name] for name in ("vj", "uv")}, _MAX_POINTS)
    axes.plot(shown["vj"], shown["uv"], ".", ms=4, alpha=0.4, mew=0, color=style.QUIESCENT, rasterized=True)
    axes.plot([], [], ".", ms=8, color=style.QUIESCENT, label="quiescent")
    _draw_box(axes, measured["box"])
    axes.set(xlabel=style.LABELS["vj"], ylabel=style.LABELS["uv"])
    style.note(axes, _overall_note(measured["quiescent"]["overall"]))


def _overall_note(overall: dict[str, float]) -> str:
    if not overall["n"]:
        return "no quiescent galaxies"
    spread = f", spread {100 * overall['in_box_spread']:.1g} %" if "in_box_spread" in overall else ""
    error = 100.0 * max(overall["in_box"] - overall["p16"], overall["p84"] - overall["in_box"])  # [%], above 0
    share = f"{100 * overall['in_box']:.{max(-math.floor(math.log10(error)), 0)}f}"
    return f"{share} % of {overall['n']} quiescent in the box{spread}"


def _draw_box(axes: Axes, box: Mapping[str, float]) -> None:
    xlim, ylim = axes.get_xlim(), axes.get_ylim()
    vj = np.linspace(xlim[0], box["vj_max"], 200)
    lower = np.maximum(box["uv_min"], box["slope"] * vj + box["intercept"])
    axes.plot([*vj, box["vj_max"]], [*lower, max(ylim[1], lower[-1])], "-", color=style.RELATION, label="box")
    axes.set(xlim=xlim, ylim=ylim)


def draw_fractions(axes: Axes, measured: dict[str, Any], settings: Settings) -> None:
    """Draw the fraction of each class inside the box against redshift."""
    for name, colour in style.CLASS_COLOURS.items():
        rows = measured[name]["by_redshift"]
        low, high, fraction, p16, p84 = (
            np.array([row[key] for row in rows]) for key in ("low", "high", "in_box", "p16", "p84")
        )
        centre, fraction = (low + high) / 2, np.clip(fraction, p16, p84)
        axes.errorbar(
            centre,
            fraction,
            xerr=(high - low) / 2,
            yerr=[fraction - p16, p84 - fraction],
            fmt="o",
            ms=4,
            color=colour,
        )
        if name == "quiescent":
            for row, x in zip(rows, centre, strict=True):
                axes.text(x, 1.06, f"{row['n']}", rotation=90, ha="center", va="bottom", fontsize=8, color=colour)
    rows = [row for name in style.CLASS_COLOURS for row in measured[name]["by_redshift"]]
    edges = [row[edge] for row in rows for edge in ("low", "high")] or settings.redshift_bins
    first, last = min(edges), max(edges)
    axes.set_xlim(first - 0.03 * (last - first), last)  # room for what is said of a narrow first bin
    axes.set(xlabel=style.LABELS["redshift"], ylabel="fraction inside the box", ylim=(-0.05, 1.25))
    axes.set_yticks(np.linspace(0.0, 1.0, 6))
