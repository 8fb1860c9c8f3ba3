import itertools
from dataclasses import asdict, replace
from functools import partial
from typing import NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_limits

from mocksed.cosmology import AGE_MARGIN
from mocksed.errors import UserError
from mocksed.sps import derived, from_config, fsps, photometry, table, weights
from mocksed.sps.curves import SLOPED
from mocksed.sps.engine import Engine, blocks
from mocksed.sps.model import LIMITS, Model
from mocksed.sps.nebular import add_continuum, draw_lines

FREE = [Model(dust_type=dust_type) for dust_type in SLOPED]


def named(model):
    """Return what a model has that is not the default."""
    return " ".join(f"{n}={v}" for n, v in asdict(model).items() if v != getattr(Model(), n)) or "default"


def random_parameters(n, log_zmet_range, seed=1):
    rng = np.random.default_rng(seed)
    return {
        "age": 10 ** rng.uniform(-3, np.log10(13.0), n),
        "tau": 10 ** rng.uniform(-1, 2, n),
        "log_zmet": rng.uniform(*log_zmet_range, n),
        "log_us": rng.uniform(-4, -1, n),
        "dust2": rng.uniform(0, 4, n),
        "dust_index": rng.uniform(*LIMITS["dust_index"], n),
    }


def of_few_metallicities(n, n_zmet, table, seed):
    """Return parameters, shape (n, 6), those of a metallicity together: FSPS takes 0.3 s more for each new one."""
    parameters = np.stack(list(random_parameters(n, table.log_zmet_range, seed).values()), axis=1)
    parameters[:, 2] = np.repeat(parameters[:n_zmet, 2], n // n_zmet)
    return parameters


CORNERS = np.array(
    [
        [AGE_MARGIN, 100.0, 0.0, -1.0, 0.0, -3.0],
        [AGE_MARGIN, 0.1, -1.9, -4.0, 4.0, 0.4],
        [13.0, 0.1, 0.19, -2.0, 0.0, 0.4],
        [13.0, 100.0, -1.97, -1.0, 4.0, -3.0],
        [0.02, 0.1, 0.198, -2.5, 1.0, -3.0],
        [1.0, 1.0, -5.0, -9.0, 0.5, 0.0],  # clamped
        [1.0, 1.0, 3.0, 1.0, 0.5, -1.0],  # clamped
    ]
)


class Differences(NamedTuple):
    """Relative differences from python-fsps; spectra at 912 A to 30 um, of shape (n, n_used).

    Of M_UV, U - V, V - J and the colour behind beta the difference [mag], shape (4, n).
    """

    spectrum: np.ndarray
    lines: np.ndarray
    mass: np.ndarray
    sfr: np.ndarray
    magnitudes: np.ndarray


def differences_from_fsps(engine, parameters, nebular):
    """Compare parameter sets, shape (n, 6), where neither has lost its precision.

    Spectra are compared down to the smallest numbers of single precision, lines down to 1e-15 Lsun / Msun: FSPS's
    weights are differences of numbers near 1, and below 1e-15 they are rounding errors. Magnitudes are compared where
    all bands are well above the smallest numbers.
    """
    used = (engine.wavelength >= 912.0) & (engine.wavelength <= 3e5)
    expected = [fsps.composite(*row, nebular=nebular, model=engine.model) for row in parameters]
    expected = fsps.Composite(*map(np.array, zip(*expected, strict=True)))
    found = engine.derived(*parameters.T, nebular=nebular)
    flux = expected.spectrum @ derived.band_weights(engine.wavelength).T
    fluxes = *parameters[:, :2].T, expected.mass, flux, flux[:, 0]
    magnitudes = [
        np.array([of.muv, of.uv, of.vj, of.beta / 4.43])[:, flux.min(axis=1) > 1e-30]
        for of in (found, derived.from_fluxes(engine.model.sfh, *fluxes))
    ]

    def relative(found, expected, smallest):
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(expected > smallest, np.abs(found / expected - 1.0), 0.0)

    return Differences(
        spectrum=relative(engine.spectra(*parameters.T, nebular=nebular), expected.spectrum, 1e-37)[:, used],
        lines=relative(engine.lines(*parameters.T), expected.lines, 1e-15),
        mass=relative(found.mass_fraction, expected.mass, 0.0),
        sfr=relative(10.0**found.log_ssfr * found.mass_fraction, expected.sfr, 0.0),
        magnitudes=np.abs(magnitudes[0] - magnitudes[1]),
    )


@pytest.mark.fsps
@pytest.mark.slow
def test_everything_is_as_fsps_computes_it(engine):
    parameters = of_few_metallicities(2000, 50, engine.table, seed=1)
    well_conditioned = parameters[:, 1] / parameters[:, 0] < 1e3
    for nebular in (True, False):
        found = differences_from_fsps(engine, parameters, nebular)
        # FSPS's own weights lose precision where tau >> age
        assert found.spectrum.max() < 1e-3
        assert found.spectrum[well_conditioned].max() < 1e-4
        assert np.median(found.spectrum) < 1e-5
        assert found.lines.max() < 1e-3
        for ratio in (found.mass, found.sfr):
            assert ratio[well_conditioned].max() < 1e-6
            assert ratio.max() < 1e-5


@pytest.mark.fsps
@pytest.mark.slow
@pytest.mark.parametrize("model", [*FREE, Model(dust_type="kriek_conroy", add_dust_emission=True)], ids=named)
def test_a_slope_for_each_galaxy_is_as_fsps_computes_it(engine, model):
    parameters = of_few_metallicities(500, 25, engine.table, seed=8)
    for nebular, half in ((True, parameters[:250]), (False, parameters[250:])):
        found = differences_from_fsps(Engine(engine.table, model), half, nebular)
        assert max(found.spectrum.max(), found.lines.max()) < 1e-3
        assert np.median(found.spectrum) < 1e-5
        assert found.magnitudes.shape[1] > 150  # others are behind more dust than single precision can tell
        assert found.magnitudes.max() < (1e-3 if nebular else 1e-4)  # [O III] is in V


@pytest.mark.fsps
@pytest.mark.parametrize("model", [FREE[0], Model(add_dust_emission=True)], ids=named)
def test_equivalent_widths_are_those_of_fsps(engine, model):
    """The integral over its spectrum with lines divided by that without, of each group of lines that overlap."""
    own, n = Engine(engine.table, model), 8
    parameters = random_parameters(n, engine.table.log_zmet_range, seed=5)
    parameters["tau"] = np.maximum(parameters["tau"], parameters["age"] / 30.0)
    parameters["dust2"] *= 0.25
    rows = np.stack(list(parameters.values()), axis=1)
    spectra = [[fsps.composite(*row, nebular=True, lines=lines, model=model).spectrum for lines in (True, False)]
               for row in rows]  # fmt: skip
    with_lines, without = np.moveaxis(spectra, 1, 0)
    luminosity = own.lines(**parameters | {"dust2": np.zeros(n)})
    width = own.equivalent_widths(np.arange(len(own.line_name)), luminosity, **parameters)
    wavelength, centre = own.wavelength, own.line_wavelength
    reach = 7.0 * own.table.line_sigma  # as far as they are drawn
    alone = np.flatnonzero((centre - reach)[1:] > np.maximum.accumulate(centre + reach)[:-1]) + 1
    groups = 0
    for lines in np.split(np.arange(len(centre)), alone):
        low, high = (centre - reach)[lines[0]], (centre + reach)[lines].max()
        if low < 912.0 or low < 4000.0 < high:
            continue  # no continuum there; and the nodes are uneven at 4000 A, where FSPS draws a percent too little
        if model.add_dust_emission and high > 2e4:
            continue  # without lines in the spectrum, FSPS's dust is not lit by them either
        window = (wavelength > low) & (wavelength < high)
        expected = np.trapezoid((with_lines / without - 1.0)[:, window], wavelength[window])
        seen = (expected > 1.0) & np.all(without[:, window] > 1e-30, axis=1)
        groups += seen.sum() > n / 2
        assert_allclose(width[:, lines].sum(axis=1)[seen], expected[seen], rtol=1e-3)
    assert groups > (4 if model.add_dust_emission else 8)


@pytest.mark.fsps
def test_the_reference_has_equivalent_widths_and_photons_too(engine):
    reference, parameters = fsps.ReferenceEngine(), random_parameters(4, engine.table.log_zmet_range, seed=9)
    parameters["tau"] = np.maximum(parameters["tau"], parameters["age"] / 30.0)
    lines = [engine.line_name.index(name) for name in ("Ba-beta 4861", "Ba-alpha 6563")]
    found = [
        of.equivalent_widths(lines, of.lines(**parameters | {"dust2": np.zeros(4)})[:, lines], **parameters)
        for of in (reference, engine)
    ]
    assert_allclose(*found, rtol=1e-3)
    of_stars = [parameters[name] for name in ("age", "tau", "log_zmet")]
    assert_allclose(reference.ionising_photons(*of_stars), engine.ionising_photons(*of_stars), rtol=1e-3)


@pytest.mark.parametrize("model", [FREE[0], Model(add_dust_emission=True)], ids=named)
def test_a_spectrum_without_lines_and_the_lines_make_one_with_them(engine, model):
    own = Engine(engine.table, model)
    parameters = random_parameters(20, engine.table.log_zmet_range, seed=6) | {"dust2": np.full(20, 1e-9)}
    with_lines, without = (own.spectra(**parameters, nebular=True, lines=lines) for lines in (True, False))
    drawn = np.zeros_like(without)
    for luminosity, spectrum in zip(own.lines(**parameters), drawn, strict=True):
        draw_lines(luminosity, own._nebular.profile_start, own._nebular.profile, 0, spectrum)
    assert_allclose(without + drawn, with_lines, rtol=2e-5)
    assert_allclose(*(own.spectra(**parameters, nebular=False, lines=lines) for lines in (True, False)), rtol=0)


def test_the_dust_that_emits_is_lit_by_lines_that_are_not_drawn(engine):
    own = Engine(engine.table, Model(add_dust_emission=True))
    parameters = random_parameters(20, engine.table.log_zmet_range, seed=7) | {"dust2": np.full(20, 1.0)}
    with_lines, without = (own.spectra(**parameters, nebular=True, lines=lines) for lines in (True, False))
    cold = own.wavelength > 1e7  # without lines
    assert_allclose(with_lines[:, cold], without[:, cold], rtol=1e-5)


@pytest.mark.parametrize("model", [FREE[0], Model(add_dust_emission=True)], ids=named)
def test_the_continuum_is_the_spectrum_without_lines(engine, model):
    own = Engine(engine.table, model)
    parameters = random_parameters(40, engine.table.log_zmet_range, seed=8)
    shines = np.arange(40) % 3 > 0
    for pixel in ([0, 3, 165, 166, 167, 700, len(own.wavelength) - 1], [900, 901]):
        every = own.spectra(**parameters, nebular=shines, lines=False)
        assert_allclose(own.continuum(np.array(pixel), **parameters, nebular=shines), every[:, pixel], rtol=1e-6)


@pytest.mark.parametrize("model", [FREE[0], Model(line_attenuation=1.33)], ids=named)
@pytest.mark.parametrize("escape", [None, 0.3])
def test_a_window_changes_no_bit_of_what_is_in_it(engine, model, escape):
    own, n = Engine(engine.table, model), 300
    parameters = random_parameters(n, engine.table.log_zmet_range, seed=9)
    shines, n_wave = np.arange(n) % 3 > 0, len(own.wavelength)
    window = np.sort(np.random.default_rng(9).integers(0, n_wave + 1, (n, 2)), axis=1)
    window[:4] = [0, 0], [0, n_wave], [n_wave - 1, n_wave], [n_wave, n_wave]
    window[4:100, 0] = own.table.n_ionising - np.arange(96) % 4  # across the Lyman limit, or from it on
    window = np.sort(window, axis=1)
    options = {"nebular": shines, "mass_formed": np.linspace(1.0, 9.0, n), "lya_escape": escape}
    whole, some = (own.spectra(**parameters, **options, window=chosen) for chosen in (None, window))
    pixel = np.arange(n_wave)
    inside = (pixel >= window[:, :1]) & (pixel < window[:, 1:])
    assert_array_equal(some, np.where(inside, whole, np.nan))


def test_dust_that_emits_sees_all_wavelengths(engine):
    own = Engine(engine.table, Model(add_dust_emission=True))
    parameters = random_parameters(10, engine.table.log_zmet_range, seed=9)
    window = np.full((10, 2), [900, 901])
    whole, some = (own.spectra(**parameters, nebular=True, window=chosen) for chosen in (None, window))
    assert_array_equal(some, whole)


def test_the_continuum_between_ages_is_expanded_only_where_it_is_smooth(engine):
    neb, n = engine._nebular, len(engine.wavelength)
    change = np.abs(np.diff(neb.continuum, axis=2)).max(axis=(0, 1))
    assert np.all(neb.smooth_from[1:] <= engine.table.n_ionising)
    for interval, start in enumerate(neb.smooth_from):
        assert np.all(change[interval, start:] < 0.5)
        assert start == 0 or change[interval, start - 1] >= 0.5
    assert_array_equal(neb.some(np.arange(100, n)).smooth_from, np.maximum(neb.smooth_from - 100, 0))


def test_the_continuum_between_ages_is_exact_where_it_is_not_smooth(engine):
    neb, n, begin = engine._nebular, len(engine.wavelength), 50
    exact = neb._replace(smooth_from=np.full_like(neb.smooth_from, n))
    for interval, start in enumerate(neb.smooth_from):
        photons = np.zeros(neb.first[-1])
        ages = slice(neb.first[interval], neb.first[interval + 1])
        photons[ages] = np.geomspace(1e45, 1e48, len(photons[ages]))
        found, expected = np.zeros((2, n - begin), np.float32)
        for tables, out in ((neb, found), (exact, expected)):
            add_continuum(photons, tables, 3, np.float32(0.3), 2, np.float32(0.6), begin, out)
        rough = max(start - begin, 0)
        assert_array_equal(found[:rough], expected[:rough])
        assert_allclose(found[rough:], expected[rough:], rtol=3e-3)
        assert not np.array_equal(found[rough:], expected[rough:])


@pytest.mark.fsps
@pytest.mark.parametrize("nebular", [True, False])
@pytest.mark.parametrize("model", [Model(), *FREE], ids=named)
def test_the_corners_are_as_fsps_computes_them(engine, nebular, model):
    found = differences_from_fsps(Engine(engine.table, model), CORNERS, nebular)
    assert max(found.spectrum.max(), found.lines.max()) < 1e-3
    assert max(found.mass.max(), found.sfr.max()) < 1e-5  # tau / age is 1e5: FSPS's weights, not ours


@pytest.mark.fsps
@pytest.mark.parametrize(
    "model",
    [
        Model(sfh="tau"),
        Model(sfh="constant"),
        Model(dust_type="cardelli", uvb=0.5),
        Model(dust_type="smc"),
        Model(dust_type="kriek_conroy", dust_index=-0.3),
        Model(dust_type="power_law", dust_index=-0.7),
        Model(add_dust_emission=True),
        Model(dust_type="smc", add_dust_emission=True, duste_qpah=1.3, duste_umin=10.0, duste_gamma=0.3),
    ],
    ids=named,
)
def test_every_model_is_as_fsps_computes_it(engine, model):
    parameters = of_few_metallicities(60, 3, engine.table, seed=7)
    for nebular in (True, False):
        found = differences_from_fsps(Engine(engine.table, model), parameters, nebular)
        assert max(found.spectrum.max(), found.lines.max()) < 1e-3
        assert np.median(found.spectrum) < 1e-5
        assert max(found.mass.max(), found.sfr.max()) < 1e-6
        assert found.magnitudes.max() < (2e-3 if nebular else 1e-4)


@pytest.mark.fsps
def test_the_reference_engine_agrees(engine, root):
    reference = from_config.of({"engine": "fsps", "imf_type": 1})
    assert isinstance(
        from_config.of({"engine": "table", "table": str(root / "resources/ssp_padova_kurucz_chabrier.h5")}), Engine
    )
    parameters = list(random_parameters(8, engine.table.log_zmet_range, seed=5).values())
    parameters[4] = parameters[4] / 4.0
    for nebular in (True, False):
        assert np.allclose(
            reference.spectra(*parameters, nebular=nebular)[:, 600:1800],
            engine.spectra(*parameters, nebular=nebular)[:, 600:1800],
            rtol=1e-3,
        )
        expected, found = (e.derived(*parameters, nebular=nebular) for e in (reference, engine))
        for name, tolerance in {"mass_fraction": 1e-4, "log_ssfr": 1e-4, "muv": 1e-3, "muv_intrinsic": 1e-3,
                                "beta": 2e-3, "uv": 3e-3, "vj": 3e-3}.items():  # fmt: skip
            assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=tolerance), name
    assert np.array_equal(reference.clip_log_zmet([-9.0, 9.0]), engine.clip_log_zmet([-9.0, 9.0]))
    assert reference.about["engine"] == "fsps"


