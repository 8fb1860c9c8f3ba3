"""What was proposed for each star-forming galaxy against what it was given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mocksed.diagnostics import bins, style
from mocksed.diagnostics.catalogue import Arrays, Sample
from mocksed.diagnostics.settings import Settings
from mocksed.realisations import COLUMN

QUANTITIES = ("log_sfr", "muv", "beta", "log_zmet", "log_us")
COLUMNS = ("redshift", "log_mstar", "quiescent", "distance", *QUANTITIES, *(f"prop_{name}" for name in QUANTITIES))
PARENT_COLUMNS: tuple[str, ...] = ()

_DISTANCE_EDGES = np.logspace(-3, 2, 51)
_UNITS = {"log_sfr": " dex", "muv": " mag", "beta": "", "log_zmet": " dex", "log_us": " dex"}


def measure(sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return the offsets, final less proposed, of star-forming galaxies, and the distances in the run's metric.

    Returns
    -------
    dict
        For each of `QUANTITIES` a dict with ``overall`` : {``count``, ``median``, ``p16``, ``p84``} of the offset;
        ``by_redshift`` : list of the same with ``low`` and ``high`` and with ``by_mass``, statistics in bins of log
        mass as in `mocksed.diagnostics.bins.statistics` with ``edges``. With realisations, medians come with their
        ``median_spread`` (see `mocksed.diagnostics.bins.spread`).
        ``distance`` : the same four numbers, with ``edges`` and ``counts`` of the histogram and the number ``below``
        its first edge; distances beyond the last edge are counted in the last bin.

    """
    galaxies = sample.star_forming
    mass_edges = bins.edges(galaxies["log_mstar"], settings.mass_bin)
    few = settings.min_count * sample.n_realisations
    offsets = {name: _offsets(galaxies, name, mass_edges, settings.redshift_bins, few) for name in QUANTITIES}
    distance = galaxies["distance"]
    histogram = {"edges": _DISTANCE_EDGES.tolist()} | bins.counts_above(distance, _DISTANCE_EDGES)
    return offsets | {"distance": bins.percentiles(distance, galaxies.get(COLUMN)) | histogram}


def _offsets(
    galaxies: Arrays, name: str, mass_edges: np.ndarray, redshift_bins: Sequence[float], min_count: int
) -> dict[str, Any]:
    offset, realisation = galaxies[name] - galaxies[f"prop_{name}"], galaxies.get(COLUMN)
    by_redshift = []
    for low, high, inside in bins.slices(galaxies["redshift"], redshift_bins):
        own, log_mstar = bins.rows_of(realisation, inside), galaxies["log_mstar"][inside]
        by_mass = bins.statistics(log_mstar, offset[inside], mass_edges, min_count, own)
        by_redshift.append(
            {"low": low, "high": high}
            | bins.percentiles(offset[inside], own)
            | {"by_mass": {"edges": mass_edges.tolist()} | {key: value.tolist() for key, value in by_mass.items()}}
        )
    return {"overall": bins.percentiles(offset, realisation), "by_redshift": by_redshift}


@style.styled
def draw(sample: Sample, measured: dict[str, Any], settings: Settings) -> Figure:
    """Draw final against proposed, a panel per quantity, and the histogram of the distance."""
    galaxies = sample.star_forming
    drawn = style.figure(10.5, 6.8)
    cells = drawn.subplots(2, 3).ravel()
    for axes, name in zip(cells, QUANTITIES, strict=False):
        _draw_quantity(axes, galaxies, name, measured[name]["overall"])
    _draw_distance(cells[-1], measured["distance"])
    style.legend_below(drawn)
    return drawn


def _draw_quantity(axes: Axes, galaxies: Arrays, name: str, offset: dict[str, float]) -> None:
    proposed, final = galaxies[f"prop_{name}"], galaxies[name]
    range_ = style.limits(proposed, final)
    style.density(axes, proposed, final, range_, range_, "galaxies")
    axes.plot(range_, range_, "--", color=style.RELATION, lw=1, label="1:1")
    axes.set(xlabel=f"proposed {style.LABELS[name]}", ylabel=f"final {style.LABELS[name]}", xlim=range_, ylim=range_)
    style.note(axes, _offset_note(offset, _UNITS[name]))


def _offset_note(offset: dict[str, float], unit: str) -> str:
    if not offset["count"]:
        return "no star-forming galaxies"
    up, down = offset["p84"] - offset["median"], offset["median"] - offset["p16"]
    spread = f"\nspread of the median {offset['median_spread']:.2g}" if "median_spread" in offset else ""
    return rf"offset ${offset['median']:+.3f}^{{+{up:.3f}}}_{{-{down:.3f}}}$" + unit + spread


def _draw_distance(axes: Axes, distance: dict[str, Any]) -> None:
    edges = distance["edges"]
    style.histograms_of_distances(axes, edges, (distance, {"color": style.STAR_FORMING, "fill": True, "alpha": 0.5}))
    if distance["count"]:
        axes.set_xlim(right=3.0 * edges[np.flatnonzero([1, *distance["counts"]])[-1]])
        axes.axvline(distance["median"], color=style.STAR_FORMING, ls="-.", lw=1.2)
        below = 100.0 * distance["below"] / distance["count"]
        style.note(axes, f"median {distance['median']:.2g}\n{below:.3g} % below {edges[0]:g}", x=0.96)
