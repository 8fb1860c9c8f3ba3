"""The box of quiescent galaxies in rest-frame U-V against V-J."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

WILLIAMS2009 = {"uv_min": 1.3, "vj_max": 1.6, "slope": 0.88, "intercept": 0.69}
"""The box of Williams et al. (2009) at z < 0.5; at 0.5 < z < 1 its intercept is 0.59, above 0.49."""


def in_box(uv: ArrayLike, vj: ArrayLike, box: Mapping[str, float] = WILLIAMS2009) -> NDArray[np.bool_]:
    """Return whether colours are those of quiescent galaxies (Williams et al. 2009, eq 4).

    Inside means U-V > uv_min, V-J < vj_max and U-V > slope (V-J) + intercept.

    Parameters
    ----------
    uv, vj : array-like
        Rest-frame U-V and V-J [AB mag], of shapes that broadcast. A NaN is outside.
    box : mapping of str to float
        ``uv_min``, ``vj_max``, ``slope`` and ``intercept``.

    Returns
    -------
    ndarray of bool, of the broadcast shape

    """
    uv, vj = np.asarray(uv, float), np.asarray(vj, float)
    return (uv > box["uv_min"]) & (vj < box["vj_max"]) & (uv > box["slope"] * vj + box["intercept"])


def depth(uv: ArrayLike, vj: ArrayLike, box: Mapping[str, float] = WILLIAMS2009) -> NDArray[np.float64]:
    """Return how far inside the box colours are, the distance to the nearest edge [mag]; negative outside.

    Outside it is minus the largest distance to an edge that is missed. Arguments as for `in_box`.
    """
    uv, vj = np.asarray(uv, float), np.asarray(vj, float)
    diagonal = (uv - box["slope"] * vj - box["intercept"]) / np.hypot(1.0, box["slope"])
    return np.minimum(np.minimum(uv - box["uv_min"], box["vj_max"] - vj), diagonal)