@pytest.mark.slow
@pytest.mark.parametrize("model", [Model(), *FREE, Model(dust_type="kriek_conroy", add_dust_emission=True)], ids=named)
def test_a_galaxy_does_not_depend_on_its_company(engine, model):
    engine = Engine(engine.table, model)
    parameters = list(random_parameters(101, engine.table.log_zmet_range, seed=3).values())
    parameters[2][:40] = 0.1  # more than a block between the same metallicities
    lines = engine.lines(*parameters)
    threads = numba.get_num_threads()
    try:
        for nebular in (True, False):
            whole = engine.spectra(*parameters, nebular=nebular)
            derived = engine.derived(*parameters, nebular=nebular)
            for n_threads in {1, 2, threads} & set(range(1, threads + 1)):
                numba.set_num_threads(n_threads)
                for rows in (slice(0, 1), slice(7, 50), slice(100, 101), slice(None, None, -1)):
                    part = [values[rows] for values in parameters]
                    assert engine.spectra(*part, nebular=nebular).tobytes() == whole[rows].tobytes()
                    assert engine.lines(*part).tobytes() == lines[rows].tobytes()
                    for found, expected in zip(engine.derived(*part, nebular=nebular), derived, strict=True):
                        assert found.tobytes() == expected[rows].tobytes()
    finally:
        numba.set_num_threads(threads)


