import numpy as np
import pytest
import speclite.filters
from astropy import units as u
from astropy.table import QTable, Table
from numpy.testing import assert_allclose, assert_array_equal
from sedpy.observate import Filter as SedpyFilter
from sedpy.observate import list_available_filters

from mocksed.errors import UserError
from mocksed.sps import filters
from mocksed.sps.filters import Filter, load, read, select

WAVELENGTH = np.array([4000.0, 4500.0, 5000.0, 5500.0])
TRANSMISSION = np.array([0.0, 0.4, 0.5, 0.0])


def curve(wavelength=WAVELENGTH, transmission=TRANSMISSION):
    return Filter("mine", np.asarray(wavelength, float), np.asarray(transmission, float))


@pytest.fixture
def text(tmp_path):
    def write(content, name="curve.dat"):
        (tmp_path / name).write_text(content)
        return tmp_path / name

    return write


# Those of the packages


@pytest.mark.slow
def test_every_filter_of_sedpy_is_as_sedpy_has_it():
    names = list_available_filters()
    assert set(names) < set(filters.available())
    for name in names:
        expected = SedpyFilter(name)
        assert_array_equal(load(name).wavelength, expected.wavelength, err_msg=name)
        assert_array_equal(load(name).transmission, expected.transmission, err_msg=name)


@pytest.mark.slow
def test_every_filter_of_speclite_is_as_speclite_has_it():
    names = filters.available().keys() - set(list_available_filters())
    assert {"Euclid-VIS", "Euclid-Y", "Euclid-J", "Euclid-H", "lsst2023-u", "wise2010-W1"} <= names
    for name in names:
        curve = speclite.filters.load_filter(name)
        expected = SedpyFilter(name, data=(curve.wavelength, curve.response))  # cuts off what hardly transmits
        assert_allclose(load(name).wavelength, expected.wavelength, rtol=1e-14, err_msg=name)
        assert_array_equal(load(name).transmission, expected.transmission, err_msg=name)


def test_filters_are_where_they_should_be():
    """Wavelengths [A] from the handbooks of the instruments, for filters of every telescope of the default."""
    expected = {
        "acs_wfc_f814w": 8060, "wfc3_uvis_f336w": 3360, "wfc3_ir_f160w": 15400, "jwst_f444w": 44000,
        "jwst_f410m": 40800, "roman_wfi_f129": 12900, "Euclid-VIS": 7200, "Euclid-Y": 10800, "Euclid-J": 13670,
        "Euclid-H": 17700, "lsst_baseline_r": 6200, "wise2010-W1": 33500,
    }  # fmt: skip
    assert_allclose([load(name).pivot for name in expected], list(expected.values()), rtol=0.02)


def test_an_unknown_filter_is_named():
    with pytest.raises(UserError, match=r"'jwst_f115x' is not known, did you mean jwst_f115w\?.* of the \d+ filters"):
        load("jwst_f115x")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("euclid_vis", "Euclid-VIS"),
        ("lsst_r", "lsst2023-r or lsst2016-r or lsst_baseline_r"),
        ("LSST y", "lsst2023-y or lsst2016-y or lsst_baseline_y"),
        ("Roman_F106", "roman_wfi_f106"),
        ("twomass", "twomass_J"),
    ],
)
def test_the_same_band_of_the_same_survey_is_suggested(name, known):
    with pytest.raises(UserError) as error:
        load(name)
    assert f"'{name}' is not known, did you mean {known}?" in str(error.value)


# The user's own


@pytest.mark.parametrize("ending", ["dat", "txt", "par", "DAT"])
def test_text(text, ending):
    path = text("# wavelength [A], transmission\n4000 0\n4500 0.4 # middle\n\n5000\t5e-1\n5500 0\n", f"curve.{ending}")
    band = read("mine", path)
    assert band.name == "mine"
    assert_array_equal(band.wavelength, WAVELENGTH)
    assert_array_equal(band.transmission, TRANSMISSION)


@pytest.mark.filterwarnings("ignore:The unit 'Angstrom' has been deprecated")
@pytest.mark.parametrize("change", [str, str.upper])
@pytest.mark.parametrize("ending", filters.TABLES)
@pytest.mark.parametrize("unit", [u.AA, u.nm, u.um, None])
def test_tables_with_units(tmp_path, ending, unit, change):
    path = tmp_path / f"curve{ending}"
    columns = {"lambda": WAVELENGTH if unit is None else (WAVELENGTH * u.AA).to(unit), "T": TRANSMISSION}
    format_ = {".vot": "votable", ".xml": "votable", ".ecsv": "ascii.ecsv"}.get(ending, "fits")
    QTable(columns).write(path, format=format_)
    band = read("mine", path.rename(tmp_path / change(path.name)))
    assert_allclose(band.wavelength, WAVELENGTH, rtol=1e-12)
    assert_array_equal(band.transmission, TRANSMISSION)


