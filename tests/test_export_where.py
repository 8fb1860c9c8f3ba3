import numpy as np
import pyarrow as pa
import pytest

from mocksed.errors import UserError
from mocksed.export.where import condition

TABLE = pa.table(
    {
        "redshift": [0.5, 2.5, 3.0, 4.0],
        "mag": pa.array([20.0, 27.0, None, 29.0], pa.float32()),
        "mag_Euclid-VIS": pa.array([20.0, 21.0, 22.0, 23.0], pa.float32()),
        "quiescent": [True, False, True, False],
        "flags": pa.array([0, 8, 9, 1], pa.int32()),
        "id": pa.array([1, 2**62 + 1, 3, 4]),
        "note": ["a", "b", "a", None],
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("redshift > 2 and mag < 28", [1]),
        ("2 < redshift <= 3", [1, 2]),
        ("quiescent", [0, 2]),
        ("not quiescent", [1, 3]),
        ("quiescent or redshift >= 4", [0, 2, 3]),
        ("flags & 8 == 0", [0, 3]),
        ("flags & (8 | 1) != 0", [1, 2, 3]),
        ("id == 4611686018427387905", [1]),  # which a float would round
        ("`mag_Euclid-VIS` - mag == 0", [0]),
        ("1 / 2 < redshift", [1, 2, 3]),
        ("redshift ** 2 > 9.5", [3]),
        ("log10(redshift) < 0 or abs(-redshift) == 4", [0, 3]),
        ("sqrt(redshift) == 2", [3]),
        ("isnull(mag)", [2]),
        ("not isnull(mag) and redshift > 1", [1, 3]),
        ("mag != 20", [1, 3]),  # what is missing is not different
        ("note == 'a'", [0, 2]),
        ("redshift > -1", [0, 1, 2, 3]),
    ],
)
def test_conditions_are_met_by_the_rows_they_say(text, rows):
    expression, read = condition(text, TABLE.schema)
    found = TABLE.append_column("row", pa.array(np.arange(4))).filter(expression)["row"].to_pylist()
    assert found == rows
    assert all(name in text for name in read)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("redshif > 2", "there is no column 'redshif', did you mean redshift?"),
        ("mag_Euclid-VIS > 2", "between backticks"),
        ("`mag_Euclid-VS` > 2", "there is no column 'mag_Euclid-VS', did you mean mag_Euclid-VIS?"),
        ("redshift >", "invalid syntax"),
        ("redshift", "Expected e.g."),
        ("redshift + 1", "Expected e.g."),
        ("note > 2", "Expected e.g."),
        ("quiescent + 1 > 2", "Expected e.g."),
        ("__import__('os').system('true')", "is not understood"),
        ("open('x')", "there is no function 'open'"),
        ("redshift.real > 1", "`redshift.real` is not understood"),
        ("[x for x in (1, 2)]", "is not understood"),
        ("(lambda: True)()", "is not understood"),
        ("redshift in (1, 2)", "is not understood"),
        ("id > 10 ** 10 ** 10 ** 10 and id > 99999999999999999999999", "cannot be used"),
        ("(" * 5000 + "1" + ")" * 5000, "cannot be used"),
        ("redshift > 1\nredshift", "cannot be used"),
        ("redshift > 1j", "is not understood"),
        ("redshift := 3", "cannot be used"),
        ("\0", "cannot be used"),
        ("", "cannot be used"),
    ],
)
def test_what_is_no_condition_is_one_message(text, said):
    with pytest.raises(UserError) as error:
        condition(text, TABLE.schema)
    assert said in str(error.value)
