import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mocksed.errors import UserError
from mocksed.files import storage
from mocksed.run.stages import search
from mocksed.search.balance import Balance

OF = {"recipe": {"n": 5}, "neighbours": {"k": 64}, "metric": {"scales": (1, 2)}}


@pytest.fixture
def stored(tmp_path):
    """A balance on disk and what it follows from."""
    of = Balance(np.array([0.5, 1.0]), np.array([8.0]), np.ones((2, 1, 3)), np.zeros((2, 1, 3)))
    path = tmp_path / "balance.json"
    storage.write_json(path, {"of": OF} | of.as_json())
    return path, of


def test_a_balance_is_read_as_it_was_written(stored):
    path, of = stored
    found = search.read_balance(str(path), OF)
    for name in ("redshift", "log_mstar", "coefficients", "residual"):
        assert_array_equal(getattr(found, name), getattr(of, name))


@pytest.mark.parametrize("name", OF)
def test_a_balance_of_another_run_is_named(stored, name):
    words = rf"balance\.json was made with another configuration: {name}\.other is null, expected 1\. .*run again"
    with pytest.raises(UserError, match=words):
        search.read_balance(str(stored[0]), OF | {name: {"other": 1}})


@pytest.mark.parametrize("content", [[], {}, {"of": OF}, {"coefficients": [], "residual": []}])
def test_a_file_that_is_no_balance_is_named(tmp_path, content):
    storage.write_json(tmp_path / "balance.json", content)
    with pytest.raises(UserError, match=r"balance\.json is not a balance of weights\. Remove it and run again"):
        search.read_balance(str(tmp_path / "balance.json"), OF)
    with pytest.raises(UserError, match=r"nothing\.json"):
        search.read_balance(str(tmp_path / "nothing.json"), OF)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_classes_are_taken_apart_and_put_together_in_order(share):
    rng = np.random.default_rng(1)
    quiescent = rng.random(50) < share
    columns = {"quiescent": quiescent, "a": rng.random(50), "b": rng.integers(0, 9, (50, 3))}
    classes = search._split_by_class(columns)
    assert_array_equal(classes["quiescent"]["a"], columns["a"][quiescent])
    again = search._together(quiescent, classes)
    for name, values in columns.items():
        assert again[name].tobytes() == values.tobytes()
    del classes["quiescent"]["a"]
    again = search._together(quiescent, classes)["a"]
    assert_array_equal(again, np.where(quiescent, np.nan, columns["a"]))
