import json
import math

import numpy as np
import pytest

from mocksed import jsontext
from mocksed.files import memory_map, storage


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"scales": {"beta": [1.0, math.nan]}}, r"scales.beta\[1\] is nan: JSON has finite numbers only"),
        ([np.float64(-math.inf)], r"\[0\] is -inf: JSON"),
        (math.inf, "a number is inf: JSON"),
    ],
)
def test_a_number_that_json_does_not_have_is_named(content, message):
    with pytest.raises(ValueError, match=message):
        jsontext.dumps(content)


def test_no_file_says_nan_of_itself(tmp_path):
    about = {"cosmology": {"H0": math.nan}}
    with pytest.raises(ValueError, match="H0 is nan"):
        storage.write_table(tmp_path / "a.parquet", {"galaxy_id": np.arange(3)}, about)
    with (
        pytest.raises(ValueError, match="H0 is nan"),
        memory_map.writing(tmp_path / "a.h5", ["age"], 0, about) as append,
    ):
        append({"age": np.empty(0)})
    assert list(tmp_path.iterdir()) == []


def test_what_json_has_is_as_the_library_writes_it():
    content = {"b": [1, 2.5, None, "µ"], "a": {"x": True}}
    assert jsontext.dumps(content) == json.dumps(content)
    assert jsontext.dumps(content, sort_keys=True) == json.dumps(content, sort_keys=True)


def test_messages_show_any_value_and_cut_long_ones():
    assert jsontext.shown({"a": [math.nan, None]}) == '{"a": [NaN, null]}'
    assert jsontext.shown("a" * 50, 10) == '"aaaaa ...'


def test_all_json_is_written_there(root):
    writers = [path.name for path in (root / "src").rglob("*.py") if "json.dump" in path.read_text()]
    assert writers == ["jsontext.py"]
