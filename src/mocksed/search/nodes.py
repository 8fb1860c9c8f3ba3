"""The grid of redshift and mass on which weights are balanced; by itself, since the cost model counts its nodes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

REDSHIFTS = (0.0, 0.2, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 16.0, 20.0)
LOG_MSTARS = tuple(np.arange(4.0, 13.6, 0.25).tolist())
"""All nodes; between them coefficients are linear, beyond they are those of the outermost one."""

SFR_OFFSETS = (-1.2, -0.8, -0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.2)
"""Nodes of SFRs that a table gives [dex from their relation]. With steps of 0.4 dex, M_UV is off by 0.3 mag between
them, with 0.2 dex by less than 0.1."""


def nodes_within(nodes: Sequence[float], low: float, high: float) -> NDArray[np.float64]:
    """Return the nodes between which all values from ``low`` to ``high`` lie."""
    first = max(int(np.searchsorted(nodes, low, side="right")) - 1, 0)
    last = min(int(np.searchsorted(nodes, high)), len(nodes) - 1)
    return np.array(nodes[min(first, last) : last + 1], float)


def grid(redshift: Sequence[float], log_mstar: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the nodes around galaxies with these limits: redshifts and log10 of masses [Msun]."""
    return nodes_within(REDSHIFTS, *redshift), nodes_within(LOG_MSTARS, *log_mstar)
