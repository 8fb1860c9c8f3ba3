"""Drawn against resulting quantities of each galaxy, and the correlation of residuals from the relations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mocksed.diagnostics import bins, residuals, style
from mocksed.diagnostics.catalogue import Arrays, Sample, thin
from mocksed.diagnostics.settings import Settings
from mocksed.quantities import QUANTITIES
from mocksed.realisations import COLUMN

DRAWN = {"star_forming": ("log_sfr", "log_zmet", "beta", "muv"), "quiescent": ("log_sfr", "log_zmet")}
"""What is drawn for each class, and comes out of the model that it is given. M_UV is by some methods alone."""

_NAMES = tuple(dict.fromkeys(name for names in DRAWN.values() for name in names))
COLUMNS = (
    "redshift",
    "log_mstar",
    "quiescent",
    "distance",
    "muv_intrinsic",
    *_NAMES,
    *(f"prop_{name}" for name in _NAMES),
)
PARENT_COLUMNS: tuple[str, ...] = ()

_DISTANCE_EDGES = np.logspace(-3, 2, 51)
_MAX_POINTS = 3000  # of quiescent galaxies drawn one by one


def measure(sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return the offsets of the results from the draws, and the distances in the metric of the run.

    Returns
    -------
    dict
        ``star_forming`` and ``quiescent`` : dict with, for each quantity of `DRAWN` that was drawn, ``overall`` :
        {``count``, ``median``, ``p16``, ``p84``} of the offset, and ``by_redshift`` : list of the same with ``low``
        and ``high`` and with ``by_mass``, statistics in bins of log mass as in `mocksed.diagnostics.bins.statistics`
        with ``edges``; with realisations, medians come with their ``median_spread`` (see
        `mocksed.diagnostics.bins.spread`);
        and ``distance`` : the same four numbers, with ``edges`` and ``counts`` of the histogram and the number
        ``below`` its first edge; distances beyond the last edge are counted in the last bin.
        ``correlations`` : see `mocksed.diagnostics.residuals.correlations`; ``mean_correlation`` : their mean, each
        bin with the number of its galaxies, NaN for none.

    """
    classes = {"star_forming": sample.star_forming, "quiescent": sample.quiescent}
    edges = bins.edges(sample.galaxies["log_mstar"], settings.mass_bin)
    few = settings.min_count * sample.n_realisations
    result: dict[str, Any] = {
        name: _of_class(galaxies, name, edges, settings, few) for name, galaxies in classes.items()
    }
    rows = residuals.correlations(sample.star_forming, settings)
    counts = [row["count"] for row in rows]
    mean = float(np.average([row["correlation"] for row in rows], weights=counts)) if rows else np.nan
    return result | {"correlations": rows, "mean_correlation": mean}


def _of_class(galaxies: Arrays, kind: str, edges: np.ndarray, settings: Settings, few: int) -> dict[str, Any]:
    drawn = [name for name in DRAWN[kind] if np.isfinite(galaxies[f"prop_{name}"]).any()]
    distance = galaxies["distance"]
    histogram = {"edges": _DISTANCE_EDGES.tolist()} | bins.counts_above(distance, _DISTANCE_EDGES)
    offsets = {name: _offsets(galaxies, name, edges, settings.redshift_bins, few) for name in drawn}
    return offsets | {"distance": bins.percentiles(distance, galaxies.get(COLUMN)) | histogram}


def _offsets(
    galaxies: Arrays, name: str, mass_edges: np.ndarray, redshift_bins: Sequence[float], min_count: int
) -> dict[str, Any]:
    offset, realisation = galaxies[name] - galaxies[f"prop_{name}"], galaxies.get(COLUMN)
    by_redshift = []
    for low, high, inside in bins.slices(galaxies["redshift"], redshift_bins):
        members, log_mstar = bins.rows_of(realisation, inside), galaxies["log_mstar"][inside]
        by_mass = bins.statistics(log_mstar, offset[inside], mass_edges, min_count, members)
        by_redshift.append(
            {"low": low, "high": high}
            | bins.percentiles(offset[inside], members)
            | {"by_mass": {"edges": mass_edges.tolist()} | {key: value.tolist() for key, value in by_mass.items()}}
        )
    return {"overall": bins.percentiles(offset, realisation), "by_redshift": by_redshift}