def test_the_gas_takes_the_ionising_photons(engine):
    spectra = {n: engine.spectra(0.005, 1.0, 0.0, -2.0, 0.0, nebular=n)[0] for n in (True, False)}
    ionising = slice(engine.table.n_ionising - 50, engine.table.n_ionising)
    assert np.all(spectra[True][ionising] < 0.1 * spectra[False][ionising])
    assert spectra[True].max() > spectra[False].max()  # lines


@pytest.mark.slow
@pytest.mark.parametrize("model", FREE, ids=named)
@pytest.mark.parametrize("dust_index", [*LIMITS["dust_index"], -1.6, -0.7])
@pytest.mark.parametrize("add_dust_emission", [False, True])
def test_one_slope_for_all_is_as_the_same_for_each(engine, model, dust_index, add_dust_emission):
    model = replace(model, add_dust_emission=add_dust_emission)
    free, fixed = (Engine(engine.table, of) for of in (model, replace(model, dust_index=dust_index)))
    parameters = random_parameters(30, engine.table.log_zmet_range, seed=6) | {"dust_index": np.full(30, dust_index)}
    # of optical depths up to 40 at 1500 A: beyond, single precision has no numbers for what is left
    parameters["dust2"] *= min(1.0, 10.0 / np.interp(1500.0, engine.wavelength, fixed._dust.base))
    depth = parameters["dust2"][:, None] * fixed._dust.base

    def check(spectra, depth):
        """In single precision the absorption of large optical depths is known to fewer digits."""
        found, expected = spectra
        thin = (depth < 50.0) & (expected > 1e-30)
        assert thin.mean() > 0.5
        assert np.all(np.abs(found[thin] / expected[thin] - 1.0) < 1e-6 * np.maximum(1.0, depth[thin]))

    check([of.spectra(*parameters.values(), nebular=True) for of in (free, fixed)], depth)
    at_lines = np.array([np.interp(engine.table.line_wavelength, engine.wavelength, row) for row in depth])
    check([of.lines(*parameters.values()) for of in (free, fixed)], at_lines)
    found, expected = (of.derived(*parameters.values(), nebular=False) for of in (free, fixed))
    for name in found._fields:
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=5e-5), name


