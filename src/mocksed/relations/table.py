"""A relation of the user's own: a small table of means and scatters on a grid of redshift and mass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mocksed.errors import UserError, suggestion
from mocksed.relations.relation import ARGUMENTS, Relation
from mocksed.relations.scatter import Scatter

Array = NDArray[np.float64]

COLUMNS = ("redshift", "log_mstar", "mean", "scatter")
"""Columns of a table; others are not read."""

ENDS = (".csv", ".ecsv")
"""How the names of tables end."""

QUANTITIES = tuple(name for name, arguments in ARGUMENTS.items() if arguments == ("log_mstar", "redshift"))
"""Quantities whose relation may be a table: those of redshift and mass."""


def is_table(name: str) -> bool:
    """Return whether the name of a relation in a config is the path of a table."""
    return name.lower().endswith(ENDS)


@dataclass(frozen=True)
class Grid:
    """Values at nodes of redshift and mass: bilinear between them, constant beyond the outermost ones.

    Attributes
    ----------
    redshift, log_mstar : ndarrays of shapes (n_redshift, ), (n_mass, )
        The nodes, increasing.
    values : ndarray of shape (n_redshift, n_mass)
        Values at the nodes.

    """

    redshift: Array
    log_mstar: Array
    values: Array

    def __call__(self, log_mstar: ArrayLike, redshift: ArrayLike) -> Array:
        """Return the value at masses and redshifts, which broadcast."""
        (i, di), (j, dj) = _between(self.redshift, redshift), _between(self.log_mstar, log_mstar)
        low = (1.0 - dj) * self.values[i, j] + dj * self.values[i, np.minimum(j + 1, len(self.log_mstar) - 1)]
        i = np.minimum(i + 1, len(self.redshift) - 1)
        high = (1.0 - dj) * self.values[i, j] + dj * self.values[i, np.minimum(j + 1, len(self.log_mstar) - 1)]
        return np.asarray((1.0 - di) * low + di * high)


def _between(nodes: Array, values: ArrayLike) -> tuple[NDArray[np.int64], Array]:
    at = np.interp(np.asarray(values, float), nodes, np.arange(len(nodes)))
    below = np.minimum(np.nan_to_num(at).astype(np.int64), max(len(nodes) - 2, 0))  # NaN stays, in the weight
    return below, at - below


def read(path: Path | str, quantity: str, scatter: Scatter) -> Relation:
    """Return the relation of a table.

    Parameters
    ----------
    path : path
        A CSV or ECSV file with `COLUMNS`: on each combination of some redshifts and some log10 of masses [Msun] one
        mean and the standard deviation around it.
    quantity : str
        One of `QUANTITIES`.
    scatter : Gaussian or StudentT
        Law of the scatter: its kind and its limits.

    Raises
    ------
    UserError
        If the file cannot be read, lacks a column, has a value that is no number or a scatter below 0, or is no full
        grid.

    """
    columns = _columns(path)
    redshift, log_mstar = np.unique(columns["redshift"]), np.unique(columns["log_mstar"])
    cell = np.searchsorted(redshift, columns["redshift"]), np.searchsorted(log_mstar, columns["log_mstar"])
    count = np.zeros((len(redshift), len(log_mstar)), int)
    np.add.at(count, cell, 1)
    for what, wrong in (("no row", count == 0), ("several rows", count > 1)):
        if np.any(wrong):
            i, j = np.argwhere(wrong)[0]
            raise UserError(
                f"{path}: {what} for redshift {redshift[i]:g} and log_mstar {log_mstar[j]:g}; expected one row for "
                f"each combination of its {len(redshift)} redshifts and {len(log_mstar)} masses. Complete the grid."
            )
    mean, scale = np.empty(count.shape), np.empty(count.shape)
    mean[cell], scale[cell] = columns["mean"], columns["scatter"]
    if np.any(scale < 0.0) or (np.any(scale == 0.0) and np.any(scale > 0.0)):
        i, j = np.unravel_index(int(np.argmin(scale)), scale.shape)
        raise UserError(
            f"{path}: scatter is {scale[i, j]:g} at redshift {redshift[i]:g} and log_mstar {log_mstar[j]:g}; expected "
            "values above 0, or 0 everywhere for the mean itself"
        )
    same = float(scale.flat[0]) if np.ptp(scale) == 0.0 else None
    return Relation(
        name=str(path), quantity=quantity, mean=Grid(redshift, log_mstar, mean),
        scatter=replace(scatter, scale=float(np.median(scale))), paper=Path(path).name, doi="",
        redshift=(float(redshift[0]), float(redshift[-1])), log_mstar=(float(log_mstar[0]), float(log_mstar[-1])),
        needs=ARGUMENTS[quantity], note="Held beyond the grid.",
        scale=None if same is not None else Grid(redshift, log_mstar, scale),
    )  # fmt: skip


def _columns(path: Path | str) -> dict[str, Array]:
    from astropy.table import Table  # half a second, and few runs have a table

    try:
        table = Table.read(path, format="ascii.ecsv" if str(path).lower().endswith(".ecsv") else "ascii.csv")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}. Check the path, seen from {Path.cwd()}.") from error
    except Exception as error:
        raise UserError(f"{path} is not a table in {ENDS[0]} or {ENDS[1]}: {error}") from error
    columns: dict[str, Array] = {}
    for name in COLUMNS:
        if name not in table.colnames:
            hint = suggestion(name, table.colnames).replace("did you mean", "is it called")
            raise UserError(
                f"{path}: column '{name}' is missing{hint}; a relation has the columns {', '.join(COLUMNS)}. It has "
                f"{', '.join(table.colnames)}."
            )
        try:
            columns[name] = np.array(np.ma.filled(np.ma.asarray(table[name], float), np.nan))
        except ValueError as error:
            raise UserError(f"{path}: column '{name}' is not of numbers: {error}") from error
        bad = np.flatnonzero(~np.isfinite(columns[name]))
        if len(bad):
            raise UserError(f"{path}: column '{name}' is {columns[name][bad[0]]} in row {bad[0] + 1}; expected numbers")
    if not len(table):
        raise UserError(f"{path} has no rows")
    return columns
