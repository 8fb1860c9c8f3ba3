import pytest

from mocksed.errors import UserError
from mocksed.sps import weights
from mocksed.sps.curves import CURVES, SLOPED
from mocksed.sps.model import DEFAULT_MODEL, LIMITS, SFH, Model


def test_histories_are_those_that_have_weights():
    assert set(SFH) == set(weights.HISTORIES)


def test_what_the_config_leaves_out_has_its_default():
    assert Model.from_config({}) == DEFAULT_MODEL
    found = Model.from_config({"dust_type": "smc", "uvb": 0.3, "igm": "none", "table": "x.h5"})
    assert found == Model(dust_type="smc", uvb=0.3)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"sfh": "delayed"}, "there is no sfh 'delayed', did you mean delayed_tau"),
        ({"dust_type": "calzeti"}, "did you mean calzetti"),
        ({"uvb": -0.1}, "uvb is -0.1; expected a number from 0 to 5"),
        ({"duste_umin": float("nan")}, "duste_umin is nan"),
        ({"dust_index": 0.41}, "dust_index is 0.41; expected a number from -3 to 0.4"),
    ],
)
def test_what_fsps_cannot_do_is_refused(option, message):
    with pytest.raises(UserError, match=message):
        Model(**option)


@pytest.mark.parametrize("dust_type", CURVES)
def test_only_a_curve_with_a_slope_has_one_for_each_galaxy(dust_type):
    assert Model(dust_type=dust_type).slope_is_free == (dust_type in SLOPED)
    assert not Model(dust_type=dust_type, dust_index=0.0).slope_is_free


@pytest.mark.parametrize("name", LIMITS)
def test_limits_are_allowed(name):
    for value in LIMITS[name]:
        assert getattr(Model(**{name: value}), name) == value