def test_a_free_slope_must_be_given_and_mean_something(sloped):
    one = (1.0, 1.0, 0.0, -2.0, 0.5)
    for work in (partial(sloped.spectra, nebular=True), partial(sloped.derived, nebular=True), sloped.lines):
        with pytest.raises(ValueError, match="each galaxy needs its dust_index"):
            work(*one)
        for wrong in (np.nan, -3.01, 0.41):
            message = f"dust_index: 1 of 2 values are not allowed, the first {wrong:g} at index 1; expected slopes from"
            with pytest.raises(UserError, match=message):
                work(*one, [0.0, wrong])
    for model in (Model(), replace(sloped.model, dust_index=-0.3)):
        ignores = Engine(sloped.table, model)
        expected = ignores.spectra(*one, nebular=True)
        assert np.array_equal(ignores.spectra(*one, np.nan, nebular=True), expected)


@given(
    st.floats(AGE_MARGIN, 13.8), st.floats(0.1, 100.0), st.floats(-3.0, 1.0), st.floats(-5.0, 0.0), st.floats(0.0, 3.0)
)
def test_spectra_are_positive_and_dust_only_absorbs(engine, age, tau, log_zmet, log_us, dust2):
    thin, thick = engine.spectra(age, tau, log_zmet, log_us, np.array([dust2, dust2 + 0.5]), nebular=True)
    optical = (engine.wavelength > 912.0) & (engine.wavelength < 1e5)
    assert np.all(np.isfinite(thin))
    assert np.all(thin[optical] > 0.0)
    assert np.all(thick <= thin)


