import re
from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from numpy.testing import assert_allclose

from mocksed import sky
from mocksed.cosmology import Cosmology
from mocksed.errors import UserError
from mocksed.galaxies.mass_functions import MASS_FUNCTIONS
from mocksed.sky import laws, observed

H67 = Cosmology(67.66, 0.3111)
X = {  # what values are against, for the kinds that are points
    "uv_luminosity_function": "muv",
    "k_luminosity_function": "m_k",
    "stellar_mass_function": "log_mstar",
    "sfr_density": "redshift",
    "number_counts": "magnitude",
    "uv_slope": "muv",
    "halpha_luminosity_function": "log_luminosity",
    "oiii_hbeta_luminosity_function": "log_luminosity",
    "line_counts": "flux",
}


@pytest.fixture(scope="module")
def tables(root) -> dict[str, sky.Observed]:
    return {one.name: one for some in sky.by_observable(root / observed.FOLDER).values() for one in some}


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        names = [path.stem for path in sorted((metafunc.config.rootpath / observed.FOLDER).glob("*.ecsv"))]
        metafunc.parametrize("name", names)


def test_every_observable_has_a_table(tables):
    assert {one.observable for one in tables.values()} == set(sky.OBSERVABLES)


def test_table_says_where_it_is_from(tables, name):
    one = tables[name]
    assert name.startswith(f"{one.observable}_")
    assert re.fullmatch(r"10\.\d{4,5}/\S+", one.doi)
    assert re.search(r"\(\d{4}\)", one.paper)
    assert len(one.verified) >= len("The abstract.")
    assert one.label.split()[-1] in name
    assert {said.split(":")[0] for said in one.assumed} <= {"doi", "imf", "cosmology", "redshift", "range"}


def test_table_says_what_it_needs_for_conversions(tables, name):
    one = tables[name]
    per_volume = [column for column in one.table.columns.values() if column.unit and "Mpc3" in column.unit.to_string()]
    assert not per_volume or one.cosmology is not None
    assert {"log_mstar", "log_m_star", "log_sfr_density", "psi"}.isdisjoint(one.table.colnames) or one.imf is not None


def test_columns_have_units_and_finite_values(tables, name):
    one = tables[name]
    pure = ("redshift", "alpha", "beta", "err", "systematic", "scatter", "eddington", "cosmic_variance")
    for column in one.table.columns.values():
        if column.dtype.kind != "f":
            continue
        if not column.name.startswith(pure) and one.kind in ("points", "lognormal", "schechter_mag"):
            assert column.unit is not None, column.name
        if not column.name.startswith(("err", "delta", "drop")):
            assert np.isfinite(column).all(), column.name
    for end in ("err_up", "err_down"):
        if end in one.table.colnames:
            errors = np.asarray(one.table[end])
            assert not (errors < 0).any()
            limits = one.table["upper_limit"] if "upper_limit" in one.table.colnames else np.zeros(len(errors), bool)
            assert_allclose(np.isnan(errors), limits)


def test_rows_are_within_the_limits(tables, name):
    one, table = tables[name], tables[name].table
    assert (table["redshift_min"] <= table["redshift"]).all() or one.observable == "number_counts"
    assert (table["redshift"] <= table["redshift_max"]).all()
    assert one.redshift[0] <= table["redshift_min"].min()
    assert table["redshift_max"].max() <= one.redshift[1]
    assert one.range[0] <= one.range[1]
    if one.kind == "points" and one.observable in X:
        x = table[X[one.observable]]
        assert one.range[0] <= x.min()
        assert x.max() <= one.range[1]


def test_functions_have_values_within_their_limits(tables, name):
    one = tables[name]
    if one.kind not in laws.LAWS:
        with pytest.raises(ValueError, match="is no function"):
            one.value(10.0, 1.0)
        return
    x = np.linspace(*one.range, 5)
    for row in one.table:
        chosen = {key: row[key] for key in ("population", "model") if key in one.table.colnames}
        found = one.value(x, row["redshift"], **chosen)
        assert np.isfinite(found).all()
        if one.observable.endswith(("function", "density", "share")):
            assert (found > 0).all()


def test_luminosity_functions_of_the_ultraviolet_agree(tables):
    """Bouwens et al. fitted in 2021 what they had counted in 2015, and more; at z = 4 to 8, near the knee."""
    fits, points = tables["uv_luminosity_function_bouwens2021"], tables["uv_luminosity_function_bouwens2015"]
    off = []
    for redshift in (3.8, 4.9, 5.9, 6.8):
        rows = points.rows(redshift)
        rows = rows[(rows["muv"] > -21.5) & (rows["muv"] < -18)]
        off.append(np.log10(fits.value(rows["muv"], redshift)) - rows["log_phi"])
    assert len(np.concatenate(off)) > 20
    assert abs(np.concatenate(off)).max() < 0.2


