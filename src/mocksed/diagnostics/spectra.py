"""Observed spectra of example galaxies, with their photometry, the filters and the brightest lines."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mocksed import light
from mocksed.cosmology import Cosmology
from mocksed.diagnostics import style
from mocksed.diagnostics.catalogue import Sample
from mocksed.diagnostics.settings import Settings
from mocksed.sps import filters, from_config, igm
from mocksed.sps.engine import Engine
from mocksed.sps.filters import Filter
from mocksed.sps.fsps import ReferenceEngine

COLUMNS = (
    *("galaxy_id", "redshift", "quiescent", "log_mstar", "mass_fraction"),
    *("age", "tau", "dust2", "dust_index", "log_zmet", "log_us"),
)
PARENT_COLUMNS = ()

LINES = {
    "ly-alpha 1215": r"Ly$\alpha$",
    "[O II] 3729": "[O II]",
    "Ba-beta 4861": "",
    "[O III] 5007": r"H$\beta$, [O III]",
    "Ba-alpha 6563": r"H$\alpha$",
    "[S III] 9532": "[S III]",
    "Pa-alpha 1.8751um": r"Pa$\alpha$",
}
"""Lines that are marked, by FSPS's names."""

_MOST = 4  # panels
_LOG_MSTAR = 10.3  # of the galaxies that are chosen, if there are any
_MICRON = 1e4  # A
_AB_MICROJANSKY = 23.9
_DECADES = 3.5  # that a panel shows below the brightest
_PANEL = (8.0, 2.3)  # inches


