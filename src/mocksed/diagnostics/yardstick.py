"""How near each star-forming galaxy is to what was proposed for it, and to the best that any model can do."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mocksed import relations as rel
from mocksed.diagnostics import bins, style
from mocksed.diagnostics.catalogue import Arrays, Sample, select, thin
from mocksed.diagnostics.settings import Settings

QUANTITIES = ("muv", "beta", "log_sfr", "log_zmet", "log_us")
COLUMNS = ("redshift", "log_mstar", "quiescent", "distance", *QUANTITIES, *(f"prop_{name}" for name in QUANTITIES))
PARENT_COLUMNS: tuple[str, ...] = ()

_MASS_BIN = 1.0  # dex: wider than those of the other plots, of fewer galaxies
_EDGES = np.logspace(-4, 1, 51)  # of distances


def measure(sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return how far the catalogue, and the best that models can do, are from proposals and relations.

    The best reachable points (`mocksed.yardstick`) are those of an even sample of galaxies, once for what was proposed
    for them and once for proposals drawn from each relation by itself: the relations with their full scatter, against
    which the medians of the catalogue are held.

    Returns
    -------
    dict
        ``searched`` : number of galaxies of the sample, 0 where no model is at hand;
        ``proposals``, ``relations`` : of either kind of proposal, ``reachable``, the fraction with a model nearer than
        `mocksed.yardstick.REACHABLE`, and ``distance`` of the best one : {``count``, ``median``, ``p16``, ``p84``,
        ``p99``}; of the former also ``excess``, the same of the distance in the catalogue less the best one;
        ``histogram`` : ``edges``, and for ``best`` and ``catalogue`` the ``counts`` of the distances to the proposals
        and the number ``below`` the first edge;
        ``by_redshift`` : list of {``low``, ``high``, ``count``, ``reachable``: {``proposals``, ``relations``},
        ``offset``, ``by_mass``}; ``offset`` : for each of `QUANTITIES` the medians of ``catalogue`` and ``best`` less
        the relation, given the quantities that it depends on; ``by_mass`` : list of the same in bins of mass.

    """
    galaxies = sample.star_forming
    some = thin(galaxies, settings.max_searched)
    own = {name: some[f"prop_{name}"] for name in QUANTITIES}
    independent = independent_proposals(some, settings)
    found = [search_best(some, proposal, settings) for proposal in (own, independent)]
    excess = some["distance"] - found[0]["distance"]
    best = {name: independent[name] + found[1][f"d_{name}"] for name in QUANTITIES}
    return {
        "searched": int(np.isfinite(found[0]["distance"]).sum()),
        "proposals": _of_distances(found[0]["distance"]) | {"excess": _percentiles(excess)},
        "relations": _of_distances(found[1]["distance"]),
        "histogram": {
            "edges": _EDGES.tolist(),
            "best": bins.counts_above(found[0]["distance"], _EDGES),
            "catalogue": bins.counts_above(some["distance"][np.isfinite(excess)], _EDGES),
        },
        "by_redshift": [
            _of_bin(low, high, select(galaxies, inside), select(some, rows), select(best, rows), settings)
            | {"reachable": {name: _reachable(f["distance"][rows]) for name, f in zip(_KINDS, found, strict=True)}}
            for low, high, inside, rows in _slices(galaxies["redshift"], some["redshift"], settings.redshift_bins)
        ],
    }


_KINDS = ("proposals", "relations")


def independent_proposals(galaxies: Arrays, settings: Settings) -> Arrays:
    """Return proposals drawn from each relation by itself."""
    from mocksed import assign

    scatter = rel.Relations.from_config(dict(settings.scatter)) if settings.scatter else rel.Relations()
    ids = np.arange(len(galaxies["redshift"]))
    return assign.propose(ids, galaxies["log_mstar"], galaxies["redshift"], seed=0, scatter=scatter)


def search_best(galaxies: Arrays, proposal: Arrays, settings: Settings) -> Arrays:
    """Return the best reachable points of galaxies, NaN where there is no model to search."""
    columns = np.stack([*proposal.values(), galaxies["redshift"], galaxies["log_mstar"]])
    known = np.asarray(np.isfinite(columns).all(axis=0))
    result = {name: np.full(len(known), np.nan) for name in ("distance", *(f"d_{name}" for name in QUANTITIES))}
    if settings.sps is None or not known.any():
        return result
    from mocksed import yardstick  # with numba and the SSP table it takes seconds to load
    from mocksed.cosmology import Cosmology, age_max
    from mocksed.neighbours import metric_of
    from mocksed.sps import engines

    z, mass = galaxies["redshift"][known], galaxies["log_mstar"][known]
    best = yardstick.best_reachable(
        select(proposal, known),
        mass,
        z,
        age_max(Cosmology(**settings.cosmology), z),
        library=yardstick.Library(engines.over_table(settings.sps)),
        metric=metric_of(**settings.metric),
    )
    for name, values in result.items():
        values[known] = best[name]
    return result


def _slices(values: NDArray, some: NDArray, edges: Any) -> Any:
    """Yield the bins of `bins.slices` with the members among some of the galaxies."""
    last = len(edges) - 2
    for low, high, inside in bins.slices(values, edges):
        below = some <= high if high == edges[last + 1] else some < high
        yield low, high, inside, (some >= low) & below