@style.styled
def draw(sample: Sample, measured: dict[str, Any], settings: Settings) -> Figure:
    """Draw results against draws, a panel per quantity, the distances, and the residuals of M_UV and UV slope."""
    names = [name for name in DRAWN["star_forming"] if name in measured["star_forming"]] or ["log_sfr"]
    n_panels = len(names) + 2
    rows = -(-n_panels // 3)
    drawn = style.figure(10.5, 3.4 * rows)
    cells = drawn.subplots(rows, 3).ravel()
    for axes in cells[n_panels:]:
        axes.remove()
    for axes, name in zip(cells, names, strict=False):
        _draw_quantity(axes, sample, name, measured)
    _draw_distances(cells[len(names)], measured)
    _draw_residuals(cells[len(names) + 1], sample.star_forming, measured, settings)
    style.legend_below(drawn)
    return drawn


def _draw_quantity(axes: Axes, sample: Sample, name: str, measured: dict[str, Any]) -> None:
    galaxies, drawn = sample.star_forming, f"prop_{name}"
    shown = sample.galaxies if name in DRAWN["quiescent"] else galaxies
    range_ = style.limits(shown[drawn], shown[name])
    style.density(axes, galaxies[drawn], galaxies[name], range_, range_, "star-forming")
    if name in DRAWN["quiescent"]:
        some = thin({key: sample.quiescent[key] for key in (drawn, name)}, _MAX_POINTS)
        axes.plot(some[drawn], some[name], ".", ms=3, mew=0, alpha=0.4, color=style.QUIESCENT, rasterized=True)
        axes.plot([], [], ".", ms=8, color=style.QUIESCENT, label="quiescent")
    axes.plot(range_, range_, "--", color=style.RELATION, lw=1, label="1:1")
    axes.set(xlabel=f"drawn {style.LABELS[name]}", ylabel=f"resulting {style.LABELS[name]}", xlim=range_, ylim=range_)
    if name in measured["star_forming"]:
        style.note(axes, _offset_note(measured["star_forming"][name]["overall"], QUANTITIES[name].difference))


def _offset_note(offset: dict[str, float], unit: str) -> str:
    if not offset["count"]:
        return "no star-forming galaxies"
    up, down = offset["p84"] - offset["median"], offset["median"] - offset["p16"]
    spread = f"\nspread of the median {offset['median_spread']:.2g}" if "median_spread" in offset else ""
    return rf"offset ${offset['median']:+z.2f}^{{+{up:.2f}}}_{{-{down:.2f}}}$ {unit}".rstrip() + spread


def _draw_distances(axes: Axes, measured: dict[str, Any]) -> None:
    looks = {name: {"color": colour, "fill": True, "alpha": 0.4} for name, colour in style.CLASS_COLOURS.items()}
    distances = {name: measured[name]["distance"] for name in looks if measured[name]["distance"]["count"]}
    edges = measured["star_forming"]["distance"]["edges"]
    style.histograms_of_distances(axes, edges, *((distance, looks[name]) for name, distance in distances.items()))
    for name, distance in distances.items():
        axes.axvline(distance["median"], color=style.CLASS_COLOURS[name], ls="-.", lw=1.2)
    highest = max((np.flatnonzero([1, *distance["counts"]])[-1] for distance in distances.values()), default=-1)
    axes.set_xlim(right=3.0 * edges[highest])
    medians = [f"{style.CLASS_NAMES[name]}: median {distance['median']:.2g}" for name, distance in distances.items()]
    style.note(axes, "\n".join(medians) or "no galaxies", x=0.96)


def _draw_residuals(axes: Axes, galaxies: Arrays, measured: dict[str, Any], settings: Settings) -> None:
    relations = settings.run_relations
    muv = galaxies["muv"] - relations.mean_muv(galaxies["log_mstar"], galaxies["redshift"])
    beta = galaxies["beta"] - residuals.mean_beta(galaxies, relations)
    style.density(axes, muv, beta, style.limits(muv), style.limits(beta), "star-forming")
    axes.axhline(0.0, color=style.RELATION, ls=":", lw=1)
    axes.axvline(0.0, color=style.RELATION, ls=":", lw=1)
    muv_label, beta_label = (f"{style.LABELS[name]} less {settings.relation_name(name)}" for name in ("muv", "beta"))
    axes.set(xlabel=muv_label, ylabel=beta_label)
    if np.isfinite(measured["mean_correlation"]):
        style.note(axes, f"correlation at fixed $z$ and mass {measured['mean_correlation']:+z.2f}")