def test_mass_functions_agree(tables):
    """Fits and points of three surveys, at masses that all of them see, to 0.2 dex (Leja et al. find more)."""
    fits = tables["stellar_mass_function_davidzon2017"]
    for survey in ("tomczak2014", "shuntov2025"):
        for redshift in (0.35, 1.75, 2.25):
            rows = tables[f"stellar_mass_function_{survey}"].rows(redshift, population="all")
            rows = rows[(rows["log_mstar"] > 10.0) & (rows["log_mstar"] < 11.0)]
            assert len(rows) >= 3
            assert (
                abs(np.log10(fits.value(rows["log_mstar"], redshift, population="all")) - rows["log_phi"]).max() < 0.2
            )


def test_parabolas_of_leja2020_go_through_the_anchors(tables):
    one = tables["stellar_mass_function_leja2020"]
    by_hand = laws.double_schechter_dex(10.5, 10.88, 10**-3.08, -0.28, 10**-3.29, -1.48)
    assert_allclose(one.value(10.5, 1.6), by_hand, rtol=1e-4)
    # a parabola is -1/8, 3/4 and 3/8 of the three at z = 2.3, halfway to the last one
    between = laws.double_schechter_dex(10.5, 10.87625, 10**-3.5575, -0.28, 10**-3.4225, -1.48)
    assert_allclose(one.value(10.5, 2.3), between, rtol=1e-4)


def test_number_counts_agree(tables):
    """Two countings of galaxies in i, of COSMOS in both; at 22 and 24 mag."""
    found = []
    for name in ("driver2016", "weaver2022"):
        rows = tables[f"number_counts_{name}"].rows(0.0, band="i")
        found.append(np.interp([22.0, 24.0], rows["magnitude"], np.log10(rows["n"])))
    assert_allclose(*found, rtol=0, atol=0.1)


def test_sfr_density_has_the_points_around_the_fit(tables):
    fit, points = tables["sfr_density_madau2014_fit"], tables["sfr_density_madau2014"].table
    off = points["log_sfr_density"] - np.log10([fit.value(z, z)[()] for z in points["redshift"]])
    assert abs(np.median(off)) < 0.1


@pytest.mark.parametrize(
    ("redshift", "low", "high"), [(0.3, 0.2, 0.5), (0.5, 0.5, 1.0), (0.1, 0.2, 0.5), (1.2, 1.0, 1.5), (9.0, 3.0, 4.0)]
)
def test_rows_are_those_of_the_bin_or_of_the_nearest(tables, redshift, low, high):
    rows = tables["stellar_mass_function_muzzin2013"].rows(redshift, population="quiescent")
    assert set(rows["redshift_min"]) == {low}
    assert set(rows["redshift_max"]) == {high}
    assert set(rows["population"]) == {"quiescent"}


def test_one_row_has_to_be_left(tables):
    with pytest.raises(ValueError, match="3 rows at z = 1: choose"):
        tables["halpha_luminosity_function_pozzetti2016"].value(42.0, 1.0)


def test_conversion_of_points_by_hand(tables):
    """Kroupa to Chabrier: masses times 0.61 / 0.66. From h = 0.7 to 1: masses times 0.49, densities over 0.343."""
    one = tables["stellar_mass_function_muzzin2013"]
    assert (one.imf, one.cosmology) == ("kroupa", Cosmology(70.0, 0.3))
    found = one.converted("chabrier", Cosmology(100.0, 0.3))
    assert_allclose(found.table["log_mstar"] - one.table["log_mstar"], -0.0342 - 0.3098, atol=1e-4)
    assert_allclose(found.table["log_phi"] - one.table["log_phi"], 0.4647, atol=1e-4)
    assert (found.imf, found.cosmology) == ("chabrier", Cosmology(100.0, 0.3))


def test_conversion_of_functions_by_hand(tables):
    """From h = 0.7 to 1: magnitudes 0.7745 fainter, densities over 0.343."""
    one = tables["uv_luminosity_function_bouwens2021"]
    found = one.converted("chabrier", Cosmology(100.0, 0.3))
    assert_allclose(found.value(-20.0, 3.8), one.value(-20.7745, 3.8) / 0.343, rtol=1e-4)
    assert found.imf is None  # there is none that light could be converted from
    leja = tables["stellar_mass_function_leja2020"]
    at_100 = leja.converted(to=Cosmology(100.0, 0.2865))
    scale = np.log10(1 / 0.6932)
    assert_allclose(at_100.value(10.5, 1.1), leja.value(10.5 + 2 * scale, 1.1) * 10 ** (3 * scale), rtol=1e-4)


def test_sfr_densities_go_with_h_and_the_factor_of_sfrs(tables):
    one = tables["sfr_density_madau2014"]
    found = one.converted("chabrier", Cosmology(100.0, 0.3))
    assert_allclose(found.table["log_sfr_density"] - one.table["log_sfr_density"], np.log10(0.63 / 0.7), atol=1e-6)
    fit = tables["sfr_density_madau2014_fit"]
    assert_allclose(
        fit.converted("chabrier", Cosmology(100.0, 0.3)).value(1.0, 1.0), fit.value(1.0, 1.0) * 0.9, rtol=1e-6
    )


