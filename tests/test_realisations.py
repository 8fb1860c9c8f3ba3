import numpy as np
import pytest

from mocksed.realisations import column_needed, indices, keys


@pytest.mark.parametrize(
    ("asked", "expected"), [(1, [0]), (3, [0, 1, 2]), (2.0, [0, 1]), ([3], [3]), ([4, 0, 2], [0, 2, 4]), ((1,), [1])]
)
def test_a_number_counts_from_0_and_a_list_is_put_in_order(asked, expected):
    assert indices(asked) == expected


def test_realisation_0_alone_needs_no_column():
    assert [column_needed(indices(asked)) for asked in (1, [0], 2, [1], [0, 1])] == [False, False, True, True, True]


def test_keys_are_the_columns_that_are_there():
    columns = {"redshift": np.ones(2), "realisation": np.arange(2), "galaxy_id": np.zeros(2)}
    assert list(keys(columns)) == ["galaxy_id", "realisation"]
    assert keys(columns)["realisation"] is columns["realisation"]
    columns.pop("realisation")
    assert list(keys(columns)) == ["galaxy_id"]