def _of_bin(
    low: float, high: float, galaxies: Arrays, some: Arrays, best: Arrays, settings: Settings, by_mass: bool = True
) -> dict[str, Any]:
    """Return the offsets from the relations of the galaxies of a bin and of the best points of some of them."""
    catalogue, reached = offsets_from_relations(galaxies, galaxies), offsets_from_relations(some, best)
    result: dict[str, Any] = {"low": low, "high": high, "count": len(galaxies["redshift"])}
    result["offset"] = {
        name: {
            "catalogue": _median(catalogue[name], settings.min_count),
            "best": _median(reached[name], settings.min_count),
        }
        for name in QUANTITIES
    }
    if by_mass:
        edges = bins.edges(galaxies["log_mstar"], _MASS_BIN)
        result["by_mass"] = [
            _of_bin(a, b, select(galaxies, inside), select(some, rows), select(best, rows), settings, by_mass=False)
            for a, b, inside, rows in _slices(galaxies["log_mstar"], some["log_mstar"], edges)
        ]
    return result


def offsets_from_relations(galaxies: Arrays, found: Arrays) -> Arrays:
    """Return quantities of galaxies less their relations, each given those that it depends on."""
    z, mass = galaxies["redshift"], galaxies["log_mstar"]
    return {
        "muv": found["muv"] - rel.muv(mass, z),
        "beta": found["beta"] - rel.beta(found["muv"], z),
        "log_sfr": found["log_sfr"] - rel.log_sfr_star_forming(mass, z),
        "log_zmet": found["log_zmet"] - rel.log_zmet(mass, found["log_sfr"]),
        "log_us": found["log_us"] - rel.log_us(found["log_zmet"]),
    }


def _median(values: NDArray, min_count: int) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) >= max(min_count, 1) else np.nan


def _percentiles(values: NDArray) -> dict[str, float]:
    finite = values[np.isfinite(values)]
    return bins.percentiles(values) | {"p99": float(np.percentile(finite, 99.0)) if finite.size else np.nan}


def _reachable(distance: NDArray) -> float:
    from mocksed.yardstick import REACHABLE

    finite = distance[np.isfinite(distance)]
    return float(np.mean(finite < REACHABLE)) if finite.size else np.nan


def _of_distances(distance: NDArray) -> dict[str, Any]:
    return {"reachable": _reachable(distance), "distance": _percentiles(distance)}


@style.styled
def draw(sample: Sample, measured: dict[str, Any], settings: Settings) -> Figure:
    """Draw the distances, the reachable fractions, and the offsets from the relations beside the best reachable."""
    drawn = style.figure(10.5, 6.8)
    cells = drawn.subplots(2, 3).ravel()
    _draw_distances(cells[0], measured)
    _draw_reachable(cells[1], measured["by_redshift"])
    for axes, name in zip(cells[2:], ("log_sfr", "muv", "beta", "log_zmet"), strict=True):
        _draw_offsets(axes, measured["by_redshift"], name)
    style.legend_below(drawn)
    return drawn


def _draw_distances(axes: Axes, measured: dict[str, Any]) -> None:
    histogram = measured["histogram"]
    style.histograms_of_distances(
        axes,
        histogram["edges"],
        (histogram["catalogue"], {"color": style.STAR_FORMING, "fill": True, "alpha": 0.5, "label": "catalogue"}),
        (histogram["best"], {"color": style.RELATION, "label": "best reachable"}),
    )
    excess = measured["proposals"]["excess"]
    median, most = (round(excess[key], 3) + 0.0 for key in ("median", "p99"))  # no -0
    text = f"excess: median {median:.3f}\n99 % below {most:.3f}"
    style.note(axes, text if measured["searched"] else "no galaxies were searched", x=0.96)


def _draw_reachable(axes: Axes, rows: list[dict[str, Any]]) -> None:
    centre, half = _centres(rows)
    for kind, colour, label in (
        ("proposals", style.STAR_FORMING, "catalogue"),
        ("relations", style.PARENT, "each relation by itself"),
    ):
        fraction = [row["reachable"][kind] for row in rows]
        axes.errorbar(centre, fraction, xerr=half, fmt="o", ms=4, color=colour, label=label)
    axes.set(xlabel=style.LABELS["redshift"], ylabel="fraction within reach", ylim=(-0.05, 1.05))


def _draw_offsets(axes: Axes, rows: list[dict[str, Any]], name: str) -> None:
    centre, half = _centres(rows)
    axes.axhline(0.0, ls=":", color=style.RELATION, lw=1.8, label="relation")
    offset, best = ([row["offset"][name][kind] for row in rows] for kind in ("catalogue", "best"))
    axes.errorbar(centre, offset, xerr=half, fmt="o", ms=4, color=style.STAR_FORMING, label="catalogue")
    axes.plot(centre, best, "_", ms=22, mew=1.5, color=style.RELATION, label="best reachable")
    axes.set(xlabel=style.LABELS["redshift"], ylabel=f"offset of {style.LABELS[name]}")


def _centres(rows: list[dict[str, Any]]) -> tuple[NDArray, NDArray]:
    low, high = (np.array([row[key] for row in rows], float) for key in ("low", "high"))
    return (low + high) / 2, (high - low) / 2
