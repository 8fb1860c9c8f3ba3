"""M_UV against stellar mass, and the UV slope against M_UV, of star-forming galaxies."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mocksed.diagnostics import bins, panels, style
from mocksed.diagnostics.catalogue import Sample
from mocksed.diagnostics.settings import Settings
from mocksed.realisations import COLUMN

COLUMNS = ("redshift", "log_mstar", "quiescent", "muv", "muv_intrinsic", "beta")
PARENT_COLUMNS: tuple[str, ...] = ()

MUV_BIN = 1.0
"""Width of the bins in M_UV [mag]."""

NEAR_LIMIT, SHARE_NEAR_LIMIT = 0.25, 0.15
"""A bin of M_UV is cut by the least mass of the catalogue if more than this share of it is this near to it [dex]."""


def measure(sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return M_UV in bins of log mass (``muv``) and beta in bins of M_UV (``beta``), for each redshift bin.

    Returns
    -------
    dict of str to list of dict
        See `mocksed.diagnostics.bins.relation_panels`; both lists have the same redshift bins. Those of beta also have
        ``cut``: whether the least mass of the catalogue cuts a bin of M_UV, see `cut_bins`.

    """
    galaxies, z_bins, few = sample.star_forming, settings.redshift_bins, settings.min_count * sample.n_realisations
    z, log_mstar, muv, beta = (galaxies[name] for name in ("redshift", "log_mstar", "muv", "beta"))
    mass_edges, muv_edges = bins.edges(log_mstar, settings.mass_bin), bins.edges(muv, MUV_BIN)
    realisation, relations = galaxies.get(COLUMN), settings.run_relations
    a_uv = muv - galaxies["muv_intrinsic"]
    beta_panels = bins.relation_panels(z, muv, beta, z_bins, muv_edges, relations.beta.mean, few, realisation, [a_uv])
    lowest = float(log_mstar.min()) if len(log_mstar) else np.nan
    for panel, (_, _, inside) in zip(beta_panels, bins.slices(z, z_bins), strict=True):
        panel["cut"] = cut_bins(muv[inside], log_mstar[inside], muv_edges, lowest).tolist()
    return {
        "muv": bins.relation_panels(z, log_mstar, muv, z_bins, mass_edges, relations.mean_muv, few, realisation)
    } | {"beta": beta_panels}


def cut_bins(muv: NDArray, log_mstar: NDArray, muv_edges: NDArray, lowest: float) -> NDArray[np.bool_]:
    """Return which bins of M_UV lack galaxies of less mass than the catalogue has.

    Those are bins in which many galaxies are near the least mass: as bright ones of still less mass, which would have
    other slopes, are missing there.

    Parameters
    ----------
    muv, log_mstar : ndarrays of shape (n, )
        Of the galaxies of a redshift bin.
    muv_edges : ndarray of shape (n_bins + 1, )
        Edges of the bins.
    lowest : float
        Least log mass of the catalogue.

    """
    return bins.crowded(muv, log_mstar < lowest + NEAR_LIMIT, muv_edges, SHARE_NEAR_LIMIT, min_count=0)


@style.styled
def draw(sample: Sample, measured: dict[str, Any], settings: Settings) -> Figure:
    """Draw M_UV against log mass above beta against M_UV, a column per redshift bin."""
    galaxies = sample.star_forming
    drawn, grid = panels.grid(len(measured["muv"]), rows_each=2)
    muv_relation, beta_relation = (settings.relation_name(name) for name in ("muv", "beta"))
    members = [inside for _, _, inside in bins.slices(galaxies["redshift"], settings.redshift_bins)]
    for (upper, lower), inside, muv, beta in zip(grid, members, measured["muv"], measured["beta"], strict=False):
        panels.draw(
            upper, muv, galaxies["log_mstar"][inside], galaxies["muv"][inside], style.STAR_FORMING, muv_relation
        )
        panels.draw(lower, beta, galaxies["muv"][inside], galaxies["beta"][inside], style.STAR_FORMING, beta_relation)
        panels.shade(lower, beta["edges"], beta["cut"], "cut by the least mass of the catalogue")
        panels.title(upper, muv, "$z$")
    panels.label(grid, 0, style.LABELS["log_mstar"], style.LABELS["muv"])
    panels.label(grid, 1, style.LABELS["muv"], style.LABELS["beta"])
    first_upper, first_lower = grid[0]
    bright_and_faint = style.limits(
        galaxies["muv"], whole=[*panels.bands(measured["muv"]), *panels.centres(measured["beta"])]
    )
    first_upper.set(xlim=style.span(galaxies["log_mstar"]), ylim=bright_and_faint[::-1])
    for upper, _ in grid:
        panels.shade_below(upper, settings.least_log_mstar("muv"))
    first_lower.set(xlim=bright_and_faint, ylim=style.limits(galaxies["beta"], whole=panels.bands(measured["beta"])))
    if not measured["muv"]:
        style.note(first_upper, "no star-forming galaxies")
    style.legend_below(drawn)
    return drawn