@given(
    st.floats(AGE_MARGIN, 13.8), st.floats(0.1, 100.0), st.floats(0.0, 8.0), st.floats(1e-3, 1.0),
    st.floats(*LIMITS["dust_index"]), st.booleans(),
)  # fmt: skip
def test_dust_of_any_slope_only_absorbs(sloped, age, tau, dust2, more, dust_index, nebular):
    depths = np.array([0.0, dust2, dust2 + more])
    clear, thin, thick = sloped.spectra(age, tau, 0.0, -2.5, depths, dust_index, nebular=nebular)
    assert np.all(thick <= thin)
    assert np.all(thin <= clear)
    depth = more * sloped._dust.at(dust_index)
    assert np.all((thick < thin) | (depth < 1e-6) | (thin < 1e-37))


@pytest.mark.slow
@given(st.floats(0.01, 13.0), st.floats(0.1, 100.0), st.floats(-1.9, 0.19), st.floats(1e-3, 1e3))
def test_the_emission_of_dust_conserves_energy(engine, age, tau, log_zmet, depth):
    warm = Engine(engine.table, Model(add_dust_emission=True))
    nu = table.LIGHT / engine.wavelength

    def luminosity(of, dust2):
        return -np.trapezoid(of.spectra(age, tau, log_zmet, -2.0, dust2, nebular=True)[0].astype(float), nu)

    depth = min(depth, 4.0)
    bright, dark = luminosity(engine, 0.0), luminosity(engine, depth)
    # FSPS stops when less than 0.01 Lsun / Msun of the emission is absorbed again
    assert luminosity(warm, depth) == pytest.approx(bright, rel=2e-4, abs=0.02)
    assert luminosity(warm, depth) > dark
    assert luminosity(warm, 0.0) == bright


@pytest.mark.slow
def test_derived_quantities_with_dust_emission_are_those_of_the_spectra(engine):
    warm = Engine(engine.table, Model(add_dust_emission=True))
    parameters = random_parameters(20, engine.table.log_zmet_range, seed=4)
    found, cold = (e.derived(*parameters.values(), nebular=True) for e in (warm, engine))
    flux = warm.spectra(*parameters.values(), nebular=True) @ derived.band_weights(engine.wavelength).T
    v, j = photometry.absolute_magnitude(flux[:, 4:].T)
    assert found.vj == pytest.approx(v - j, abs=1e-6)
    assert np.all(found.vj > cold.vj - 2e-3)
    assert found.muv_intrinsic == pytest.approx(cold.muv_intrinsic, abs=1e-6)


