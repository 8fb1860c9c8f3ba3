import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocksed.cosmology import AGE_MARGIN
from mocksed.sps import derived, dust, photometry
from mocksed.sps.curves import CURVES, SLOPED
from mocksed.sps.engine import Engine
from mocksed.sps.model import LIMITS, Model

MODELS = [
    *(Model(dust_type=dust_type, dust_index=-0.7) for dust_type in CURVES),
    *(Model(dust_type=dust_type, dust_index=i) for dust_type in SLOPED for i in (*LIMITS["dust_index"], None)),
]

RNG = np.random.default_rng(2)
PARAMETERS = {
    "age": 10 ** RNG.uniform(-3, np.log10(13.0), 2000),
    "tau": 10 ** RNG.uniform(-1, 2, 2000),
    "log_zmet": RNG.uniform(-1.97, 0.19, 2000),
    "log_us": RNG.uniform(-4, -1, 2000),
    "dust2": RNG.uniform(0, 4, 2000),
    "dust_index": RNG.uniform(-1.1, LIMITS["dust_index"][1], 2000),
}


def from_spectra(engine, parameters, nebular):
    """Return the magnitudes in the bands, per surviving mass, from the spectra."""
    mass = engine.derived(*parameters.values(), nebular=nebular).mass_fraction
    spectra = engine.spectra(*parameters.values(), nebular=nebular).astype(float)
    flux = spectra @ derived.band_weights(engine.wavelength).T
    return photometry.absolute_magnitude(flux / mass[:, None]).T


@pytest.mark.parametrize("dust_index", [None, -0.7])
@pytest.mark.parametrize("dust_type", ["calzetti", "cardelli", *SLOPED, "smc"])
@pytest.mark.parametrize("nebular", [True, False])
def test_derived_quantities_are_those_of_the_spectra(engine, nebular, dust_type, dust_index):
    engine = Engine(engine.table, Model(dust_type=dust_type, dust_index=dust_index))
    found = engine.derived(*PARAMETERS.values(), nebular=nebular)
    uv1500, f125w, f160w, u, v, j = from_spectra(engine, PARAMETERS, nebular)
    # [O III] is in V, and the gas is linear between the nodes of a fine grid
    for name, expected in {"muv": uv1500, "uv": u - v, "vj": v - j}.items():
        error = np.abs(getattr(found, name) - expected)
        assert error.max() < (2e-3 if nebular else 3e-5), name
        assert np.median(error) < 5e-5, name
    assert found.beta == pytest.approx(4.43 * (f125w - f160w) - 2.0, abs=2e-3 if nebular else 1e-4)


def test_quantities_are_per_surviving_mass():
    """At 2 Gyr of constant star formation, half of the mass left, 1 Msun that is left forms 1 Msun in 1 Gyr."""
    flux = np.full((2, 6), 1e-17)
    found = derived.from_fluxes("constant", np.full(2, 2.0), np.ones(2), np.array([1.0, 0.5]), flux, flux[:, 0])
    assert found.log_ssfr == pytest.approx([np.log10(0.5e-9), -9.0])
    assert np.diff(found.muv) == pytest.approx(-2.5 * np.log10(2.0))
    assert np.diff(found.muv_intrinsic) == pytest.approx(-2.5 * np.log10(2.0))
    assert found.uv == pytest.approx(0.0)


def test_dust_is_not_in_the_intrinsic_magnitude(engine):
    no_dust = engine.derived(*(PARAMETERS | {"dust2": 0.0}).values(), nebular=True)
    assert engine.derived(*PARAMETERS.values(), nebular=True).muv_intrinsic == pytest.approx(no_dust.muv, abs=2e-6)


def test_very_much_dust_is_taken_from_the_spectra(engine):
    parameters = {name: values[:30] for name, values in PARAMETERS.items()}
    parameters["dust2"] = np.linspace(derived.DUST2_MAX - 0.5, 4.0 * derived.DUST2_MAX, 30)
    found = engine.derived(*parameters.values(), nebular=True)
    uv1500, _, _, u, v, j = from_spectra(engine, parameters, True)
    assert found.muv == pytest.approx(uv1500, abs=1e-4)
    assert found.uv == pytest.approx(u - v, abs=2e-3)
    assert found.vj == pytest.approx(v - j, abs=2e-3)


@given(st.floats(AGE_MARGIN, 13.8), st.floats(0.1, 100.0), st.floats(0.0, 8.0))
def test_magnitudes_grow_with_dust(engine, age, tau, dust2):
    clear, dusty = np.array(engine.derived(age, tau, 0.0, -2.5, [dust2, dust2 + 0.1], nebular=True)).T
    names = engine.derived(age, tau, 0.0, -2.5, 0.0, nebular=True)._fields
    change = dict(zip(names, dusty - clear, strict=True))
    assert change["muv"] > 0.2  # k(1500 A) / k(5500 A) is 2.5
    assert change["muv_intrinsic"] == pytest.approx(0.0, abs=1e-5)
    assert change["mass_fraction"] == 0.0
    assert change["log_ssfr"] == 0.0


def test_refined_nodes_hold_the_nodes():
    nodes = np.array([0.0, 0.5, 0.6])
    found = derived._refined(nodes, 0.1)
    assert np.all(np.isin(np.round(nodes, 9), np.round(found, 9)))
    assert np.diff(found).max() <= 0.1 + 1e-9
    assert len(found) == 7


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.dust_type} {model.dust_index}")
def test_what_dust_lets_through_is_interpolated_as_well_as_promised(engine, model):
    curve, rng = dust.curve(engine.wavelength, model), np.random.default_rng(3)
    dust2, slope = rng.uniform(0.0, derived.DUST2_MAX, 1000), rng.uniform(*LIMITS["dust_index"], 1000)
    slope[:2] = LIMITS["dust_index"]
    dust2 *= np.minimum(1.0, derived.UV_DEPTH_MAX / derived._uv(curve, slope) / derived.DUST2_MAX)
    through = np.exp(-dust2[:, None] * curve.at(slope[:, None]))
    for weights in derived.band_weights(engine.wavelength):
        nodes, cardinal = derived.interpolation(curve, weights)
        error = np.abs(through[:, nodes] @ cardinal - through) @ weights
        assert np.all(error < 5e-6 * (through @ weights))
        # no flux is a small difference of large coefficients, which single precision would not know
        assert weights @ np.abs(cardinal).sum(axis=0) < 10.0 * weights.sum()


@given(
    st.floats(AGE_MARGIN, 13.8), st.floats(0.1, 100.0), st.floats(0.0, 5.0), st.floats(0.05, 1.0), st.floats(-2.0, 0.4),
    st.booleans(),
)  # fmt: skip
def test_fluxes_fall_with_dust_at_any_slope(sloped, age, tau, dust2, more, dust_index, nebular):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(derived, "from_fluxes", lambda sfh, age, tau, mass, flux, intrinsic: flux)
        clear, thin, thick = sloped.derived(
            age, tau, 0.0, -2.5, [0.0, dust2, dust2 + more], dust_index, nebular=nebular
        )
    assert np.all(thin <= clear)
    assert np.all((thick < thin) | (thin == 0.0))  # single precision knows nothing fainter
