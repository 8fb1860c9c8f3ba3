from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocksed.errors import UserError
from mocksed.sps import curves, dust, fsps, table
from mocksed.sps.curves import SLOPED
from mocksed.sps.model import DEFAULT_MODEL, LIMITS, Model

WAVELENGTH = np.geomspace(912.0, 3e5, 2000)

MODELS = [
    Model(dust_type="power_law", dust_index=-0.7),
    Model(dust_type="power_law", dust_index=-1.3),
    Model(dust_type="cardelli"),
    Model(dust_type="cardelli", mwr=5.0, uvb=0.0),
    Model(dust_type="cardelli", mwr=2.2, uvb=2.5),
    Model(dust_type="calzetti"),
    Model(dust_type="kriek_conroy", dust_index=-0.7),
    Model(dust_type="kriek_conroy", dust_index=0.2),
    Model(dust_type="smc"),
    Model(dust_type="reddy"),
]


@pytest.fixture(scope="module")
def shipped(root):
    return table.read(root / "resources/ssp_padova_kurucz_chabrier.h5")


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_curves_are_one_at_5500_and_absorb_more_in_the_blue(model):
    curve = dust.curve(WAVELENGTH, model).base
    assert curve.shape == WAVELENGTH.shape
    assert np.interp(5500.0, WAVELENGTH, curve) == pytest.approx(1.0, abs=0.02)
    assert np.interp(1500.0, WAVELENGTH, curve) > np.interp(4400.0, WAVELENGTH, curve) > 1.0
    # that of Reddy et al. crosses zero shortly before its end at 2.85 um
    assert np.all(curve >= (-0.02 if model.dust_type == "reddy" else 0.0))


@pytest.mark.parametrize("dust_type", SLOPED)
@pytest.mark.parametrize("dust_index", [*LIMITS["dust_index"], -0.7, 0.0])
def test_a_free_slope_gives_the_curve_of_one_that_is_fixed(dust_type, dust_index):
    free = dust.curve(WAVELENGTH, Model(dust_type=dust_type))
    fixed = dust.curve(WAVELENGTH, Model(dust_type=dust_type, dust_index=dust_index))
    assert free.at(dust_index) == pytest.approx(fixed.base, rel=1e-13)
    assert np.array_equal(fixed.at(-2.0), fixed.base)
    through = np.empty(len(WAVELENGTH), np.float32)
    for curve in (free, fixed):
        dust.transmission(0.3, dust_index, curve.in_log2(), 0, through)
        depth = 0.3 * fixed.base
        assert through[depth < 80.0] == pytest.approx(np.exp(-depth[depth < 80.0]), rel=2e-5)
        assert through[depth < 3.0] == pytest.approx(np.exp(-depth[depth < 3.0]), rel=1e-6)


@pytest.mark.parametrize("dust_type", SLOPED)
@given(dust_index=st.floats(*LIMITS["dust_index"]))
def test_no_slope_makes_light_of_dust(dust_type, dust_index):
    curve = dust.curve(WAVELENGTH, Model(dust_type=dust_type)).at(dust_index)
    assert np.all(curve >= 0.0)
    assert np.interp(5500.0, WAVELENGTH, curve) == pytest.approx(1.0, abs=0.02)


def test_the_steeper_the_curve_the_stronger_is_its_bump():
    """Kriek & Conroy (2013), eq 3: E_b = 0.85 - 1.9 delta, over R_V = 4.05."""
    curve = dust.curve([2175.0], Model(dust_type="kriek_conroy"))
    for dust_index, strength in [(-1.0, 2.75), (0.0, 0.85), (0.4, 0.09)]:
        untilted = curve.at(dust_index) / curves.power_law(2175.0, dust_index)
        assert (untilted - curves.calzetti(2175.0)) * 4.05 == pytest.approx(strength)


@pytest.mark.fsps
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_curves_are_those_of_fsps(model):
    sps = fsps.population()
    parameters = {"age": 0.1, "tau": 1.0, "log_zmet": 0.0, "log_us": -2.0, "nebular": False, "model": model}
    without, behind = (fsps.composite(**parameters, dust2=dust2).spectrum for dust2 in (0.0, 1.3))
    used = (sps.wavelengths >= 912.0) & (sps.wavelengths <= 3e5)
    expected = (behind / without)[used]
    assert np.exp(-1.3 * dust.curve(sps.wavelengths, model).base)[used] == pytest.approx(expected, rel=1e-5)


# Emission