def test_lines_are_those_in_the_spectrum(engine):
    args, window = (0.01, 1.0, 0.0, -2.0, 0.7), (6200.0, 7000.0)
    centre = engine.table.line_wavelength
    lines = engine.lines(*args)[0][(centre > window[0]) & (centre < window[1])]  # H alpha, [N II], [S II], ...
    wavelength, spectrum = engine.wavelength, engine.spectra(*args, nebular=True)[0].astype(float)
    inside = (wavelength > window[0]) & (wavelength < window[1])
    ends = np.array([6200.0, 7000.0])
    continuum = np.interp(wavelength[inside], ends, np.interp(ends, wavelength, spectrum))
    found = -np.trapezoid(spectrum[inside] - continuum, table.LIGHT / wavelength[inside])
    assert found == pytest.approx(lines.sum(), rel=0.02)


def test_dust_dims_lines_as_it_dims_the_spectrum_there(engine):
    clear, dusty = (engine.lines(0.01, 1.0, 0.0, -2.0, dust2)[0] for dust2 in (0.0, 1.5))
    expected = np.interp(engine.table.line_wavelength, engine.wavelength, np.exp(-1.5 * engine._dust.base))
    assert np.sum(clear > 1e-20) > 100
    assert dusty == pytest.approx(expected * clear, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "age",
            0.0,
            "age: 1 of 3 values are not allowed, the first 0 at index 1; expected ages above 0",
        ),
        ("age", 15.0, "the oldest SSP, 14.13 Gyr"),
        ("age", np.nan, "the first nan at index 1"),
        ("tau", 0.0999, "expected 0.1 to 100 Gyr"),
        ("tau", 100.1, "expected 0.1 to 100 Gyr"),
        ("tau", np.nan, "tau"),
        ("log_zmet", np.nan, "log_zmet"),
        ("log_us", np.nan, "log_us"),
        ("dust2", -1e-9, "optical depths of at least 0"),
        ("dust2", np.inf, "dust2"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(engine, name, value, message):
    parameters = {"age": 1.0, "tau": 1.0, "log_zmet": 0.0, "log_us": -2.0, "dust2": 0.0}
    parameters[name] = np.array([parameters[name], value, parameters[name]])
    for work in (engine.spectra, engine.derived):
        with pytest.raises(UserError, match=message):
            work(*parameters.values(), nebular=True)
    with pytest.raises(UserError, match=message):
        engine.lines(*parameters.values())


def test_what_is_not_used_need_not_be_a_number(engine):
    assert np.all(np.isfinite(engine.spectra(1.0, 1.0, 0.0, np.nan, 0.0, nebular=False)))
    constant = Engine(engine.table, Model(sfh="constant"))
    assert constant.derived(1.0, np.nan, 0.0, -2.0, 0.0, nebular=True).log_ssfr == pytest.approx(-8.9, abs=0.2)


@pytest.mark.slow
@given(st.floats(1.0, 12.0))
def test_spectra_are_linear_in_the_mass(engine, log_mass):
    parameters = [values[:5] for values in random_parameters(5, engine.table.log_zmet_range).values()]
    one = engine.spectra(*parameters, nebular=True)
    many = engine.spectra(*parameters, nebular=True, mass_formed=10.0**log_mass)
    optical = (engine.wavelength > 1e3) & (engine.wavelength < 1e5)
    assert many[:, optical] == pytest.approx(one[:, optical] * 10.0**log_mass, rel=1e-6)


def test_galaxies_with_and_without_gas_come_together(engine):
    parameters = list(random_parameters(90, engine.table.log_zmet_range).values())
    shines = np.arange(90) % 3 == 0
    parameters[3] = np.where(shines, parameters[3], np.nan)
    mixed = engine.spectra(*parameters, nebular=shines)
    for lit in (True, False):
        rows = shines == lit
        alone = engine.spectra(*(values[rows] for values in parameters), nebular=lit)
        assert mixed[rows].tobytes() == alone.tobytes()


def test_metallicity_and_ionisation_are_moved_into_the_table(engine):
    low, high = engine.table.log_zmet_range
    assert np.array_equal(engine.clip_log_zmet([-9.0, 0.0, 9.0]), [low, 0.0, high])
    assert np.array_equal(engine.clip_log_us([-9.0, -2.0, 9.0]), [-4.0, -2.0, -1.0])
    outside = engine.spectra(1.0, 1.0, [-9.0, 9.0], [-9.0, 9.0], 0.0, nebular=True)
    assert np.array_equal(outside, engine.spectra(1.0, 1.0, [low, high], [-4.0, -1.0], 0.0, nebular=True))


@given(st.lists(st.integers(0, 5), max_size=200), st.integers(1, 50))
def test_blocks_hold_every_galaxy_once_and_one_cell_each(cells, size):
    order, starts = blocks(np.array(cells, np.int64), size)
    assert sorted(order) == list(range(len(cells)))
    assert starts[-1] == len(cells)
    for first, last in itertools.pairwise(starts):
        assert 0 < last - first <= size
        assert len({cells[g] for g in order[first:last]}) == 1


@pytest.mark.slow
@given(st.floats(AGE_MARGIN, 13.8), st.floats(0.1, 100.0), st.floats(0.0, 3.0))
def test_spectra_are_linear_in_the_star_formation_history(engine, age, tau, dust2):
    """Two galaxies together: what SSPs weighted by the sum of both histories give."""
    histories = [weights.history("delayed_tau", engine.table.log_age) for _ in range(2)]
    taus, total = (tau, 1.0), np.zeros(len(engine.table.log_age))
    for kind, each in zip(histories, taus, strict=True):
        formed = np.empty(len(total))
        weights.ssp_weights(kind, age, each, formed)
        total += formed
    sun = int(np.argmin(np.abs(engine.table.log_zmet)))
    expected = total @ engine.table.stellar[sun].astype(float) * np.exp(-dust2 * engine._dust.base)
    zmet = engine.table.log_zmet[sun]
    found = engine.spectra(age, np.array(taus), zmet, -2.0, dust2, nebular=False).astype(float).sum(axis=0)
    optical = (engine.wavelength > 912.0) & (engine.wavelength < 3e5)
    assert found[optical] == pytest.approx(expected[optical], rel=2e-5)


@pytest.mark.slow
def test_tables_do_not_depend_on_the_threads_of_blas(engine):
    with threadpool_limits(1):
        one = Engine(engine.table).prepared()
    with threadpool_limits(2):
        two = Engine(engine.table).prepared()
    for tables, others in zip(one._bands, two._bands, strict=True):
        for first, second in zip(tables, others, strict=True):
            assert np.array_equal(first, second)


def test_no_galaxies_give_no_spectra(engine):
    empty = [np.empty(0)] * 5
    assert engine.lines(*empty).shape == (0, 166)
    assert engine.spectra(*empty, nebular=True).shape == (0, 1936)
    assert all(len(values) == 0 for values in engine.derived(*empty, nebular=False))


def test_the_sfr_alone_is_that_of_the_derived_quantities(sloped):
    rng = np.random.default_rng(12)
    age, tau, log_zmet = 10.0 ** rng.uniform(-2, 1.1, 200), 10.0 ** rng.uniform(-1, 2, 200), rng.uniform(-2.5, 0.4, 200)
    derived = sloped.derived(age, tau, log_zmet, -2.0, 0.3, -0.3, nebular=False)
    assert_allclose(sloped.log_ssfr(age, tau, log_zmet), derived.log_ssfr, rtol=0, atol=1e-12)


def test_attenuation_is_what_dims_a_spectrum(sloped):
    """At a wavelength of the table, exp(-dust2 k)."""
    slopes, some = np.array([-0.9, -0.3, 0.0]), np.searchsorted(sloped.wavelength, (1500.0, 6000.0))
    parameters = np.ones(3), np.ones(3), np.zeros(3), np.full(3, -2.0)
    bare, dimmed = (
        sloped.spectra(*parameters, np.full(3, depth), slopes, nebular=False)[:, some] for depth in (0.0, 0.7)
    )
    found = sloped.attenuation(sloped.wavelength[some], slopes)
    assert_allclose(found, -np.log(dimmed / bare) / 0.7, rtol=1e-5)
    assert found[0, 0] > found[1, 0] > 1.0 > found[0, 1]


APART = Model(dust_type="kriek_conroy", line_attenuation=2.27)


def moderate(engine, n, seed):
    """Return parameters of galaxies that shine, behind at most an optical depth of 1."""
    parameters = random_parameters(n, engine.table.log_zmet_range, seed)
    parameters["tau"] = np.maximum(parameters["tau"], parameters["age"] / 10.0)
    return parameters | {"dust2": parameters["dust2"] / 4.0, "dust_index": np.maximum(parameters["dust_index"], -1.0)}


@pytest.mark.fsps
def test_lines_behind_dust_of_their_own_are_those_of_fsps_behind_it(engine):
    own, n = Engine(engine.table, APART), 6
    parameters = moderate(engine, n, seed=31)
    rows = np.stack(list(parameters.values()), axis=1)
    behind = rows * [1.0, 1.0, 1.0, 1.0, APART.line_attenuation, 1.0]
    model = replace(APART, line_attenuation=1.0)
    luminosity = [fsps.composite(*row, nebular=True, model=model).lines for row in behind]
    bright = np.array(luminosity) > 1e-15
    assert_allclose(own.lines(**parameters)[bright], np.array(luminosity)[bright], rtol=1e-4)
    drawn, bare = ([fsps.composite(*row, nebular=True, lines=lines, model=model).spectrum for row in of]
                   for of, lines in ((behind, True), (rows, False)))  # fmt: skip
    below = [fsps.composite(*row, nebular=True, lines=False, model=model).spectrum for row in behind]
    expected = np.array(bare) + np.array(drawn) - np.array(below)
    used = (own.wavelength >= 912.0) & (own.wavelength <= 3e5)
    assert_allclose(own.spectra(**parameters, nebular=True)[:, used], expected[:, used], rtol=1e-4, atol=1e-20)


@pytest.mark.fsps
def test_the_reference_has_lines_behind_dust_of_their_own_and_lyman_alpha_that_leaves(engine):
    own, reference = Engine(engine.table, APART), fsps.ReferenceEngine(model=APART)
    parameters, lya_escape = moderate(engine, 4, seed=32), np.array([0.0, 0.3, 1.0, np.pi / 5])
    escaping = parameters | {"lya_escape": lya_escape}
    made = reference.lines(**parameters | {"dust2": np.zeros(4)})
    names = ("Ly-alpha 1215", "Ba-alpha 6563")
    lines = [engine.line_name.index(name) for name in names]
    assert reference.lines(**escaping)[:, lines[0]] == pytest.approx(lya_escape * made[:, lines[0]], rel=1e-12)
    used = (own.wavelength >= 912.0) & (own.wavelength <= 3e5)
    for found, expected in (
        (of.spectra(**escaping, nebular=True)[:, used] for of in (own, reference)),
        (of.lines(**escaping)[:, lines] for of in (own, reference)),
        (of.equivalent_widths(lines, made[:, lines], **escaping) for of in (own, reference)),
    ):
        assert_allclose(found, expected, rtol=1e-4, atol=1e-20)
    found, expected = (of.derived(**parameters, nebular=True) for of in (own, reference))
    for name in ("muv", "muv_intrinsic", "uv", "vj", "beta"):
        assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-3)


