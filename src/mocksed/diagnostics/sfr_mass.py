"""Star-formation rate against stellar mass, of star-forming and of quiescent galaxies."""

from typing import Any

from matplotlib.figure import Figure

from mocksed.diagnostics import bins, panels, style
from mocksed.diagnostics.catalogue import Sample
from mocksed.diagnostics.settings import Settings
from mocksed.realisations import COLUMN

COLUMNS = ("redshift", "log_mstar", "quiescent", "log_sfr")
PARENT_COLUMNS: tuple[str, ...] = ()


def measure(sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return log SFR in bins of log mass for each redshift bin, of each class.

    Returns
    -------
    dict of str to list of dict
        ``star_forming`` and ``quiescent``, see `mocksed.diagnostics.bins.relation_panels`.

    """
    mass_edges = bins.edges(sample.galaxies["log_mstar"], settings.mass_bin)
    return {
        name: bins.relation_panels(
            galaxies["redshift"],
            galaxies["log_mstar"],
            galaxies["log_sfr"],
            settings.redshift_bins,
            mass_edges,
            settings.run_relations.of("log_sfr", quiescent=name == "quiescent").mean,
            settings.min_count * sample.n_realisations,
            galaxies.get(COLUMN),
        )
        for name, galaxies in (("star_forming", sample.star_forming), ("quiescent", sample.quiescent))
    }


@style.styled
def draw(sample: Sample, measured: dict[str, Any], settings: Settings) -> Figure:
    """Draw log SFR against log mass of both classes, a panel per redshift bin."""
    occupied = list(bins.slices(sample.galaxies["redshift"], settings.redshift_bins))
    drawn, grid = panels.grid(len(occupied))
    of_all = {"realisations": sample.n_realisations} if sample.n_realisations > 1 else {}
    for (axes,), (low, high, inside) in zip(grid, occupied, strict=False):
        panels.title(axes, {"low": low, "high": high, "n": int(inside.sum())} | of_all, "$z$")
    position = {low: i for i, (low, _, _) in enumerate(occupied)}
    for name, galaxies in (("star_forming", sample.star_forming), ("quiescent", sample.quiescent)):
        members = bins.slices(galaxies["redshift"], settings.redshift_bins)
        for (low, _, inside), panel in zip(members, measured[name], strict=True):
            panels.draw(
                grid[position[low]][0],
                panel,
                galaxies["log_mstar"][inside],
                galaxies["log_sfr"][inside],
                style.CLASS_COLOURS[name],
                settings.relation_name("log_sfr", quiescent=name == "quiescent"),
                style.CLASS_NAMES[name],
            )
    panels.label(grid, 0, style.LABELS["log_mstar"], style.LABELS["log_sfr"])
    first = grid[0][0]
    bands = [*panels.bands(measured["star_forming"]), *panels.bands(measured["quiescent"])]
    first.set(xlim=style.span(sample.galaxies["log_mstar"]), ylim=style.limits(sample.galaxies["log_sfr"], whole=bands))
    for (axes,) in grid:
        panels.shade_below(axes, settings.least_log_mstar("log_sfr"), style.CLASS_NAMES["star_forming"])
    if not occupied:
        style.note(first, "no galaxies")
    style.legend_below(drawn)
    return drawn
