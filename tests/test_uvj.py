"""The box of quiescent colours."""

import numpy as np
import pytest

from mocksed.uvj import WILLIAMS2009, depth, in_box


def test_sides_of_the_box() -> None:
    uv = np.array([1.31, 1.29, 2.20, 2.20, 1.80, 1.80, 1.30])
    vj = np.array([0.50, 0.50, 1.59, 1.61, 1.25, 1.27, 0.00])
    assert in_box(uv, vj).tolist() == [True, False, True, False, True, False, False]


def test_the_border_is_outside() -> None:
    box = {"uv_min": 1.25, "vj_max": 1.5, "slope": 1.0, "intercept": 0.5}
    uv, vj = np.array([1.25, 2.5, 1.75]), np.array([0.5, 1.5, 1.25])
    assert not in_box(uv, vj, box).any()
    assert depth(uv, vj, box).tolist() == [0.0, 0.0, 0.0]
    assert in_box(np.nextafter(uv, 9.0), np.nextafter(vj, -9.0), box).all()


def test_missing_colours_are_outside() -> None:
    assert not in_box([np.nan, 2.0], [0.5, np.nan]).any()


def test_lower_intercept_of_higher_redshifts_admits_more() -> None:
    assert not in_box(1.5, 1.0)
    assert in_box(1.5, 1.0, {**WILLIAMS2009, "intercept": 0.59})


def test_shapes_broadcast() -> None:
    assert in_box(np.full((3, 1), 2.0), np.full(4, 0.5)).shape == (3, 4)


def test_the_depth_is_the_distance_to_the_nearest_edge():
    found = depth([1.5, 1.2, 2.5, 2.0], [0.5, 0.5, 1.5, 1.4])
    assert found == pytest.approx([0.2, -0.1, 0.1, (2.0 - 0.88 * 1.4 - 0.69) / np.hypot(1.0, 0.88)])
    assert ((found > 0.0) == in_box([1.5, 1.2, 2.5, 2.0], [0.5, 0.5, 1.5, 1.4])).all()