def test_fsps_cannot_have_dust_that_emits_what_it_absorbs_of_such_lines():
    with pytest.raises(UserError, match=r"line_attenuation 2\.27; expected 1"):
        fsps.ReferenceEngine(model=replace(APART, add_dust_emission=True))


@pytest.mark.parametrize("add_dust_emission", [False, True])
def test_lyman_alpha_that_leaves_is_a_fraction_of_what_the_gas_makes(engine, add_dust_emission):
    own = Engine(engine.table, Model(add_dust_emission=add_dust_emission))
    lya, n = engine.line_name.index("Ly-alpha 1215"), 5
    parameters = moderate(engine, n, seed=33) | {"dust_index": None}
    made, shines = own.lines(**parameters | {"dust2": np.zeros(n)})[:, lya], np.arange(n) != 2
    parameters |= {"nebular": shines, "mass_formed": np.array([1.0, 2.0, 3.0, 4.0, 5.0])}
    none, all_ = (own.spectra(**parameters, lya_escape=np.full(n, value)).astype(float) for value in (0.0, 1.0))
    near = (own.wavelength > 1150.0) & (own.wavelength < 1290.0)
    difference = -np.trapezoid((all_ - none)[:, near], table.LIGHT / own.wavelength[near])
    assert difference == pytest.approx(made * shines * parameters["mass_formed"], rel=2e-3)
    others = ~near & (own.wavelength < 7000.0)  # redward, the dust emits what it keeps of the line
    assert_allclose(all_[:, others], none[:, others], rtol=1e-6)
    # as dust decides where no fraction is given
    assert_array_equal(own.spectra(**parameters, lya_escape=np.full(n, np.nan)), own.spectra(**parameters))