def test_comments_are_in_any_encoding(tmp_path):
    path = tmp_path / "curve.dat"
    path.write_bytes("# Å\n4000 1\n5000 1\n".encode("latin-1"))
    assert read("mine", path).wavelength.tolist() == [4000.0, 5000.0]


@pytest.mark.parametrize(("unit", "scale"), [("nm", 10.0), ("um", 1e4), ("angstrom", 1.0)])
def test_the_unit_of_text_can_be_named(text, unit, scale):
    wavelength = np.array([16000.0, 16500.0, 17000.0] if unit != "angstrom" else [1400.0, 1500.0, 1600.0])
    path = text("\n".join(f"{x:g} 0.5" for x in wavelength / scale))
    with pytest.raises(UserError, match="or angstrom if it is that"):
        read("mine", path)
    assert_allclose(read("mine", path, unit).wavelength, wavelength, rtol=1e-14)
    (band,) = select(["mine"], {"mine": path}, {"mine": unit})
    assert_allclose(band.wavelength, wavelength, rtol=1e-14)


def test_a_unit_that_the_file_contradicts_is_refused(tmp_path):
    path = tmp_path / "curve.fits"
    QTable({"lambda": (WAVELENGTH * u.AA).to(u.nm), "T": TRANSMISSION}).write(path)
    assert_allclose(read("mine", path, "nm").wavelength, WAVELENGTH)
    with pytest.raises(UserError, match=r"curve\.fits gives the unit of .* it is not um; leave .*filter_units"):
        read("mine", path, "um")


def svo(detector_type):
    """Return a VOTable as the Filter Profile Service of the SVO writes them."""
    wavelength = np.arange(10_000.0, 20_001.0, 200.0)
    response = np.exp(-(((wavelength - 15_000.0) / 2_500.0) ** 4))
    rows = (f"<TR><TD>{x}</TD><TD>{t:.5f}</TD></TR>" for x, t in zip(wavelength, response, strict=True))
    return (
        '<?xml version="1.0"?>\n<VOTABLE version="1.1"><RESOURCE type="results"><TABLE>'
        f'<PARAM name="DetectorType" value="{detector_type}" datatype="char" arraysize="*"'
        ' utype="photdm:PhotometricSystem.detectorType"/>'
        '<FIELD name="Wavelength" unit="Angstrom" datatype="double"/><FIELD name="Transmission" datatype="double"/>'
        f"<DATA><TABLEDATA>{''.join(rows)}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )


def test_what_counts_energy_is_converted(text):
    """Pivots of the response per photon and of the response over wavelength, by adaptive quadrature of the formula."""
    photons, energy = (read("mine", text(svo(kind), f"{kind}.xml")) for kind in (1, 0))
    assert photons.pivot == pytest.approx(14_928.6, abs=0.1)
    assert energy.pivot == pytest.approx(14_785.9, abs=0.1)
    with pytest.raises(UserError, match=r"2\.xml has the DetectorType 2; expected 0, which counts energy, or 1"):
        read("mine", text(svo(2), "2.xml"))


def test_what_hardly_transmits_is_cut_off_at_both_ends_but_for_one_point(text):
    path = text("3000 0\n3500 0\n4000 1e-7\n4500 0.4\n4700 0\n5000 0.5\n5500 0\n6000 0\n")
    assert read("mine", path).wavelength.tolist() == [4000.0, 4500.0, 4700.0, 5000.0, 5500.0]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "columns of 0 numbers; expected two"),
        ("# only a comment\n", "columns of 0 numbers; expected two"),
        ("4000\n5000\n", "has 1 columns of 2 numbers; expected two columns, wavelength and transmission"),
        ("4000 1 2\n5000 1 2\n", "has 3 columns"),
        ("4000 1\n5000 1 2\n", "number of columns changed"),
        (
            "lambda T\n4000 1\n5000 1\n",
            "could not convert string 'lambda' .*; expected two columns.* comments after '#'",
        ),
        ("4000,1\n5000,1\n", "could not convert string '4000,1'"),
        ("4000 1\n", r"expected two or more"),
        ("4000 1\n4500 nan\n5000 1\n", "point 2 of 3 is NaN or infinite"),
        ("4000 1\ninf 1\n", "point 2 of 2 is NaN or infinite"),
        ("4000 1\n5000 1\n4500 1\n", "wavelengths must increase, but 4500 A follows 5000 A"),
        ("4000 1\n5000 1\n5000 1\n", "wavelengths must increase, but 5000 A follows 5000 A"),
        ("-1 1\n5000 1\n", "first wavelength is -1 A, expected positive"),
        ("4000 1\n5000 -0.01\n6000 1\n", "negative at 5000 A, -0.01"),
        ("4000 0\n5000 0\n", "zero everywhere"),
        ("0.4 1\n0.5 1\n", "from 0.4 to 0.5, which looks like um; name the unit, photometry.filter_units: .mine: um."),
        ("400 1\n550 1\n", "from 400 to 550, which looks like nm"),
        ("1500 1\n2050 1\n", "from 1500 to 2050, which looks like nm; .*photometry.filter_units: .mine: nm."),
        ("900 1\n1099 1\n", "from 900 to 1099, which looks like nm"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*input contained no data")
def test_mistakes_in_text_are_named(text, content, match):
    path = text(content)
    with pytest.raises(UserError, match=rf"(?s)^filter 'mine': .*curve.dat.*({match})"):
        read("mine", path)


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"a": WAVELENGTH}, "has the columns a; expected two"),
        ({"a": WAVELENGTH, "b": TRANSMISSION, "c": TRANSMISSION}, "has the columns a, b, c; expected two"),
        ({"a": WAVELENGTH * u.s, "b": TRANSMISSION}, "not convertible"),
        ({"a": WAVELENGTH, "b": np.array(["x", "y", "z", "w"])}, "could not convert|invalid"),
        ({"a": WAVELENGTH, "b": np.ma.array(TRANSMISSION, mask=[0, 1, 0, 0])}, "point 2 of 4 is NaN"),
        ({"a": WAVELENGTH, "b": -TRANSMISSION}, "negative at 5000 A"),
        ({"a": WAVELENGTH * 1e-4, "b": TRANSMISSION}, "looks like um"),
        (
            {"a": WAVELENGTH * 1e-1 * u.AA, "b": TRANSMISSION},
            "from 400 to 550 A, where galaxies are dark; correct its",
        ),
    ],
)
def test_mistakes_in_tables_are_named(tmp_path, columns, match):
    path = tmp_path / "curve.ecsv"
    Table(columns).write(path)
    with pytest.raises(UserError, match=rf"(?s)^filter 'mine': .*curve.ecsv.*({match})"):
        read("mine", path)


