"""What all plots have in common: reading what they show, and the numbers of all of them."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.figure import Figure

from mocksed.diagnostics import PLOTS, ages, bins, triangle
from mocksed.diagnostics.catalogue import Sample, check, count_rows, read
from mocksed.diagnostics.settings import Settings
from mocksed.realisations import COLUMN


class Diagnostic(Protocol):
    """What a module of a diagnostic offers."""

    @property
    def COLUMNS(self) -> tuple[str, ...]:  # noqa: N802 (a constant of the module)
        """Columns of the catalogue that it reads."""

    @property
    def PARENT_COLUMNS(self) -> tuple[str, ...]:  # noqa: N802
        """Columns of the star-forming parent catalogue that it reads."""

    def measure(self, sample: Sample, settings: Settings) -> dict[str, Any]:
        """Return the numbers of the plot, of types that JSON has."""

    def draw(self, sample: Sample, measured: dict[str, Any], settings: Settings) -> Figure:
        """Return the plot of these numbers."""


def module_of(name: str) -> Diagnostic:
    """Return the module of a plot of `mocksed.diagnostics.PLOTS`."""
    module: Diagnostic = import_module(f"mocksed.diagnostics.{name}")  # type: ignore[assignment]
    return module


def check_inputs(
    catalogue: Sequence[Path | str],
    parent: Sequence[Path | str],
    about: Mapping[str, Any],
    sps: Mapping[str, Any],
    recipe: Mapping[str, Any],
) -> None:
    """Stop with a `UserError` unless the files that a diagnostic reads are those of a run.

    Parameters
    ----------
    catalogue, parent : sequences of path
        As for `read_sample`.
    about, sps : mappings
        As for `mocksed.files.provenance.expected_of_catalogue`.
    recipe : mapping
        The arguments of `mocksed.search.parent.recipe` of the star-forming parent.

    """
    check(catalogue, about, sps)
    if parent:
        from mocksed.search import parent as of_search  # with numba; few plots show the parent

        of_search.open_all(parent, of_search.recipe(**recipe))


def read_sample(
    catalogue: Sequence[Path | str],
    parent: Sequence[Path | str],
    settings: Settings,
    names: Iterable[str] = tuple(PLOTS),
) -> Sample:
    """Return what the named diagnostics need, at most ``settings.max_galaxies`` rows.

    Parameters
    ----------
    catalogue : sequence of path
        The shards of the catalogue, in order.
    parent : sequence of path
        The shards of the star-forming parent catalogue; may be empty where no diagnostic reads it.
    settings : Settings
        Of the run.
    names : iterable of str
        Names of plots, by default all.

    Raises
    ------
    UserError
        If a file is missing, not Parquet, or lacks a column.

    """
    chosen = [module_of(name) for name in names]
    columns = dict.fromkeys(column for diagnostic in chosen for column in diagnostic.COLUMNS)
    parent_columns = dict.fromkeys(column for diagnostic in chosen for column in diagnostic.PARENT_COLUMNS)
    return Sample(
        galaxies=read(catalogue, list(columns), settings.max_galaxies),
        parent=read(parent, list(parent_columns), triangle.MAX_POINTS) if parent_columns else {},
        n_catalogue=count_rows(catalogue),
    )


def of_all(sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return the numbers of all diagnostics.

    Returns
    -------
    dict
        The result of every ``measure`` under the name of its diagnostic, and ``counts``: ``catalogue`` (galaxies of
        the whole catalogue), ``sample`` (those that the numbers are of), and of these ``star_forming``, ``quiescent``
        and ``flags`` by name. Realisations count together; there is then their number, ``realisations``, and
        ``quiescent_spread``, how far the number of quiescent galaxies scatters between them (see
        `mocksed.diagnostics.bins.spread`).

    """
    quiescent = sample.galaxies["quiescent"]
    counts = {
        "catalogue": sample.n_catalogue,
        "sample": len(quiescent),
        "star_forming": int(np.count_nonzero(~quiescent)),
        "quiescent": int(np.count_nonzero(quiescent)),
        "flags": ages.flag_counts(sample.galaxies["flags"]),
    }
    if sample.n_realisations > 1:
        counts["realisations"] = sample.n_realisations
        counts["quiescent_spread"] = float(bins.spread(lambda rows: quiescent[rows].sum(), sample.galaxies[COLUMN]))
    return {"counts": counts} | {name: module_of(name).measure(sample, settings) for name in PLOTS}
