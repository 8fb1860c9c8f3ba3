import astropy.units as u
import pytest
from matplotlib import mathtext

from mocksed.files.columns import COLUMNS, FLAG_DESCRIPTIONS, NOT_MET, Flag, given_column, given_error_column
from mocksed.quantities import GIVEN, QUANTITIES
from mocksed.relations import RELATIONS, Relations


def test_what_tables_may_give_is_in_the_order_of_the_random_numbers():
    assert GIVEN == ("log_sfr", "log_zmet", "log_us", "muv", "beta", "dust2", "age")


@pytest.mark.parametrize("name", QUANTITIES)
def test_units_labels_and_columns_agree(name):
    quantity = QUANTITIES[name]
    mathtext.MathTextParser("path").parse(quantity.axis)
    if name in COLUMNS:
        assert (COLUMNS[name].unit, quantity.description) == (
            quantity.unit,
            COLUMNS[name].description[: len(quantity.description)],
        )
    unit, difference = u.Unit(quantity.unit), u.Unit(quantity.difference)
    assert quantity.is_log == name.startswith("log_")
    if isinstance(unit, u.DexUnit):
        assert unit.physical_unit == u.Unit(quantity.linear_unit)
    elif unit != u.dimensionless_unscaled:
        assert unit.is_equivalent(difference) or unit.function_unit == difference


@pytest.mark.parametrize("name", GIVEN)
def test_what_tables_give_has_columns_and_a_flag_of_its_own(name):
    assert COLUMNS[given_column(name)].unit == QUANTITIES[name].unit
    assert COLUMNS[given_error_column(name)].unit == QUANTITIES[name].difference
    bit = {
        "log_sfr": Flag.SFR_NOT_MET,
        "log_zmet": Flag.ZMET_NOT_MET,
        "log_us": Flag.US_NOT_MET,
        "muv": Flag.MUV_NOT_MET,
        "beta": Flag.BETA_NOT_MET,
        "dust2": Flag.DUST_NOT_MET,
        "age": Flag.AGE_NOT_MET,
    }[name]
    assert NOT_MET[name] == bit
    assert QUANTITIES[name].name in FLAG_DESCRIPTIONS[bit]
    assert 0.0 < QUANTITIES[name].tolerance < 0.05


def test_every_relation_is_of_a_known_quantity():
    relations = Relations()
    for name in RELATIONS:
        quantity = "log_sfr" if name.startswith("log_sfr_") else name
        assert quantity in QUANTITIES
        if getattr(relations, name) is not None:
            assert relations.of(quantity, quiescent=name.endswith("quiescent")) is getattr(relations, name)