@pytest.mark.parametrize("name", ["curve.dat", "curve.fits", "curve.ecsv", "curve.vot"])
@pytest.mark.parametrize("content", [b"\x00\xff\xfe\x80", b"not a table at all"])
def test_other_files_and_missing_ones(tmp_path, name, content):
    path = tmp_path / name
    for is_there in (False, True):
        if is_there:
            path.write_bytes(content)
        with pytest.raises(UserError, match=rf"(?s)'mine': .*{name}.*expected two columns"):
            read("mine", path)
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="is not a file"):
        read("mine", path)


def test_select_takes_each_from_where_it_is(text):
    path = text("4000 1\n5000 1\n")
    names = ("jwst_f277w", "mine", "Euclid-H")
    chosen = select(names, {"mine": path})
    assert tuple(band.name for band in chosen) == names
    assert chosen[0] is load("jwst_f277w")
    assert chosen[1].wavelength.tolist() == [4000.0, 5000.0]
    assert select([]) == ()
    with pytest.raises(UserError, match="'mine' is not known"):
        select(names)


# Curves made in code


@pytest.mark.parametrize(
    ("wavelength", "transmission"),
    [
        ([4000.0], [1.0]),
        ([4000.0, 5000.0], [1.0]),
        ([4000.0, np.nan], [1.0, 1.0]),
        ([4000.0, 5000.0], [np.inf, 1.0]),
        ([0.0, 5000.0], [1.0, 1.0]),
        ([5000.0, 4000.0], [1.0, 1.0]),
        ([4000.0, 5000.0], [1.0, -1.0]),
        ([4000.0, 5000.0], [0.0, 0.0]),
    ],
)
def test_what_is_no_curve_is_refused(wavelength, transmission):
    with pytest.raises(UserError, match=r"^filter 'mine': "):
        curve(wavelength, transmission)


def test_redshift_and_pivot():
    band = curve()
    assert_allclose(band.at_redshift(1.0).wavelength, WAVELENGTH / 2.0)
    assert_allclose(band.at_redshift(1.0).pivot, band.pivot / 2.0, rtol=1e-12)
    assert_allclose(filters.top_hat("x", 1000.0, 1001.0).pivot, 1000.5, rtol=1e-6)