def measure(sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return which galaxies are shown: in some bins of redshift, of each class the one nearest to 2e10 Msun.

    Returns
    -------
    dict
        ``panels``: ``low`` and ``high`` of the bin, and of each class ``galaxy_id``, ``redshift`` and ``log_mstar`` of
        its example, or null.

    """
    panels = []
    for low, high, rows in _examples(sample, settings):
        panel: dict[str, Any] = {"low": low, "high": high}
        for name, row in rows.items():
            shown = {key: sample.galaxies[key][row].item() for key in ("galaxy_id", "redshift", "log_mstar")}
            panel[name] = shown
        panels.append({"star_forming": None, "quiescent": None} | panel)
    return {"panels": panels}


def _examples(sample: Sample, settings: Settings) -> list[tuple[float, float, dict[str, int]]]:
    """Return limits of bins of redshift and the row of the example of each class that has one."""
    galaxies, edges = sample.galaxies, settings.redshift_bins
    examples = []
    for low, high in pairwise(edges):
        z = galaxies["redshift"]
        off = np.hypot((z - 0.5 * (low + high)) / (high - low), galaxies["log_mstar"] - _LOG_MSTAR)
        inside = (z > max(low, 0.0)) & (z < high) & np.isfinite(galaxies["age"] + galaxies["tau"] + off)
        rows = {}
        for name in style.CLASS_COLOURS:
            members = np.flatnonzero(inside & (galaxies["quiescent"] == (name == "quiescent")))
            if len(members):
                rows[name] = int(members[np.argmin(off[members])])
        if rows:
            examples.append((float(low), float(high), rows))
    chosen = np.unique(np.linspace(0, len(examples) - 1, min(len(examples), _MOST)).round().astype(int))
    return [examples[i] for i in chosen]


@style.styled
def draw(sample: Sample, measured: dict[str, Any], settings: Settings) -> Figure:
    """Draw a panel for each bin of redshift."""
    examples = _examples(sample, settings)
    rows = [list(classes.values()) for _, _, classes in examples]
    every = [row for rows_of_panel in rows for row in rows_of_panel]
    columns = {name: sample.galaxies[name][every] for name in COLUMNS}
    ends = np.cumsum([0, *map(len, rows)])
    panels = [list(range(first, last)) for first, last in pairwise(ends)]
    photometry = settings.photometry
    curves = photometry.get("filter_files", {}), photometry.get("filter_units", {})
    return _figure(
        columns, panels, from_config.of(settings.sps), Cosmology(**settings.cosmology), settings.sps["igm"],
        filters.select(photometry.get("filters", ()), *curves), lines=photometry.get("lines", True),
    )  # fmt: skip


@style.styled
def of_galaxies(
    columns: Mapping[str, NDArray], engine: Engine | ReferenceEngine, cosmo: Cosmology, igm_model: str,
    bands: Sequence[Filter], *, lines: bool,
) -> Figure:  # fmt: skip
    """Return a figure with a panel for each of some galaxies.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n, )
        `COLUMNS`.
    engine, cosmo, igm_model
        As for `mocksed.light.magnitudes`.
    bands : sequence of Filter
        Whose photometry is shown.
    lines : bool
        Whether lines are in it.

    """
    panels = [[row] for row in range(len(columns["redshift"]))]
    return _figure(columns, panels, engine, cosmo, igm_model, bands, lines=lines)


def _figure(
    columns: Mapping[str, NDArray], panels: Sequence[Sequence[int]], engine: Engine | ReferenceEngine,
    cosmo: Cosmology, igm_model: str, bands: Sequence[Filter], *, lines: bool,
) -> Figure:  # fmt: skip
    drawn = style.figure(_PANEL[0], max(len(panels), 1) * _PANEL[1] + 0.8)
    if not panels:
        style.note(drawn.subplots(), "no galaxies at a distance")
        return drawn
    seen = _f_nu(columns, engine, cosmo, igm_model)
    magnitudes = light.magnitudes(columns, bands, engine=engine, cosmo=cosmo, igm_model=igm_model, lines=lines)
    points = 10.0 ** (-0.4 * (np.array(list(magnitudes.values()), np.float64) - _AB_MICROJANSKY))
    ends = [3000.0, 50_000.0] if not bands else [band.wavelength[[0, -1]] for band in bands]
    limits = 0.9 * np.min(ends) / _MICRON, 1.1 * np.max(ends) / _MICRON
    all_axes = drawn.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, rows in zip(all_axes, panels, strict=True):
        axes.set(xscale="log", yscale="log", xlim=limits, ylabel=r"$f_\nu$ [$\mu$Jy]")
        highest = 0.0
        for row in rows:
            at = engine.wavelength * (1.0 + columns["redshift"][row]) / _MICRON
            inside = (at > limits[0]) & (at < limits[1])
            _draw_galaxy(axes, columns, row, at, seen[row], bands, points[:, row])
            highest = max(highest, float(np.max(seen[row, inside], initial=0.0)))
        if highest > 0.0:
            axes.set_ylim(highest * 10.0**-_DECADES, highest * 10.0**0.75)
        _draw_filters(axes, bands)
        _name_lines(axes, engine, float(columns["redshift"][rows[0]]), limits)
    ticks = [x for x in (0.2, 0.3, 0.5, 1, 2, 3, 5, 10, 20, 50, 100) if limits[0] <= x <= limits[1]]
    all_axes[-1].set_xticks(ticks, [f"{x:g}" for x in ticks])
    all_axes[-1].set_xticks([], minor=True)
    all_axes[-1].set_xlabel(r"observed wavelength [$\mu$m]")
    style.legend_below(drawn)
    return drawn


def _f_nu(
    columns: Mapping[str, NDArray], engine: Engine | ReferenceEngine, cosmo: Cosmology, igm_model: str
) -> NDArray[np.float64]:
    """Return observed f_nu at the wavelengths of the engine, redshifted [uJy], shape (n, n_wave)."""
    redshift = columns["redshift"]
    l_nu = np.concatenate([block for _, block in light.spectra(columns, engine)]).astype(np.float64)
    transmission = igm.transmission(igm_model, engine.wavelength, redshift)[:, :-1]
    l_nu[:, : transmission.shape[1]] *= transmission
    return l_nu * ((1.0 + redshift) * light.flux_of_lsun(cosmo, redshift) * 1e29)[:, None]


def _draw_galaxy(
    axes: Axes, columns: Mapping[str, NDArray], row: int, at: NDArray, f_nu: NDArray, bands: Sequence[Filter],
    points: NDArray,
) -> None:  # fmt: skip
    kind = "quiescent" if columns["quiescent"][row] else "star_forming"
    colour, name = style.CLASS_COLOURS[kind], style.CLASS_NAMES[kind]
    axes.plot(at, f_nu, "-", lw=0.9, color=colour, label=f"{name}: spectrum")
    pivots = [band.pivot / _MICRON for band in bands]
    axes.plot(pivots, points, "o", ms=4.5, mfc="white", mec=colour, mew=1.1, zorder=4, label=f"{name}: photometry")
    text = rf"$z$ = {columns['redshift'][row]:.2f}, $\log M_*$ = {columns['log_mstar'][row]:.1f}, {name}"
    axes.text(0.99, 0.36 - 0.1 * (kind == "quiescent"), text, transform=axes.transAxes, ha="right", fontsize=8,
              color=colour)  # fmt: skip


def _draw_filters(axes: Axes, bands: Sequence[Filter]) -> None:
    """Draw transmission curves along the lower edge, all as high."""
    for i, band in enumerate(sorted(bands, key=lambda band: band.pivot)):
        curve = 0.2 * band.transmission / band.transmission.max()
        colour = colormaps["turbo"](0.1 + 0.8 * i / max(len(bands) - 1, 1))
        transform = axes.get_xaxis_transform()
        axes.fill_between(
            band.wavelength / _MICRON, curve, color=colour, alpha=0.3, lw=0, transform=transform, zorder=0
        )
    if bands:
        axes.fill_between([], [], color="0.6", alpha=0.5, lw=0, label="filters, transmission of each over its maximum")


def _name_lines(axes: Axes, engine: Engine | ReferenceEngine, redshift: float, limits: tuple[float, float]) -> None:
    """Name lines where they are observed, at the upper edge, those that have room."""
    known = {name.lower(): at for name, at in zip(engine.line_name, engine.line_wavelength, strict=True)}
    room = 0.03 * np.log(limits[1] / limits[0])
    last = limits[0]
    for name, label in LINES.items():
        if name.lower() not in known:
            continue
        at = known[name.lower()] * (1.0 + redshift) / _MICRON
        if not limits[0] < at < limits[1]:
            continue
        axes.plot([at, at], [0.86, 0.9], "-", lw=0.8, color="0.3", transform=axes.get_xaxis_transform())
        if label and np.log(at / last) > room and np.log(limits[1] / at) > room:
            axes.text(at, 0.905, label, fontsize=7.5, ha="center", va="bottom", color="0.3",
                      transform=axes.get_xaxis_transform())  # fmt: skip
            last = at