@pytest.mark.parametrize("name_", ["obscured_share_whitaker2017", "uvj_schreiber2017", "oiii_hbeta_mass_strom2017"])
def test_functions_of_mass_are_those_of_the_same_galaxies(tables, name_):
    """Galaxies of 10^10.6 Msun with a Chabrier IMF have 10^10.8147 with that of Salpeter (0.61)."""
    one = replace(tables[name_], imf="salpeter")
    found = one.converted("chabrier")
    assert_allclose(found.value(10.6, 1.5), one.value(10.8147, 1.5), rtol=1e-4)
    assert found.value(10.6, 1.5) != one.value(10.6, 1.5)
    assert_allclose(found.converted("salpeter").value(10.6, 1.5), one.value(10.6, 1.5))


def test_conversion_and_back(tables, name):
    one = tables[name]
    back = one.converted("salpeter", H67).converted(one.imf, one.cosmology)
    assert (back.imf, back.cosmology) == (one.imf, one.cosmology)
    for column in one.table.colnames:
        if one.table[column].dtype.kind == "f":
            assert_allclose(back.table[column], one.table[column], rtol=1e-9, atol=1e-9)


def test_quiescent_share_by_hand(root, tables):
    one = tables["stellar_mass_function_muzzin2013"]
    columns = ("redshift", "redshift_min", "redshift_max", "population", "log_mstar", "log_phi", "err_up", "err_down")
    rows = [
        (0.35, 0.2, 0.5, "quiescent", 10.5, -3.0, 0.1, 0.2),
        (0.35, 0.2, 0.5, "star_forming", 10.5, -2.5, 0.0, 0.0),
        (0.35, 0.2, 0.5, "star_forming", 10.6, -2.5, 0.1, 0.1),
    ]
    found = observed.quiescent_share(replace(one, table=Table(rows=rows, names=columns)))
    # 1 / (1 + 10^0.5) = 0.2403; its derivative is ln(10) x 0.2403 x 0.7597 = 0.4203 per dex
    assert_allclose([found["share"][0], found["err_up"][0], found["err_down"][0]], [0.2403, 0.0420, 0.0841], atol=1e-4)
    assert len(found) == 1


def test_quiescent_share_rises_with_mass(tables):
    for survey in ("muzzin2013", "tomczak2014"):
        found = observed.quiescent_share(tables[f"stellar_mass_function_{survey}"])
        near = found[(found["redshift_min"] >= 0.5) & (found["redshift_max"] <= 1.0)]
        assert near[near["log_mstar"] > 10.9]["share"].mean() > 0.5 > near[near["log_mstar"] < 10.1]["share"].mean()


def test_quiescent_share_is_that_of_the_mass_functions(tables):
    """Galaxies may be drawn from the mass functions of Weaver et al. (2023), which have the share of these points."""
    found = observed.quiescent_share(tables["stellar_mass_function_weaver2023"])
    found = found[(found["log_mstar"] > 8.6) & (found["log_mstar"] < 11.4)]
    log_phi = MASS_FUNCTIONS["weaver2023"]
    quiescent, forming = (
        10.0 ** np.array([one(row["log_mstar"], row["redshift"]) for row in found])
        for one in (log_phi.quiescent, log_phi.star_forming)
    )
    assert len(found) > 80
    assert_allclose(found["share"], quiescent / (quiescent + forming), rtol=0, atol=1e-4)


def test_folder_without_tables(tmp_path):
    with pytest.raises(UserError, match="has no tables of observed data"):
        sky.by_observable(tmp_path)


def changed(root, tmp_path, **meta):
    """Write a table with other entries in its header, without those that are None."""
    table = Table.read(root / observed.FOLDER / "uv_luminosity_function_bouwens2021.ecsv", format="ascii.ecsv")
    kept = {**table.meta, **meta}
    table.meta = {key: value for key, value in kept.items() if value is not None or key == "imf"}
    table.write(tmp_path / "one.ecsv", format="ascii.ecsv")
    return tmp_path / "one.ecsv"


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"doi": None, "range": None}, "the header lacks doi, range"),
        ({"observable": "uv_luminosity_functions"}, "did you mean uv_luminosity_function?"),
        ({"kind": "schechter"}, "did you mean schechter_mag?"),
        ({"imf": "chabrir"}, "did you mean chabrier?"),
        ({"kind": "double_power_law_mag"}, "needs the columns beta"),
        ({"kind": "points"}, "needs the columns err_down, err_up"),
        ({"kind": "lognormal"}, "needs the columns median, scatter"),
    ],
)
def test_header_that_does_not_say_what_has_to_be_known(root, tmp_path, meta, message):
    with pytest.raises(UserError, match=re.escape(message)):
        sky.read(changed(root, tmp_path, **meta))


def test_file_that_is_no_table(tmp_path):
    (tmp_path / "one.ecsv").write_text("nothing\n")
    with pytest.raises(UserError, match="cannot be read as a table of observed data"):
        sky.read(tmp_path / "one.ecsv")


def test_units_are_those_of_the_field(tables):
    assert tables["uv_luminosity_function_bouwens2021"].table["phi_star"].unit == 1 / (u.Mpc**3 * u.mag)
    assert tables["number_counts_driver2016"].table["n"].unit == 1 / (u.mag * u.deg**2)
