import itertools

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocksed import photometry
from mocksed.cosmology import AGE_MARGIN
from mocksed.errors import UserError
from mocksed.sps import derived, engines, fsps, table, weights
from mocksed.sps.engine import Engine, blocks
from mocksed.sps.model import Model
from mocksed.sps.weights import psi_n

NAMES = ("age", "tau", "log_zmet", "log_us", "dust2")


@pytest.fixture(scope="module")
def shipped(root):
    return Engine(table.read(root / "resources/ssp_padova_kurucz_chabrier.h5"))


def random_parameters(n, log_zmet_range, seed=1):
    rng = np.random.default_rng(seed)
    return {
        "age": 10 ** rng.uniform(-3, np.log10(13.0), n),
        "tau": 10 ** rng.uniform(-1, 2, n),
        "log_zmet": rng.uniform(*log_zmet_range, n),
        "log_us": rng.uniform(-4, -1, n),
        "dust2": rng.uniform(0, 4, n),
    }


CORNERS = np.array(
    [
        [AGE_MARGIN, 100.0, 0.0, -1.0, 0.0],
        [AGE_MARGIN, 0.1, -1.9, -4.0, 4.0],
        [13.0, 0.1, 0.19, -2.0, 0.0],
        [13.0, 100.0, -1.97, -1.0, 4.0],
        [0.02, 0.1, 0.198, -2.5, 1.0],
        [1.0, 1.0, -5.0, -9.0, 0.5],  # clamped
        [1.0, 1.0, 3.0, 1.0, 0.5],  # clamped
    ]
)


def differences_from_fsps(shipped, parameters, nebular):
    """Return relative differences at 912 A to 30 um, and of the surviving mass, of each parameter set."""
    wavelength = shipped.wavelength
    used = (wavelength > 912.0) & (wavelength < 3e5)
    found = shipped.spectra(*parameters.T, nebular=nebular)
    derived = shipped.derived(*parameters.T, nebular=nebular)
    spectrum, mass = [], []
    for row, flux, fraction in zip(parameters, found, derived.mass_fraction, strict=True):
        log_us = np.clip(row[3], -4.0, -1.0)
        expected, expected_mass, *_ = fsps.composite(*row[:3], log_us, row[4], nebular)
        spectrum.append(np.abs(flux / expected - 1.0)[used])
        mass.append(fraction / expected_mass - 1.0)
    return np.array(spectrum), np.abs(mass)


@pytest.mark.fsps
@pytest.mark.slow
@pytest.mark.parametrize("nebular", [True, False])
def test_spectra_are_those_of_fsps(shipped, nebular):
    parameters = np.stack(list(random_parameters(200, shipped.table.log_zmet_range).values()), axis=1)
    spectrum, mass = differences_from_fsps(shipped, parameters, nebular)
    # FSPS's own weights lose precision where tau >> age: there 1e-3, elsewhere far less
    assert spectrum.max() < 1e-3
    assert np.median(spectrum) < 1e-5
    well_conditioned = parameters[:, 1] / parameters[:, 0] < 1e3
    assert spectrum[well_conditioned].max() < 1e-4
    assert mass.max() < 1e-5


@pytest.mark.fsps
def test_spectra_are_those_of_fsps_at_the_corners(shipped):
    for nebular in (True, False):
        spectrum, mass = differences_from_fsps(shipped, CORNERS, nebular)
        assert spectrum.max() < 1e-3
        assert mass.max() < 1e-5


@pytest.mark.fsps
def test_the_sfr_is_that_of_fsps(shipped):
    sps = fsps.population()
    for age, tau in [(0.01, 0.1), (0.5, 100.0), (1.0, 1.0), (5.0, 10.0), (13.0, 3.0)]:
        fsps.composite(age, tau, 0.0, -2.0, 0.0, False)
        assert psi_n(age, tau) * 1e-9 == pytest.approx(sps.sfr / sps.formed_mass, rel=1e-6)


@pytest.mark.fsps
def test_the_reference_engine_agrees(shipped, root):
    reference = engines.of({"engine": "fsps", "imf_type": 1})
    assert isinstance(engines.of({"engine": "table", "table": str(shipped_path(root))}), Engine)
    parameters = list(random_parameters(8, shipped.table.log_zmet_range, seed=5).values())
    parameters[4] = parameters[4] / 4.0
    for nebular in (True, False):
        assert np.allclose(
            reference.spectra(*parameters, nebular=nebular)[:, 600:1800],
            shipped.spectra(*parameters, nebular=nebular)[:, 600:1800],
            rtol=1e-3,
        )
        expected, found = (e.derived(*parameters, nebular=nebular) for e in (reference, shipped))
        for name, tolerance in {"mass_fraction": 1e-4, "log_ssfr": 1e-4, "muv": 1e-3, "muv_intrinsic": 1e-3,
                                "beta": 2e-3, "uv": 3e-3, "vj": 3e-3}.items():  # fmt: skip
            assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=tolerance), name
    assert np.array_equal(reference.clip_log_zmet([-9.0, 9.0]), shipped.clip_log_zmet([-9.0, 9.0]))
    assert reference.about["engine"] == "fsps"