@pytest.mark.parametrize(("qpah", "umin", "gamma"), [(0, 0, 0.0), (3, 10, 0.0), (6, 21, 1.0), (2, 5, 0.3)])
def test_at_the_nodes_the_emission_is_that_of_the_table(shipped, qpah, umin, gamma):
    model = Model(duste_qpah=shipped.dust_qpah[qpah], duste_umin=shipped.dust_umin[umin], duste_gamma=gamma)
    low, high = shipped.dust_emission[qpah, umin].astype(np.float64)
    expected = (1.0 - gamma) * low + gamma * high
    found = dust.emission(shipped, model)
    assert found / found.max() == pytest.approx(expected / expected.max(), rel=1e-6)


def test_between_the_nodes_the_emission_is_linear_per_mass_of_dust(shipped):
    qpah, umin = shipped.dust_qpah[3:5].mean(), shipped.dust_umin[8:10].mean()
    expected = shipped.dust_emission[3:5, 8:10, 0].mean(axis=(0, 1), dtype=np.float64)
    found = dust.emission(shipped, Model(duste_qpah=qpah, duste_umin=umin, duste_gamma=0.0))
    assert found / found.max() == pytest.approx(expected / expected.max(), rel=1e-6)


def test_what_is_outside_the_nodes_counts_as_the_nearest(shipped):
    for outside, inside in [(0.0, shipped.dust_qpah[0]), (9.0, shipped.dust_qpah[-1])]:
        found, expected = (dust.emission(shipped, Model(duste_qpah=qpah)) for qpah in (outside, inside))
        assert np.array_equal(found, expected)


def test_the_emission_has_unit_luminosity_and_shifts_as_it_should(shipped):
    nu = table.LIGHT / shipped.wavelength
    cold, warm, bare = (
        dust.emission(shipped, Model(**options))
        for options in ({"duste_umin": 0.5}, {"duste_umin": 20.0}, {"duste_qpah": 0.47})
    )
    for found in (cold, warm, bare):
        assert np.all(found >= 0.0)
        assert -np.trapezoid(found, nu) == pytest.approx(1.0, rel=1e-12)
        assert np.all(found[shipped.wavelength < 9900.0] == 0.0)
    peak = shipped.wavelength[np.argmax(cold)], shipped.wavelength[np.argmax(warm)]
    assert 3e6 > peak[0] > peak[1] > 5e5
    pah = np.argmin(np.abs(shipped.wavelength - 7.7e4))
    assert dust.emission(shipped, DEFAULT_MODEL)[pah] > 3.0 * bare[pah]


def test_without_emission_in_the_table_the_message_says_so(shipped):
    none = replace(shipped, dust_emission=np.empty((0, 0, 2, 1936), np.float32))
    with pytest.raises(UserError, match="no dust emission"):
        dust.emission(none, DEFAULT_MODEL)


def with_emission(wavelength, spectrum, dust2, dust_index, model, template):
    """Return a spectrum behind dust that emits what it absorbs, as FSPS's ``add_dust.f90``."""
    nu = table.LIGHT / wavelength
    through = np.exp(-dust2 * dust.curve(wavelength, model).at(dust_index))
    seen, left = spectrum * through, -np.trapezoid(spectrum * (1.0 - through), nu)
    first = True
    while left > 1e-2 or first:
        emitted = left * template
        seen = seen + emitted * through
        left, first = -np.trapezoid(emitted * (1.0 - through), nu), False
    return seen


@pytest.mark.fsps
@pytest.mark.parametrize(
    ("age", "dust2", "options"),
    [
        (0.01, 0.1, {}),
        (0.01, 4.0, {}),
        (1.0, 1.0, {"duste_qpah": 2.1, "duste_umin": 13.0, "duste_gamma": 0.3}),
        (1.0, 2.0, {"duste_qpah": 7.0, "duste_umin": 25.0, "duste_gamma": 1.0, "dust_type": "smc"}),
        (10.0, 1.0, {"duste_qpah": 0.1, "duste_umin": 0.1, "duste_gamma": 0.0, "dust_type": "power_law"}),
        (1.0, 0.5, {"dust_type": "kriek_conroy"}),
        (1.0, 0.5, {"dust_type": "kriek_conroy", "dust_index": 0.2}),
    ],
)
def test_emission_and_energy_balance_are_those_of_fsps(shipped, age, dust2, options):
    model = Model(add_dust_emission=True, **options)
    parameters = {"age": age, "tau": 1.0, "log_zmet": -0.3, "log_us": -2.0, "dust_index": -0.7, "nebular": True}
    bare = fsps.composite(**parameters, dust2=0.0).spectrum
    expected = fsps.composite(**parameters, dust2=dust2, model=model).spectrum
    wavelength = fsps.population().wavelengths
    found = with_emission(wavelength, bare, dust2, -0.7, model, dust.emission(shipped, model))
    used = wavelength >= 912.0
    assert found[used] == pytest.approx(expected[used], rel=2e-5)