@pytest.mark.parametrize("line_attenuation", [0.5, 2.27])
@pytest.mark.parametrize("lya_escape", [None, 0.1])
@pytest.mark.parametrize("lines", [True, False])
def test_dust_emits_what_it_absorbs_of_lines(engine, line_attenuation, lya_escape, lines):
    """The far infrared has the energy that is missing in the light of stars, gas and lines, drawn or not."""
    cold, warm = (
        Engine(engine.table, Model(line_attenuation=line_attenuation, add_dust_emission=emits))
        for emits in (False, True)
    )
    parameters = moderate(engine, 6, seed=34) | {"nebular": True, "dust_index": None}
    parameters["dust2"] += 0.1
    escaping = parameters | {"lya_escape": lya_escape}

    def luminosity(spectra):
        return -np.trapezoid(spectra.astype(float), table.LIGHT / engine.wavelength)

    made = luminosity(cold.spectra(**parameters | {"dust2": np.zeros(6)}))
    seen = luminosity(cold.spectra(**escaping))
    emitted = luminosity(warm.spectra(**escaping, lines=lines)) - luminosity(cold.spectra(**escaping, lines=lines))
    assert emitted == pytest.approx(made - seen, rel=1e-3, abs=0.02)


@pytest.mark.parametrize("line_attenuation", [pytest.param(0.5, marks=pytest.mark.slow), 2.27])
def test_quantities_without_spectra_know_of_the_dust_of_lines(engine, line_attenuation):
    own = Engine(engine.table, replace(APART, line_attenuation=line_attenuation))
    parameters = moderate(engine, 200, seed=35)
    found = own.derived(**parameters, nebular=True)
    flux = own.spectra(**parameters, nebular=True) @ derived.band_weights(engine.wavelength).T
    u, v, j = photometry.absolute_magnitude(flux[:, 3:].T)
    assert found.uv == pytest.approx(u - v, abs=2e-3)
    assert found.vj == pytest.approx(v - j, abs=2e-3)
    together = Engine(engine.table, replace(APART, line_attenuation=1.0)).derived(**parameters, nebular=True)
    assert np.abs(found.uv - together.uv).max() > 0.05  # they matter
    assert found.muv == pytest.approx(together.muv, abs=1e-3)  # there are hardly any at 1500 A
