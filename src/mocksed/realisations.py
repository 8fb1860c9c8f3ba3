"""Realisations: independent catalogues of the same galaxies, made in one pass.

They share redshifts, masses and positions. Draws and the models taken are independent in each, and so
are the classes where the mass functions decide them. The rows of a file are those of one realisation after the other,
in each of them the galaxies in the same order, with a column ``realisation``; a run of realisation 0 alone, the
default, does without.
"""

from collections.abc import Mapping, Sequence

from numpy.typing import NDArray

COLUMN = "realisation"
"""The column that tells the rows of realisations apart."""


def indices(realisations: int | Sequence[int]) -> list[int]:
    """Return the indices, increasing, that the config's ``realisations`` asks for: a number of them, or a list."""
    if isinstance(realisations, Sequence):
        return sorted(int(index) for index in realisations)
    return list(range(int(realisations)))


def column_needed(realisations: Sequence[int]) -> bool:
    """Return whether files have the column ``realisation``."""
    return list(realisations) != [0]


def keys(columns: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Return the columns that identify the galaxy of each row and, where there are several, its realisation."""
    return {name: columns[name] for name in ("galaxy_id", COLUMN) if name in columns}