def shipped_path(root):
    return root / "resources/ssp_padova_kurucz_chabrier.h5"


def test_a_galaxy_does_not_depend_on_its_company(shipped):
    parameters = list(random_parameters(101, shipped.table.log_zmet_range, seed=3).values())
    parameters[2][:40] = 0.1  # more than a block between the same metallicities
    lines = shipped.lines(*parameters)
    threads = numba.get_num_threads()
    try:
        for nebular in (True, False):
            whole = shipped.spectra(*parameters, nebular=nebular)
            derived = shipped.derived(*parameters, nebular=nebular)
            for n_threads in (1, threads):
                numba.set_num_threads(n_threads)
                for rows in (slice(0, 1), slice(7, 50), slice(100, 101), slice(None, None, -1)):
                    part = [values[rows] for values in parameters]
                    assert shipped.spectra(*part, nebular=nebular).tobytes() == whole[rows].tobytes()
                    assert shipped.lines(*part).tobytes() == lines[rows].tobytes()
                    for found, expected in zip(shipped.derived(*part, nebular=nebular), derived, strict=True):
                        assert found.tobytes() == expected[rows].tobytes()
    finally:
        numba.set_num_threads(threads)


def test_the_gas_takes_the_ionising_photons(shipped):
    spectra = {n: shipped.spectra(0.005, 1.0, 0.0, -2.0, 0.0, nebular=n)[0] for n in (True, False)}
    ionising = slice(shipped.table.n_ionising - 50, shipped.table.n_ionising)
    assert np.all(spectra[True][ionising] < 0.1 * spectra[False][ionising])
    assert spectra[True].max() > spectra[False].max()  # lines


@given(
    st.floats(AGE_MARGIN, 13.8), st.floats(0.1, 100.0), st.floats(-3.0, 1.0), st.floats(-5.0, 0.0), st.floats(0.0, 3.0)
)
def test_spectra_are_positive_and_dust_only_absorbs(shipped, age, tau, log_zmet, log_us, dust2):
    thin, thick = shipped.spectra(age, tau, log_zmet, log_us, np.array([dust2, dust2 + 0.5]), nebular=True)
    optical = (shipped.wavelength > 912.0) & (shipped.wavelength < 1e5)
    assert np.all(np.isfinite(thin))
    assert np.all(thin[optical] > 0.0)
    assert np.all(thick <= thin)


@given(st.floats(0.01, 13.0), st.floats(0.1, 100.0), st.floats(-1.9, 0.19), st.floats(1e-3, 1e3))
def test_the_emission_of_dust_conserves_energy(shipped, age, tau, log_zmet, depth):
    warm = Engine(shipped.table, Model(add_dust_emission=True))
    nu = table.LIGHT / shipped.wavelength

    def luminosity(engine, dust2):
        return -np.trapezoid(engine.spectra(age, tau, log_zmet, -2.0, dust2, nebular=True)[0].astype(float), nu)

    depth = min(depth, 4.0)
    bright, dark = luminosity(shipped, 0.0), luminosity(shipped, depth)
    # FSPS stops when less than 0.01 Lsun / Msun of the emission is absorbed again
    assert luminosity(warm, depth) == pytest.approx(bright, rel=2e-4, abs=0.02)
    assert luminosity(warm, depth) > dark
    assert luminosity(warm, 0.0) == bright


def test_derived_quantities_with_dust_emission_are_those_of_the_spectra(shipped):
    warm = Engine(shipped.table, Model(add_dust_emission=True))
    parameters = random_parameters(20, shipped.table.log_zmet_range, seed=4)
    found, cold = (engine.derived(*parameters.values(), nebular=True) for engine in (warm, shipped))
    flux = warm.spectra(*parameters.values(), nebular=True) @ derived.band_weights(shipped.wavelength).T
    v, j = photometry.absolute_magnitude(flux[:, 4:].T)
    assert found.vj == pytest.approx(v - j, abs=1e-6)
    assert np.all(found.vj > cold.vj - 2e-3)
    assert found.muv_intrinsic == pytest.approx(cold.muv_intrinsic, abs=1e-6)


