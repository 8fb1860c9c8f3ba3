"""Ages against the age of the universe, e-folding times, and the flags of both classes."""

from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mocksed.cosmology import Cosmology, t_univ
from mocksed.diagnostics import bins, style
from mocksed.diagnostics.catalogue import Arrays, Sample, thin
from mocksed.diagnostics.settings import Settings
from mocksed.files.columns import FLAG_DESCRIPTIONS, Flag
from mocksed.realisations import COLUMN

COLUMNS = ("redshift", "quiescent", "age", "tau", "dust_index", "flags")
PARENT_COLUMNS: tuple[str, ...] = ()

FLAG_NAMES = {value: name for name, value in vars(Flag).items() if name.isupper()}
"""Name of each bit of the column ``flags``."""

_FRACTION_EDGES = np.linspace(0.0, 1.0, 41)
_LOG_TAU_EDGES = np.linspace(-1.0, 2.0, 31)
_SLOPE_EDGES = np.linspace(-1.6, 0.4, 41)
_MAX_POINTS = 5000  # of quiescent galaxies drawn one by one


def measure(sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return ages, e-folding times and flags of each class.

    Returns
    -------
    dict of str to dict
        ``star_forming`` and ``quiescent``, each with

        ``n`` : number of galaxies; ``older_than_universe`` : those of them whose age is above that of the universe;
        ``age_fraction``, ``log_tau``, ``dust_index`` : {``count``, ``median``, ``p16``, ``p84``} of age / t_univ(z),
        of log tau [Gyr] and of the slope of the attenuation curve, of realisations with ``median_spread`` (see
        `mocksed.diagnostics.bins.spread`), with ``edges`` and ``counts`` of the histogram; values beyond the edges
        count in the outermost bins;
        ``age_fraction_by_redshift`` : list of the same numbers with ``low`` and ``high``;
        ``flags`` : number of galaxies with each bit set, by name (`FLAG_NAMES`).

    """
    classes = {"star_forming": sample.star_forming, "quiescent": sample.quiescent}
    return {name: _of_class(galaxies, settings) for name, galaxies in classes.items()}


def flag_counts(flags: NDArray) -> dict[str, int]:
    """Return how many galaxies have each bit set, by name; ``flags`` of shape (n, )."""
    flags = np.nan_to_num(flags).astype(int)
    return {name: int(np.count_nonzero(flags & bit)) for bit, name in FLAG_NAMES.items()}


def _of_class(galaxies: Arrays, settings: Settings) -> dict[str, Any]:
    redshift, age = galaxies["redshift"], galaxies["age"]
    fraction = age / t_univ(Cosmology(**settings.cosmology), redshift)
    log_tau, realisation = np.log10(galaxies["tau"]), galaxies.get(COLUMN)
    return {
        "n": len(age),
        "older_than_universe": int(np.count_nonzero(fraction > 1.0)),
        "age_fraction": bins.percentiles(fraction, realisation) | _histogram(fraction, _FRACTION_EDGES),
        "age_fraction_by_redshift": [
            {"low": low, "high": high} | bins.percentiles(fraction[inside], bins.rows_of(realisation, inside))
            for low, high, inside in bins.slices(redshift, settings.redshift_bins)
        ],
        "log_tau": bins.percentiles(log_tau, realisation) | _histogram(log_tau, _LOG_TAU_EDGES),
        "dust_index": bins.percentiles(galaxies["dust_index"], realisation)
        | _histogram(galaxies["dust_index"], _SLOPE_EDGES),
        "flags": flag_counts(galaxies["flags"]),
    }


def _histogram(values: NDArray, edges: NDArray) -> dict[str, Any]:
    within = np.clip(values[np.isfinite(values)], edges[0], edges[-1])
    return {"edges": edges.tolist(), "counts": np.histogram(within, edges)[0].tolist()}


@style.styled
def draw(sample: Sample, measured: dict[str, Any], settings: Settings) -> Figure:
    """Draw age against redshift, histograms of age / t_univ, log tau and dust_index, and the fraction of each flag."""
    drawn = style.figure(13.5, 7.4)
    grid = drawn.add_gridspec(2, 6)
    cells = [grid[0, :3], grid[0, 3:], grid[1, :2], grid[1, 2:4], grid[1, 4:]]
    ages, flags, fractions, taus, slopes = (drawn.add_subplot(cell) for cell in cells)
    _draw_ages(ages, sample, settings)
    for axes, key, xlabel in (
        (fractions, "age_fraction", r"age / $t_\mathrm{univ}(z)$"),
        (taus, "log_tau", style.LABELS["log_tau"]),
        (slopes, "dust_index", style.LABELS["dust_index"]),
    ):
        for name, colour in style.CLASS_COLOURS.items():
            _draw_histogram(axes, measured[name][key], colour)
        axes.set(xlabel=xlabel, ylabel="density of galaxies")
        axes.set(xlim=_occupied(*(measured[name][key] for name in style.CLASS_COLOURS)))
        axes.set_ylim(bottom=0.0)
        axes.locator_params(axis="x", nbins=6)
    _draw_flags(flags, measured)
    style.legend_below(drawn)
    return drawn


def _draw_ages(axes: Axes, sample: Sample, settings: Settings) -> None:
    star_forming, quiescent = sample.star_forming, sample.quiescent
    xlim = style.limits(sample.galaxies["redshift"])
    xlim = (max(xlim[0], 0.0), xlim[1])
    redshift = np.linspace(*xlim, 200)
    limit = t_univ(Cosmology(**settings.cosmology), redshift)
    ylim = (0.0, 1.05 * float(limit.max()))
    style.density(axes, star_forming["redshift"], star_forming["age"], xlim, ylim, "star-forming")
    shown = thin({name: quiescent[name] for name in ("redshift", "age")}, _MAX_POINTS)
    axes.plot(shown["redshift"], shown["age"], ".", ms=4, mew=0, alpha=0.4, color=style.QUIESCENT, rasterized=True)
    axes.plot([], [], ".", ms=8, color=style.QUIESCENT, label="quiescent")
    axes.plot(redshift, limit, "-", color=style.RELATION, label="age of the universe")
    axes.set(xlabel=style.LABELS["redshift"], ylabel=style.LABELS["age"], xlim=xlim, ylim=ylim)


def _occupied(*histograms: dict[str, Any]) -> tuple[float, float]:
    """Return the limits of an axis that ends where histograms with the same edges do."""
    edges, counts = np.array(histograms[0]["edges"]), np.sum([histogram["counts"] for histogram in histograms], axis=0)
    bins_with_any = np.flatnonzero(counts) if counts.any() else np.array([0, len(counts) - 1])
    return style.span(edges[[bins_with_any[0], bins_with_any[-1] + 1]])


def _draw_histogram(axes: Axes, histogram: dict[str, Any], colour: str) -> None:
    counts, edges = np.array(histogram["counts"], float), np.array(histogram["edges"])
    density = counts / max(counts.sum(), 1.0) / np.diff(edges)
    axes.stairs(density, edges, color=colour, fill=True, alpha=0.2)
    axes.stairs(density, edges, color=colour, lw=1.5)


def _draw_flags(axes: Axes, measured: dict[str, Any]) -> None:
    """Draw the flags that galaxies have; of the others it is said that there are none."""
    shown = [bit for bit, flag in FLAG_NAMES.items() if any(measured[name]["flags"][flag] for name in measured)]
    position = np.arange(len(shown))
    if len(shown) < len(FLAG_NAMES):
        style.note(axes, "no galaxy has another flag" if shown else "no galaxy has a flag", x=0.96, y=0.04)
    axes.set(ylabel="flag", xlabel="flagged galaxies [% of their class]")
    if not shown:
        axes.set_yticks([])
        return
    for shift, (name, colour) in zip((-0.2, 0.2), style.CLASS_COLOURS.items(), strict=True):
        n, counts = measured[name]["n"], [measured[name]["flags"][FLAG_NAMES[bit]] for bit in shown]
        bars = axes.barh(position + shift, 100.0 * np.array(counts) / max(n, 1), 0.38, color=colour, alpha=0.7)
        axes.bar_label(bars, [f"{count}" for count in counts], padding=3, fontsize=8, color=colour)
    axes.set_yticks(position, [fill(FLAG_DESCRIPTIONS[bit], 30) for bit in shown], fontsize=7, linespacing=1.0)
    axes.margins(x=0.15)
    axes.set(xlim=(0.0, max(axes.get_xlim()[1], 1.0)), ylim=(len(shown) - 0.2, -0.8))
