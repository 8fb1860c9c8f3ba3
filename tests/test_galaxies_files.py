"""What galaxies are made of."""

import pytest

from mocksed.errors import UserError
from mocksed.galaxies.files import made_of

BOX = {"uv_min": 1.3}


def config(path, origin="mass_function", **table):
    own = {"path": path, "given": "exact", "columns": {"mass": "m"}, "quiescent": {"from": origin}, **table}
    galaxies = {"source": "table", "shards": 3, "table": own, "lightcone": {"redshift": [0.0, 12.0]}}
    galaxies["mass_functions"] = "weaver2023"
    return {"galaxies": galaxies, "quiescent": {"uvj_box": BOX}}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_bytes(bytes(range(256)) * 1000)
    return file


def test_a_light_cone_is_made_of_its_section_and_mass_functions_alone():
    whole = config("no.csv")
    whole["galaxies"]["source"] = "lightcone"
    expected = {"redshift": [0.0, 12.0], "mass_functions": "weaver2023"}
    assert made_of(whole) == {"source": "lightcone", "lightcone": expected}


def test_a_table_is_the_same_wherever_it_is(path, tmp_path):
    (tmp_path / "other").mkdir()
    moved = tmp_path / "other" / "mine.csv"
    moved.write_bytes(path.read_bytes())
    assert made_of(config(str(path))) == made_of(config(str(moved)))
    assert str(tmp_path) not in str(made_of(config(str(path))))
    assert made_of(config(str(path)))["table"]["bytes"] == 256_000


@pytest.mark.parametrize("at", [0, 65_535, 255_999, 255_999 - 65_535])
def test_another_table_of_the_same_name_is_another_one(path, at):
    before, content = made_of(config(str(path))), bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert made_of(config(str(path))) != before
    path.write_bytes(content + b"1")
    assert made_of(config(str(path)))["table"]["bytes"] == 256_001


def test_all_files_of_a_table_count(path, tmp_path):
    second = tmp_path / "other.csv"
    second.write_text("1")
    both = [made_of(config(paths)) for paths in ([str(path), str(second)], [str(second), str(path)])]
    assert both[0] != both[1]
    assert both[0]["table"]["files"] == 2
    assert made_of(config(str(tmp_path / "*.csv"))) == both[0]


def test_what_concerns_the_search_or_other_classes_does_not_count(path):
    one = made_of(config(str(path)))
    assert made_of(config(str(path), given="scatter")) == one
    assert "uvj_box" not in one["table"]
    assert made_of(config(str(path), "uvj"))["table"]["uvj_box"] == BOX
    assert made_of(config(str(path), columns={"mass": "n"})) != one
    assert one["table"]["mass_functions"] == "weaver2023"
    assert "mass_functions" not in made_of(config(str(path), "uvj"))["table"]


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*gone\.csv.*galaxies\.table\.path"):
        made_of(config(str(tmp_path / "gone.csv")))