def test_lines_are_those_in_the_spectrum(shipped):
    args, window = (0.01, 1.0, 0.0, -2.0, 0.7), (6200.0, 7000.0)
    centre = shipped.table.line_wavelength
    lines = shipped.lines(*args)[0][(centre > window[0]) & (centre < window[1])]  # H alpha, [N II], [S II], ...
    wavelength, spectrum = shipped.wavelength, shipped.spectra(*args, nebular=True)[0].astype(float)
    inside = (wavelength > window[0]) & (wavelength < window[1])
    ends = np.array([6200.0, 7000.0])
    continuum = np.interp(wavelength[inside], ends, np.interp(ends, wavelength, spectrum))
    found = -np.trapezoid(spectrum[inside] - continuum, table.LIGHT / wavelength[inside])
    assert found == pytest.approx(lines.sum(), rel=0.02)


def test_dust_dims_lines_as_it_dims_the_spectrum_there(shipped):
    clear, dusty = (shipped.lines(0.01, 1.0, 0.0, -2.0, dust2)[0] for dust2 in (0.0, 1.5))
    expected = np.interp(shipped.table.line_wavelength, shipped.wavelength, np.exp(-1.5 * shipped._dust))
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
def test_numbers_that_mean_nothing_are_refused(shipped, name, value, message):
    parameters = {"age": 1.0, "tau": 1.0, "log_zmet": 0.0, "log_us": -2.0, "dust2": 0.0}
    parameters[name] = np.array([parameters[name], value, parameters[name]])
    for work in (shipped.spectra, shipped.derived):
        with pytest.raises(UserError, match=message):
            work(*parameters.values(), nebular=True)
    with pytest.raises(UserError, match=message):
        shipped.lines(*parameters.values())


def test_what_is_not_used_need_not_be_a_number(shipped):
    assert np.all(np.isfinite(shipped.spectra(1.0, 1.0, 0.0, np.nan, 0.0, nebular=False)))
    constant = Engine(shipped.table, Model(sfh="constant"))
    assert constant.derived(1.0, np.nan, 0.0, -2.0, 0.0, nebular=True).log_ssfr == pytest.approx(-8.9, abs=0.2)


def test_metallicity_and_ionisation_are_moved_into_the_table(shipped):
    low, high = shipped.table.log_zmet_range
    assert np.array_equal(shipped.clip_log_zmet([-9.0, 0.0, 9.0]), [low, 0.0, high])
    assert np.array_equal(shipped.clip_log_us([-9.0, -2.0, 9.0]), [-4.0, -2.0, -1.0])
    outside = shipped.spectra(1.0, 1.0, [-9.0, 9.0], [-9.0, 9.0], 0.0, nebular=True)
    assert np.array_equal(outside, shipped.spectra(1.0, 1.0, [low, high], [-4.0, -1.0], 0.0, nebular=True))


@given(st.lists(st.integers(0, 5), max_size=200), st.integers(1, 50))
def test_blocks_hold_every_galaxy_once_and_one_cell_each(cells, size):
    order, starts = blocks(np.array(cells, np.int64), size)
    assert sorted(order) == list(range(len(cells)))
    assert starts[-1] == len(cells)
    for first, last in itertools.pairwise(starts):
        assert 0 < last - first <= size
        assert len({cells[g] for g in order[first:last]}) == 1


@given(st.floats(AGE_MARGIN, 13.8), st.floats(0.1, 100.0), st.floats(0.0, 3.0))
def test_spectra_are_linear_in_the_star_formation_history(shipped, age, tau, dust2):
    """Two galaxies together: what SSPs weighted by the sum of both histories give."""
    histories = [weights.history("delayed_tau", shipped.table.log_age) for _ in range(2)]
    taus, total = (tau, 1.0), np.zeros(len(shipped.table.log_age))
    for kind, each in zip(histories, taus, strict=True):
        formed = np.empty(len(total))
        weights.ssp_weights(kind, age, each, formed)
        total += formed
    sun = int(np.argmin(np.abs(shipped.table.log_zmet)))
    expected = total @ shipped.table.stellar[sun].astype(float) * np.exp(-dust2 * shipped._dust)
    zmet = shipped.table.log_zmet[sun]
    found = shipped.spectra(age, np.array(taus), zmet, -2.0, dust2, nebular=False).astype(float).sum(axis=0)
    optical = (shipped.wavelength > 912.0) & (shipped.wavelength < 3e5)
    assert found[optical] == pytest.approx(expected[optical], rel=2e-5)


def test_no_galaxies_give_no_spectra(shipped):
    empty = [np.empty(0)] * 5
    assert shipped.lines(*empty).shape == (0, 166)
    assert shipped.spectra(*empty, nebular=True).shape == (0, 1936)
    assert all(len(values) == 0 for values in shipped.derived(*empty, nebular=False))
