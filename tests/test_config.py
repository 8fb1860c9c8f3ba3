import copy
import importlib
import inspect
import json
import os
import pkgutil
from dataclasses import asdict, fields
from functools import reduce
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np
import pytest
import yaml

import mocksed
from mocksed import config
from mocksed.config import checks, messages, reference, schema
from mocksed.cosmology import Cosmology
from mocksed.diagnostics.settings import Settings
from mocksed.errors import UserError
from mocksed.galaxies import lightcone
from mocksed.galaxies.lightcone import LightCone
from mocksed.galaxies.mass_functions import DEFAULT, MASS_FUNCTIONS
from mocksed.galaxies.spec import TableSpec
from mocksed.relations import Relations, lya
from mocksed.relations.published import OH12_SOLAR
from mocksed.run import configuration
from mocksed.sps import igm
from mocksed.sps import table as ssp_table
from mocksed.sps.curves import CURVES
from mocksed.sps.model import LIMITS, SFH, Model
from mocksed.uvj import WILLIAMS2009


@pytest.fixture
def project(tmp_path, monkeypatch, root):
    """Return a folder, made the current one, that has the files a config names."""
    table = Path("resources/ssp_padova_kurucz_chabrier.h5")
    (tmp_path / "resources").mkdir()
    (tmp_path / table).symlink_to(root / table)
    (tmp_path / "survey.fits").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nested(path, value):
    """Return a config with one key beside the name of the run."""
    return {"run": "test"} | reduce(lambda inner, key: {key: inner}, reversed(path.split(".")), value)


def problems(raw):
    with pytest.raises(UserError) as error:
        configuration.load(raw)
    return str(error.value)


SAMPLING = {
    "log_mstar": {"uniform": [7, 12]},
    "redshift": {"uniform_in_scale_factor": [0, 12]},
    "log_zmet": {"relation": True},
    "log_us": {"relation": True},
    "dust2": {"normal": [0, 0.5]},
    "age": {"fraction_of_t_univ": [0.01, 1]},
    "tau": {"log_uniform": [0.1, 100]},
}


def test_defaults_are_filled_in_at_every_depth(project):
    loaded = configuration.load({"run": "test"})
    assert loaded["seed"] == 42
    assert loaded["cosmology"] == {"H0": 67.66, "Om0": 0.3111}
    assert loaded["galaxies"]["table"]["columns"]["mass"] == "log_mstar"
    assert loaded["galaxies"]["lightcone"]["redshift"] == [0.0, 12.0]
    assert loaded["parent"]["shards"] == 4
    assert loaded["quiescent"]["uvj_box"]["slope"] == 0.88


def test_given_values_stay_and_the_source_is_not_changed(project):
    raw = {"run": "test", "parent": {"star_forming": {"n": 5000, "sampling": SAMPLING}}}
    before = copy.deepcopy(raw)
    loaded = configuration.load(raw)
    assert raw == before
    assert loaded["parent"]["star_forming"] == before["parent"]["star_forming"]
    assert loaded["parent"]["quiescent"]["n"] == 200000
    loaded["galaxies"]["lightcone"]["redshift"][0] = 3.0
    assert configuration.load(raw)["galaxies"]["lightcone"]["redshift"][0] == 0.0


def test_a_complete_config_loads_to_itself(project):
    loaded = configuration.load({"run": "test"})
    assert configuration.load(loaded) == loaded


def test_any_mapping_will_do_and_whole_floats_become_integers(project):
    raw = MappingProxyType({"run": "test", "parent": MappingProxyType({"star_forming": {"n": 1e6}})})
    n = configuration.load(raw)["parent"]["star_forming"]["n"]
    assert (n, type(n)) == (1_000_000, int)
    for key in ("galaxies.shards", "parent.shards"):
        shards = reduce(lambda node, name: node[name], key.split("."), configuration.load(nested(key, 8.0)))
        assert (shards, type(shards)) == (8, int)


def test_shards_are_numbers_whoever_chose_them(project):
    auto = configuration.load({"run": "test", "galaxies": {"shards": "auto"}, "parent": {"shards": "auto"}})
    assert auto == configuration.load({"run": "test"})
    assert (auto["galaxies"]["shards"], auto["parent"]["shards"]) == (4, 4)
    large = configuration.load(nested("galaxies", {"lightcone": {"n_galaxies": 10**9}}))
    assert large["galaxies"]["shards"] > 50
    assert configuration.load(large) == large


def test_an_impossible_light_cone_is_found_before_the_run(project):
    message = problems(nested("galaxies.lightcone", {"area": 1e-9}))
    assert "a problem:\n  the light cone is empty" in message


def test_a_table_may_be_missing_only_while_planning(project):
    raw = nested("galaxies", {"source": "table", "table": {"path": "later.fits"}})
    assert 'galaxies.table.path: "later.fits" is not a file' in problems(raw)
    assert configuration.load(raw, to_plan=True)["galaxies"]["shards"] == 4


def test_a_table_may_be_several_files(project):
    for name in ("part_2.csv", "part_10.csv", "other.csv"):
        (project / name).write_text("redshift,log_mstar\n1.0,10.0\n")
    for path in ("part_*.csv", ["part_10.csv", "other.csv"], ["part_[0-9]*.csv", "other.csv"]):
        loaded = configuration.load(nested("galaxies", {"source": "table", "table": {"path": path}}))
        assert loaded["galaxies"]["table"]["path"] == path

    def refused(path):
        return problems(nested("galaxies", {"source": "table", "table": {"path": path}}))

    assert 'galaxies.table.path: no file matches "prt_*.csv"; expected tables, seen from ' in refused("prt_*.csv")
    message = refused(["part_*.csv", "none.csv", "no_*.csv"])
    assert 'galaxies.table.path: "none.csv" is not a file' in message
    assert 'galaxies.table.path: no file matches "no_*.csv"' in message
    assert "galaxies.table.path[1]: 5 is not allowed; expected a path" in refused(["part_2.csv", 5])
    assert "without braces, angle brackets and line breaks" in refused(["{run}.csv"])
    assert "part_2.csv given more than once" in refused(["part_2.csv", "part_2.csv"])
    assert 'galaxies.table.path: "part_2.csv" is named twice' in refused(["part_*.csv", "part_2.csv"])
    assert "[] is not allowed; expected a list of at least 1 names" in refused([])
    (project / "part_{run}.csv").write_text("redshift,log_mstar\n")
    assert '"part_{run}.csv" is not allowed; expected names without braces' in refused("part_*.csv")


@pytest.mark.parametrize(
    "name",
    ["config/config.yaml", "config/survey.yaml", "config/sim512.yaml", "config/sim2048.yaml", "config/test/tiny.yaml"],
)
def test_shipped_configs_load(project, root, name):
    configuration.load(root / name)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (
            "galaxies.lightcone.n_galaxies",
            -5,
            "n_galaxies: -5 is not allowed; expected an integer from 1 to 100000000000 or null",
        ),
        ("galaxies.source", "lightcne", 'galaxies.source: "lightcne" is not allowed; expected one of lightcone, table'),
        (
            "galaxies.lightcone.n_galaxy",
            5,
            "n_galaxy: unknown key, did you mean n_galaxies?; allowed: n_galaxies, area",
        ),
        ("galaxis", {}, "galaxis: unknown key, did you mean galaxies?; allowed: run, results"),
        ("run", "a/b", 'run: "a/b" is not allowed; expected a name of letters, digits'),
        ("seed", -1, "seed: -1 is not allowed; expected an integer from 0 to 9223372036854775807"),
        ("seed", 2**63, "seed: 9223372036854775808 is not allowed"),
        ("seed", 1.5, "seed: 1.5 is not allowed; expected an integer"),
        (
            "realisations",
            0,
            "realisations: 0 is not allowed; expected an integer from 1 to 1000, or a list of 1 to 1000 integers",
        ),
        ("realisations", -3, "realisations: -3 is not allowed; expected an integer from 1 to 1000"),
        ("realisations", 1001, "realisations: 1001 is not allowed; expected an integer from 1 to 1000"),
        ("realisations", 2.5, "realisations: 2.5 is not allowed; expected an integer from 1 to 1000"),
        ("realisations", True, "realisations: true is not allowed; expected an integer from 1 to 1000"),
        ("realisations", [], "realisations: [] is not allowed; expected a list of 1 to 1000 integers from 0 to 999"),
        ("realisations", [0, 3, 3], "realisations: 3 given more than once; give each once"),
        ("realisations", [0, -1], "realisations[1]: -1 is not allowed; expected an integer from 0 to 999"),
        ("realisations", [1000], "realisations[0]: 1000 is not allowed; expected an integer from 0 to 999"),
        (
            "parent.star_forming.n",
            "1e6",
            '"1e6" is not allowed; expected an integer from 100 to 10000000000 (YAML takes 1e6 for',
        ),
        ("cosmology.Om0", 1.0, "cosmology.Om0: 1.0 is not allowed; expected a number from 0.01 to 0.99"),
        ("spectra.write", "yes", 'spectra.write: "yes" is not allowed; expected true or false'),
        ("sps.table", "x.hdf5", "expected the path of a file that ends in .h5"),
        ("results", "", "expected a path that is not empty, without braces, angle brackets and line breaks"),
        ("galaxies.table.keep", 3, "galaxies.table.keep: 3 is not allowed; expected all, or a list of names"),
        ("galaxies.table.keep", ["av", 3], "galaxies.table.keep[1]: 3 is not allowed; expected text"),
        (
            "galaxies.lightcone",
            [1],
            "galaxies.lightcone: [1] is not allowed; expected a mapping with the keys n_galaxies",
        ),
        (
            "spectra.wavelength",
            [1, float("nan")],
            "spectra.wavelength[1]: nan is not allowed; expected a finite number",
        ),
        ("spectra.wavelength", [912], "spectra.wavelength: [912] is not allowed; expected a list of 2 numbers"),
        ("spectra.wavelength", [3000, 1000], "[3000, 1000] is not allowed; expected the lower limit first"),
        ("galaxies.lightcone.redshift", [5, 1], "redshift: [5, 1] is not allowed; expected the lower limit first"),
        ("galaxies.lightcone.redshift", [0, 25], "redshift: [0, 25] is not allowed; expected values from 0 to 20"),
        ("galaxies.table.redshift", [-1, 5], "table.redshift: [-1, 5] is not allowed; expected values of at least 0"),
        ("galaxies.lightcone.log_mstar", [9, 9], "log_mstar: [9, 9] is not allowed"),
        ("galaxies.lightcone.centre", [0, 95], "centre: [0, 95] is not allowed; expected a right ascension"),
        (
            "diagnostics.redshift_bins",
            [0, 2, 1],
            "redshift_bins: [0, 2, 1] is not allowed; expected edges that increase",
        ),
        (
            "photometry.filters",
            ["jwst_f090"],
            "photometry.filters: filter 'jwst_f090' is not known, did you mean jwst_f090w?; expected one of",
        ),
        ("photometry.rest_frame", ["bessel_V"], "photometry.rest_frame: filter 'bessel_V' is not known, did you mean"),
        ("photometry.filters", ["a", "a"], "photometry.filters: a given more than once"),
        (
            "photometry.filter_files",
            {"mine": 3},
            "filter_files.mine: 3 is not allowed; expected a path that is not empty",
        ),
        ("photometry.filter_files", {"a b": "x"}, 'filter_files: "a b" is not allowed; expected a name of letters'),
        ("photometry.filter_files", [1], "filter_files: [1] is not allowed; expected a mapping of names to a path"),
        ("photometry.filter_files", {"mine": "x.dat"}, "filter_files.mine: not used; name it in photometry.filters or"),
        ("photometry.filter_files", {"bessell_V": "x.dat"}, "filter_files.bessell_V: there is a filter of that name"),
        ("galaxies.source", "table", "galaxies.table.path: null is not allowed with galaxies.source table"),
        ("galaxies", {"source": "table", "table": {"path": "no.fits"}}, 'galaxies.table.path: "no.fits" is not a file'),
        (
            "sps.table",
            "nowhere/x.h5",
            'sps.table: "nowhere/x.h5" is not a file; expected an SSP table, or a name below',
        ),
        (
            "neighbours.max_memory_gb",
            0.5,
            "neighbours.max_memory_gb: 0.5 is too little for even the smallest tree shard, 100000 points, and the ",
        ),
        ("results", "survey.fits", 'results: "survey.fits" is not allowed'),
        ("parent.quiescent.sampling", "drakos", "one of default, drakos2021a, drakos2021b, or a mapping with the keys"),
    ],
)
def test_a_mistake_is_named_with_key_value_and_what_is_allowed(project, key, value, words):
    message = problems(nested(key, value))
    assert words in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("key", "value"),
    [("H0", 1e-300), ("H0", 0.7), ("H0", 1e300), ("Om0", 1e-300), ("Om0", 31.0)],
)
def test_no_cosmology_that_cannot_be_meant(project, key, value):
    assert f"cosmology.{key}: {value} is not allowed; expected a number from " in problems(
        nested(f"cosmology.{key}", value)
    )


def test_the_name_of_a_run_leaves_room_for_its_variants(project):
    longest = configuration.load({"run": "x" * checks.MAX_RUN})
    other = configuration.load(config.variant(longest, "drakos2021a"))
    assert other["run"] == "x" * checks.MAX_RUN + "-drakos2021a"
    message = problems({"run": "x" * 300})
    assert 'run: "xxx' in message
    assert "is not allowed; it has 300 letters, expected 100 at most" in message
    assert r'run: "x\n" is not allowed; expected a name of' in problems({"run": "x\n"})


PATHS = {
    "results": "{}",
    "sps.table": "results/ssp/{}.h5",
    "galaxies.table.path": "{}.fits",
    "photometry.filter_files.mine": "{}.dat",
}


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize("name", ["{run}", "{", "a}", "<run>", "a>b", "a\nb"])
def test_paths_that_snakemake_would_take_for_patterns(project, key, name):
    message = problems(nested(key, PATHS[key].format(name)))
    assert f"{key}: " in message
    assert "without braces, angle brackets and line breaks" in message


@pytest.mark.parametrize("key", [*PATHS, "run", "mpi.launcher", "neighbours.scratch", "galaxies.table.columns.mass"])
@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_text_that_no_system_takes(project, key, text):
    value = PATHS.get(key, "{}").format(text)
    assert f"{key}: {json.dumps(value)} is not allowed; expected text without NUL" in problems(nested(key, value))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("results", "x" * 300, "expected at most 3000 bytes, and 200 of each folder or file"),
        ("results", "x/" * 2500, "expected at most 3000 bytes"),
        ("sps.table", f"results/ssp/{'x' * 300}.h5", "200 of each folder or file"),
        ("sps.table", f"{'x' * 300}.h5", "is not a file"),
        ("galaxies", {"source": "table", "table": {"path": "x" * 5000}}, "is not a file; expected a table"),
        ("photometry", {"filters": ["mine"], "filter_files": {"mine": "x" * 300}}, "is not a file; expected two col"),
    ],
)
def test_names_that_are_too_long(project, key, value, words):
    assert words in problems(nested(key, value))


@pytest.mark.parametrize(
    ("launcher", "words"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("''", "it is empty"),
        ('srun "--mpi=pmix', "no closing quotation"),
        ("srun \\", "no escaped character"),
    ],
)
def test_a_launcher_that_is_no_command(project, launcher, words):
    message = problems(nested("mpi.launcher", launcher))
    assert f"mpi.launcher: {json.dumps(launcher)} is not allowed, {words}; expected a command, e.g. mpiexec" in message
    configuration.load(nested("mpi.launcher", "srun '--mpi=pmix'"))


@pytest.fixture
def not_a_table(root):
    """Return what makes a file that is no SSP table, and what is said of it."""
    shipped = root / "resources/ssp_padova_kurucz_chabrier.h5"

    def other(path):
        with h5py.File(path, "w") as file:
            file["spectra"] = np.ones(3)

    def of_groups(path):
        with h5py.File(path, "w") as file:
            file.attrs["format"] = ssp_table.FORMAT
            for name in ("line_name", "wavelength"):
                file.create_group(name)

    return {
        "garbage": (lambda path: path.write_bytes(bytes(range(256)) * 40), "file signature not found"),
        "truncated": (lambda path: path.write_bytes(shipped.read_bytes()[:-1000]), "truncated file"),
        "empty": (lambda path: path.touch(), "cannot read the SSP table"),
        "other": (other, "is not an SSP table of mocksed"),
        "groups": (of_groups, "cannot read the SSP table"),
    }


@pytest.mark.parametrize("kind", ["garbage", "truncated", "empty", "other", "groups"])
@pytest.mark.parametrize("name", ["mine.h5", "results/ssp/mine.h5"])
def test_an_ssp_table_that_is_none_is_found_before_the_run(project, not_a_table, kind, name):
    make, words = not_a_table[kind]
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    make(project / name)
    with pytest.raises(UserError) as of_a_run:
        ssp_table.read(name)
    assert words in str(of_a_run.value)
    message = problems(nested("sps.table", name))
    assert f"a problem:\n  sps.table: {str(of_a_run.value).removesuffix('.')}" in message


def test_filters_of_ones_own(project):
    photometry = {"filters": ["jwst_f090w", "mine"], "rest_frame": [], "filter_files": {"mine": "mine.dat"}}
    photometry |= {"filter_units": {}}
    raw = nested("photometry", photometry)
    assert "photometry.filters: filter 'mine': mine.dat is not a file" in problems(raw)
    (project / "mine.dat").write_text("4000 1\n4000 1\n")
    assert "'mine': mine.dat: wavelengths must increase, but 4000 A follows 4000 A" in problems(raw)
    (project / "mine.dat").write_text("4000 1\n5000 1\n")
    assert configuration.load(raw)["photometry"] == photometry | {"lines": True}
    (project / "mine.dat").write_text("1500 1\n2050 1\n")
    assert "mine.dat reaches from 1500 to 2050, which looks like nm" in problems(raw)
    photometry["filter_units"] = {"mine": "nm"}
    configuration.load(raw)
    photometry["filter_units"] = {"mine": "nm", "yours": "nm"}
    assert "photometry.filter_units.yours: not used; expected names of" in problems(raw)
    photometry["filter_units"] = {"mine": "furlong"}
    assert 'filter_units.mine: "furlong" is not allowed; expected one of angstrom, nm, um' in problems(raw)


@pytest.mark.parametrize("source", ["lightcone", "table"])
def test_filters_beyond_the_spectra(project, source):
    raw = nested("photometry.filters", ["galex_FUV", "jwst_f090w"])
    raw["galaxies"] = {"source": source, source: {"redshift": [0, 12.39]}}
    if source == "table":
        raw["galaxies"]["table"]["path"] = "survey.fits"
    configuration.load(raw)
    raw["galaxies"][source]["redshift"] = [0, 12.41]
    message = problems(raw)
    assert "photometry.filters: filter 'galex_FUV' (1340 to 1810 A) reaches beyond the spectra, 100 to 9.9" in message
    assert (
        f"at redshift 12.41; it can be used from redshift 0 to 12.4; leave it out or change galaxies.{source}"
        in message
    )
    (project / "soft.dat").write_text("50 1\n1200 1\n")
    raw["photometry"] = {"filters": [], "rest_frame": ["soft"], "filter_files": {"soft": "soft.dat"}}
    raw["photometry"]["filter_units"] = {"soft": "angstrom"}
    assert "photometry.rest_frame: filter 'soft' (50 to 1200 A) reaches beyond the spectra" in problems(raw)
    configuration.load(raw | {"sps": {"engine": "fsps"}})  # whose wavelengths are its own


def test_lines_that_the_table_does_not_have(project):
    raw = nested("spectra.lines", ["halpha_6563", "[O III] 5007", "hbeta", "oiii_5008"])
    message = problems(raw)
    assert "spectra.lines: there is no line 'hbeta', did you mean hbeta_4861?; expected names that `mocksed lines`" in (
        message
    )
    assert "spectra.lines: there is no line 'oiii_5008', did you mean oiii_5007?" in message
    assert "2 problems" in message
    for good in (raw["spectra"]["lines"][:2], "all", []):
        assert configuration.load(nested("spectra.lines", good))["spectra"]["lines"] == good
    configuration.load(raw | {"sps": {"engine": "fsps"}})  # whose lines are its own
    (project / "empty.h5").touch()
    assert "sps.table: cannot read the SSP table" in problems(raw | {"sps": {"table": "empty.h5"}})
    configuration.load(raw | {"sps": {"table": "results/ssp/to_be_made.h5"}})


@pytest.mark.parametrize("source", ["lightcone", "table"])
def test_the_default_filters_can_be_used_at_every_default_redshift(project, source):
    path = {"path": "survey.fits"} if source == "table" else {}
    configuration.load({"run": "test", "galaxies": {"source": source, "table": path}})
    configuration.load({"run": "test", "galaxies": {"lightcone": {"redshift": [0, checks.LIGHTCONE_MAX_REDSHIFT]}}})


@pytest.mark.parametrize(("origin", "column"), [("column", "quiescent"), ("ssfr", "ssfr")])
def test_a_flag_of_quiescence_needs_its_column(project, origin, column):
    raw = nested("galaxies", {"source": "table", "table": {"path": "survey.fits", "quiescent": {"from": origin}}})
    assert f"galaxies.table.columns.{column}: null is not allowed" in problems(raw)
    raw["galaxies"]["table"]["columns"] = {column: "x"}
    assert configuration.load(raw)["galaxies"]["table"]["columns"][column] == "x"


@pytest.mark.parametrize(
    ("parameter", "distribution", "words"),
    [
        ("tau", {"uniform": [0, 100]}, "tau.uniform: [0, 100] is not allowed; expected values from 0.1 to 100"),
        ("tau", {"unifrm": [1, 10]}, "tau.unifrm: unknown key, did you mean uniform?"),
        ("tau", {"uniform": [1, 2], "constant": 3}, "expected exactly one of uniform, log_uniform"),
        ("tau", {"log_uniform": [0, 10]}, "tau.log_uniform: [0, 10] is not allowed; expected limits above 0"),
        ("dust2", {"uniform": [-1, 1]}, "expected values of at least 0"),
        ("dust2", {"normal": [0, 0]}, "expected a standard deviation (the second) above 0"),
        ("dust2", {"normal": [0, 1, 2, 1]}, "expected [mean, sd, low, high] with low below high"),
        ("dust2", {"normal": [0, 1, -2, 1]}, "expected values of at least 0"),
        ("log_us", {"uniform": [-5, -1]}, "log_us.uniform: [-5, -1] is not allowed; expected values from -4 to -1"),
        ("log_us", {"constant": 0}, "log_us.constant: 0 is not allowed; expected values from -4 to -1"),
        ("log_us", {"relation": False}, "relation: false is not allowed; expected true"),
        ("age", {"fraction_of_t_univ": [0.5, 1.5]}, "expected values from 0 to 1"),
        ("age", {"log_uniform_to_t_univ": 0}, "log_uniform_to_t_univ: 0 is not allowed"),
        ("redshift", {"uniform_in_scale_factor": [-1, 5]}, "expected values of at least 0"),
        ("redshift", {"uniform": [5, 0]}, "expected the lower limit first"),
        ("age", {"relation": True}, "sampling.age: relation is not allowed; it is for log_zmet and log_us only"),
        ("age", {"uniform_in_scale_factor": [0, 1]}, "uniform_in_scale_factor is not allowed; it is for redshift only"),
        ("tau", {"log_uniform_to_t_univ": 0.1}, "log_uniform_to_t_univ is not allowed; it is for age only"),
        ("tau", {"fraction_of_t_univ": [0.1, 1]}, "fraction_of_t_univ is not allowed; it is for age only"),
    ],
)
def test_a_mistake_in_a_distribution_is_named(project, parameter, distribution, words):
    raw = nested("parent.star_forming.sampling", SAMPLING | {parameter: distribution})
    message = problems(raw)
    assert f"parent.star_forming.sampling.{parameter}" in message
    assert words in message


def test_a_missing_distribution_is_named(project):
    sampling = {key: value for key, value in SAMPLING.items() if key != "tau"}
    assert "sampling.tau: missing" in problems(nested("parent.quiescent.sampling", sampling))


@pytest.mark.parametrize("raw", [{}, {"seed": 3}])
def test_the_name_of_the_run_is_needed(project, raw):
    assert "run: missing; expected a name" in problems(raw)


def test_all_problems_come_in_one_message(project):
    raw = {"run": "test", "seed": -1, "galaxies": {"shards": 0}, "spectra": {"write": 1}}
    lines = problems(raw).splitlines()
    assert lines[0] == "the configuration has 3 problems:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["galaxies.shards", "seed", "spectra.write"]
    raw = {"run": "test", "spectra": {"wavelength": [2, 1]}, "diagnostics": {"redshift_bins": [1, 0]}}
    assert problems(raw).startswith("the configuration has 2 problems:")


def test_mistakes_of_form_do_not_hide_the_others(project):
    raw = {"run": "a/b", "seed": -1, "sees": 3, "spectra": {"wavelength": [2, 1]}, "neighbours": {"k": 3, "draws": 2}}
    raw |= {
        "parent": {"star_forming": {"sampling": SAMPLING | {"tau": {"unifrm": [1, 2]}}}},
        "galaxies": {"source": "table"},
    }
    lines = problems(raw | {"photometry": {"filters": ["jwst_f115x", 3]}}).splitlines()
    keys = {line.split(":")[0].strip() for line in lines[1:]}
    assert {"run", "seed", "sees", "spectra.wavelength", "neighbours.k", "photometry.filters[1]"} <= keys
    assert {"parent.star_forming.sampling.tau.unifrm", "galaxies.table.path"} <= keys
    assert len(lines) == len(set(lines))


def test_a_key_at_another_place(project):
    for path, where in (
        ("galaxies.invalid_rows", "galaxies.table.invalid_rows"),
        ("k", "neighbours.k"),
        ("columns", "galaxies.table.columns or export.columns"),
    ):
        assert f"{path}: unknown key, did you mean {where}?; allowed: " in problems(nested(path, 3))
    assert "n: unknown key, did you mean parent.star_forming.n or parent.quiescent.n?" in problems(nested("n", 3))
    assert "redshift: unknown key; allowed: run, " in problems(nested("redshift", 3))  # there are many


def test_further_checks_add_to_the_list(project):
    def further(complete):
        yield f"more: seed is {complete['seed']}"

    with pytest.raises(UserError, match=r"2 problems:\n  realisations: 0 .*\n  more: seed is 42"):
        configuration.load({"run": "test", "realisations": 0}, further=[further])


@pytest.mark.parametrize("key", ["parent.star_forming.n", "parent.quiescent.n", "galaxies.lightcone.n_galaxies"])
@pytest.mark.parametrize("number", [1.0e300, 10**300, 2**63])
def test_numbers_beyond_all_machines(project, key, number):
    assert f"{key}: {json.dumps(number)[:70]}" in problems(nested(key, number))


def test_a_table_that_is_not_the_source(project):
    message = problems(nested("galaxies.table.path", "survey.fits"))
    assert 'galaxies.source: lightcone is not allowed with galaxies.table.path "survey.fits"' in message


COLUMNS_KEY = "galaxies.table.columns"


@pytest.mark.parametrize(
    ("columns", "others", "words"),
    [
        ({"log_sfr": "a", "sfr": "b"}, {}, f"{COLUMNS_KEY}.log_sfr and {COLUMNS_KEY}.sfr: both are named ('a', 'b')"),
        ({"av": "a", "dust2": "b"}, {}, "both are named"),
        ({"oh12": "a", "log_zmet": "b"}, {}, "both are named"),
        ({"muv_error": "a"}, {}, f"{COLUMNS_KEY}.muv_error: 'a' is not used without {COLUMNS_KEY}.muv; name that as"),
        (
            {"redshift": 21},
            {},
            f"{COLUMNS_KEY}.redshift: 21 is not allowed; expected the name of a column, or a redshift",
        ),
        ({"redshift": 2, "scale_factor": "a"}, {}, f"{COLUMNS_KEY}.redshift and {COLUMNS_KEY}.scale_factor: both"),
        (
            {"uv": "a"},
            {"quiescent": {"from": "uvj"}},
            f"{COLUMNS_KEY}.vj: null is not allowed with galaxies.table.quie",
        ),
        ({}, {"quiescent": {"values": ["Q"]}}, "quiescent.values: not used with quiescent.from mass_function"),
        ({}, {"sfr_imf": "salpeter"}, "galaxies.table.sfr_imf: not used as long as"),
        ({}, {"mass_imf": "chabrieur"}, '"chabrieur" is not allowed; expected one of null, chabrier, kroupa, salpeter'),
    ],
)
def test_columns_that_contradict_each_other(project, columns, others, words):
    table = {"path": "survey.fits", "columns": columns} | others
    assert words in problems({"run": "test", "galaxies": {"source": "table", "table": table}})


def test_a_long_list_of_problems_is_cut(project):
    lines = problems({"run": "test"} | {f"x{i}": i for i in range(15)}).splitlines()
    assert len(lines) == 2 + messages.MAX_PROBLEMS
    assert lines[-1].strip() == "... and 5 more"


def test_an_ssp_table_to_be_made_need_not_exist(project):
    configuration.load(nested("sps.table", "results/ssp/mine.h5"))
    configuration.load({"run": "test", "results": "out", "sps": {"table": "out/ssp/mine.h5"}})
    assert "sps.table" in problems({"run": "test", "results": "out", "sps": {"table": "results/ssp/mine.h5"}})


def test_results_below_a_file_or_in_a_folder_of_others_are_refused(project, monkeypatch):
    assert "is not a folder" in problems(nested("results", "survey.fits/below"))
    (project / "locked").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert "cannot be written" in problems(nested("results", "locked/results"))


@pytest.mark.parametrize(
    ("content", "words"), [("run: [", "as YAML: line 1: "), ("- run", "expected keys and values"), ("", "run: missing")]
)
def test_a_file_that_is_no_config_is_named(project, content, words):
    path = project / "mine.yaml"
    path.write_text(content)
    message = problems(path)
    assert words in message
    assert str(path) in message


def test_a_file_that_is_missing_is_named(project):
    assert "cannot read the config" in problems(project / "no.yaml")


def test_the_reference_is_up_to_date(root):
    assert (root / "config" / "README.md").read_text() == reference.markdown(), "run `make docs`"


def test_the_reference_names_every_key_of_a_complete_config(project):
    text = reference.markdown()

    def leaves(node, path=""):
        for key, value in node.items():
            yield from leaves(value, f"{path}{key}.") if isinstance(value, dict) else [path + key]

    missing = [key for key in leaves(configuration.load({"run": "test"})) if f"| `{key}` |" not in text]
    assert missing == []


def test_the_reference_leaves_no_cell_empty():
    assert [line for line in reference.markdown().splitlines() if line.startswith("|") and "|  |" in line] == []


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"neighbours": {"k": "5"}}, "neighbours.k"),
        ({"neighbours": {"allowed_ages_only": "false"}}, "neighbours.allowed_ages_only"),
        ({"galaxies": {"shards": "3"}}, "galaxies.shards"),
        ({"spectra": {"wavelength": ["1000", "5000"]}}, r"spectra.wavelength\[1\]"),
    ],
)
def test_what_snakemake_hands_on_as_text_is_explained(change, key):
    with pytest.raises(UserError, match=rf"{key}.*it is text.*write it in a config file"):
        configuration.load({"run": "test"} | change)


OWN = {
    "Model.dust_type",  # of somebody who asks for no slope
    "Check.min_count",  # of galaxies of a whole sample
    *(f"{owner}.{name}" for owner in ("Relation", "relation") for name in ("redshift", "log_mstar")),  # no limits
    *("LightCone.draw.realisations", "write_shards.realisations"),  # indices, of which the schema has the number
    *(f"{owner}.area" for owner in ("flux_error", "limit", "measure")),  # relative to that of a point source
    *("Relations.of.quiescent", "Settings.relation_name.quiescent"),
    *(f"{slope}.a_uv" for slope in ("_williams2018_beta", "_bouwens2014", "_cullen2023")),  # no dust, not no relation
}
"""Defaults of the library that are not those of the key of the same name."""


def defaults_of_the_library():
    """Yield the defaults of the arguments of functions and classes, with their names."""
    for found in pkgutil.walk_packages(mocksed.__path__, "mocksed."):
        if found.name == "mocksed.run.mpi":  # its import starts MPI
            continue
        for owner in vars(importlib.import_module(found.name)).values():
            if getattr(owner, "__module__", None) != found.name:
                continue
            for function in filter(inspect.isfunction, vars(owner).values() if inspect.isclass(owner) else [owner]):
                for name, parameter in inspect.signature(function).parameters.items():
                    if parameter.default is not parameter.empty:
                        yield f"{function.__qualname__}.{name}".replace("__init__.", ""), parameter.default


def test_what_schema_and_library_both_hold_is_the_same():
    defaults = configuration.load({"run": "test"})
    of_key = {}

    def collect(section):
        for key, value in section.items():
            if isinstance(value, dict):
                collect(value)
            else:
                of_key.setdefault(key, []).append(value)

    collect(defaults)
    compared = set()
    for name, value in defaults_of_the_library():
        key = name.rpartition(".")[2]
        is_a_default = isinstance(value, (bool, int, float, str, tuple)) and value not in ("", ())
        if is_a_default and key in of_key and name not in OWN:
            assert (list(value) if isinstance(value, tuple) else value) in of_key[key], name
            compared.add(name.rpartition(".")[0])
    assert compared >= {"Cosmology", "TableSpec", "LightCone", "Settings", "Search", "Model", "of_run", "population"}


def test_defaults_of_the_schema_are_those_of_the_library():
    defaults = configuration.load({"run": "test"})
    assert Relations.from_config(defaults["relations"]) == Relations()
    assert defaults["quiescent"]["uvj_box"] == dict(WILLIAMS2009)
    assert Cosmology(**defaults["cosmology"]) == Cosmology()

    def hashable(section):
        return {key: tuple(value) if isinstance(value, list) else value for key, value in section.items()}

    assert Settings(**hashable(defaults["diagnostics"])) == Settings()
    cone = hashable(defaults["galaxies"]["lightcone"])
    cone |= {"area_deg2": cone.pop("area"), "seed": defaults["seed"]}
    own = {name: argument.default for name, argument in inspect.signature(LightCone).parameters.items()}
    assert cone == {key: own[key] for key in cone}
    table = defaults["galaxies"]["table"]
    assert table["oh12_solar"] == OH12_SOLAR
    assert (table["redshift"], table["log_mstar"]) == (list(lightcone.REDSHIFTS), list(lightcone.LOG_MSTARS))
    spec = TableSpec.from_config(table | {"path": "a.csv"}, defaults["quiescent"]["uvj_box"])
    assert spec == TableSpec(Path("a.csv"), columns=spec.columns)
    assert spec.roles() == TableSpec(Path("a.csv")).roles()


def test_the_options_of_the_stellar_population_model_are_those_of_the_library():
    options = yaml.safe_load(schema.SCHEMA.read_text())["properties"]["sps"]["properties"]
    assert {field.name: options[field.name]["default"] for field in fields(Model)} == asdict(
        Model(dust_type="kriek_conroy")
    )
    assert options["sfh"]["enum"] == list(SFH)
    assert options["dust_type"]["enum"] == list(CURVES)
    assert {name: (options[name]["minimum"], options[name]["maximum"]) for name in LIMITS} == LIMITS
    assert set(options["igm"]["enum"]) == {*igm.MODELS, "none"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sfh", "burst", "expected one of delayed_tau, tau, constant"),
        ("dust_type", "witt_gordon", "expected one of power_law, cardelli, calzetti"),
        ("dust_index", 1.0, "expected a number from -3 to 0.4"),
        ("uvb", -1, "expected a number from 0 to 5"),
        ("duste_umin", 30, "expected a number from 0.1 to 25"),
        ("igm", "madau", "expected one of madau1995, inoue2014, none"),
    ],
)
def test_options_that_the_model_does_not_have_are_refused(key, value, message):
    found = problems(nested(f"sps.{key}", value))
    assert f"sps.{key}" in found
    assert message in found


# Presets


@pytest.mark.parametrize("preset", ["drakos2021a", "drakos2021b"])
def test_a_preset_sets_what_makes_the_method(project, preset):
    loaded = configuration.load({"run": "test", "preset": preset})
    assert loaded["parent"]["star_forming"]["sampling"] == loaded["parent"]["quiescent"]["sampling"] == preset
    assert loaded["neighbours"]["metric"] == preset
    assert not loaded["neighbours"]["allowed_ages_only"]
    assert (loaded["assignment"]["method"], loaded["sps"]["dust_type"]) == ("weighted_mean", "calzetti")
    assert not loaded["parent"]["quiescent"]["in_box_only"]
    assert configuration.load(loaded) == loaded


def test_the_users_keys_win_over_a_preset(project):
    raw = {
        "run": "test",
        "preset": "drakos2021b",
        "neighbours": {"k": 3},
        "parent": {"star_forming": {"sampling": SAMPLING}},
    }
    loaded = configuration.load(raw)
    assert (loaded["neighbours"]["k"], loaded["neighbours"]["metric"]) == (3, "drakos2021b")
    assert loaded["parent"]["star_forming"]["sampling"]["dust2"] == SAMPLING["dust2"]
    assert loaded["parent"]["quiescent"]["sampling"] == "drakos2021b"


def test_presets_are_those_of_sampling_and_metric_and_set_known_keys():
    root = schema.read()
    names = root["properties"]["preset"]["enum"]
    assert names == ["default", *schema.presets(root)]
    assert names == [*root["properties"]["neighbours"]["properties"]["metric"]["enum"], "sky2026"]
    keys = {name: list(values) for name, values in schema.presets(root).items()}
    assert keys["drakos2021a"] == keys["drakos2021b"]
    for path in (path for paths in keys.values() for path in paths):
        reduce(lambda node, key: node["properties"][key], path.split("."), root)


def test_a_variant_differs_in_its_name_and_its_preset_alone(project):
    neighbours = {"scales": {"beta": 0.5}, "threads": 2}
    raw = {"run": "mine", "seed": 7, "neighbours": neighbours, "sps": {"dust_type": "smc"}}
    own = configuration.load(raw)
    before = copy.deepcopy(own)
    other = configuration.load(config.variant(own, "drakos2021a"))
    assert own == before
    assert (other["run"], other["seed"], other["neighbours"]["threads"]) == ("mine-drakos2021a", 7, 2)
    plain = {"run": "mine-drakos2021a", "preset": "drakos2021a", "seed": 7, "neighbours": {"threads": 2}}
    assert other == configuration.load(plain)
    back = configuration.load(config.variant(other, "default"))
    assert back == configuration.load({"run": "mine-drakos2021a-default", "seed": 7, "neighbours": {"threads": 2}})


def test_variants_of_2021_have_no_relation_that_their_method_does_not_use(project):
    relations = {
        "a_uv": "mclure2018",
        "dust_index": "chevallard2013",
        "log_zmet": "curti2020",
        "scatter": {"a_uv": 0.3},
    }
    own = configuration.load({"run": "mine", "relations": relations})
    for preset in ("drakos2021a", "drakos2021b"):
        other = configuration.load(config.variant(own, preset))["relations"]
        assert (other["a_uv"], other["dust_index"], other["scatter"]["a_uv"]) == (None, None, None)
        assert other["log_zmet"] == "curti2020"


def test_laws_of_lyman_alpha_are_those_that_there_are():
    named, _ = schema.read()["properties"]["sps"]["properties"]["lya_escape"]["oneOf"]
    assert named["enum"] == list(lya.LAWS)


def test_mass_functions_are_those_that_there_are(project):
    names = schema.read()["properties"]["galaxies"]["properties"]["mass_functions"]["enum"]
    assert names == list(MASS_FUNCTIONS)
    assert configuration.load({"run": "test"})["galaxies"]["mass_functions"] == DEFAULT
    with pytest.raises(
        UserError, match=r'galaxies\.mass_functions: "weaver2022" is not allowed; expected one of williams2018'
    ):
        configuration.load({"run": "test", "galaxies": {"mass_functions": "weaver2022"}})


def test_the_relations_of_2026_are_a_preset_and_stay_in_variants(project):
    own = configuration.load({"run": "mine", "preset": "sky2026", "relations": {"a_uv": "pannella2015"}})
    assert own["galaxies"]["mass_functions"] == "weaver2023"
    relations = own["relations"]
    assert (relations["log_sfr_star_forming"], relations["a_uv"]) == ("leja2022", "pannella2015")
    assert (relations["mass_imf"], relations["sfr_imf"]) == ("chabrier", "chabrier")
    same = configuration.load({"run": "mine"})
    for key in ("parent", "neighbours", "assignment"):
        assert own[key] == same[key]
    assert own["sps"] == same["sps"] | {"line_attenuation": 1.33, "lya_escape": "oyarzun2016"}
    other = configuration.load(config.variant(own, "drakos2021a"))
    assert (other["relations"]["log_sfr_star_forming"], other["relations"]["a_uv"]) == ("leja2022", None)
    assert other["galaxies"]["mass_functions"] == "weaver2023"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"assignment": {"proposals": "joint"}}, "assignment.proposals: this key no longer exists; leave it out"),
        (
            {"quiescent": {"max_tries": 10}},
            "quiescent.max_tries: this key no longer exists; leave it out; parent.quiescent",
        ),
        ({"diagnostics": {"max_searched": 50}}, "diagnostics.max_searched: this key no longer exists"),
        ({"neighbours": {"metric": "drakos2021a"}}, "assignment.method: choose is not allowed with neighbours.metric"),
        (
            {"assignment": {"prior": {"quiescent": {"age_fraction": [0.5, 0.0]}}}},
            "assignment.prior.quiescent.age_fraction: [0.5, 0.0] is not allowed; expected a standard deviation",
        ),
        (
            {"diagnostics": {"triangle_redshift": [0.3, 0.0]}},
            "diagnostics.triangle_redshift: [0.3, 0.0] is not allowed",
        ),
        (
            {
                "sps": {"dust_type": "smc"},
                "parent": {"star_forming": {"sampling": SAMPLING | {"dust_index": {"constant": 0}}}},
            },
            "parent.star_forming.sampling.dust_index: not used with sps.dust_type smc",
        ),
    ],
)
def test_what_the_search_cannot_take_is_said(project, changes, expected):
    with pytest.raises(UserError) as error:
        configuration.load({"run": "test"} | changes)
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("relations", "message"),
    [
        ({"muv": "williams2019"}, "relations.muv: 'williams2019' is not known; expected one of williams2018, or "),
        ({"log_zmet": "own.csv"}, "relations.log_zmet: 'own.csv' is not known; only log_sfr_star_forming, "),
        ({"muv": "none.csv"}, "relations.muv: cannot read none.csv: No such file or directory"),
        ({"a_uv": "mclure2018", "a_v": "garn_best2010"}, "relations.a_uv, relations.a_v: only one of them can take "),
        ({"scatter": {"a_v": 0.2}}, "relations.scatter.a_v: not used without relations.a_v; name one, "),
        ({"scatter": {"muv": -0.2}}, "relations.scatter.muv: -0.2 is not allowed"),
        ({"mass_imf": "kroupa2001"}, 'relations.mass_imf: "kroupa2001" is not allowed'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_relations_is_said(project, relations, message):
    assert message in problems({"run": "test", "relations": relations})


def test_relations_that_a_run_would_not_use_are_refused(project):
    independent = {"assignment": {"method": "nearest"}, "relations": {"a_uv": "mclure2018"}}
    assert "relations.a_uv: not used with assignment.method " in problems({"run": "test"} | independent)
    fixed = {"sps": {"dust_type": "calzetti"}, "relations": {"dust_index": "chevallard2013"}}
    assert "relations.dust_index: not used with sps.dust_type calzetti" in problems({"run": "test"} | fixed)


def test_a_relation_may_be_a_table(project):
    Path("own.csv").write_text("redshift,log_mstar,mean,scatter\n0,8,-15,0.5\n")
    loaded = configuration.load({"run": "test", "relations": {"muv": "own.csv", "beta": "cullen2023"}})
    relations = Relations.from_config(loaded["relations"])
    assert float(relations.muv.mean(9.0, 1.0)) == -15.0
    assert relations.beta.name == "cullen2023"


@pytest.mark.parametrize("text", ["z</script><script>alert(1)", "<!-- z"])
def test_text_that_would_end_a_script_of_the_report_is_refused(text):
    table = {"path": "survey.fits", "columns": {"redshift": text}}
    with pytest.raises(UserError, match=r"galaxies\.table\.columns\.redshift: .* not allowed.*Rename it"):
        configuration.load({"run": "x", "galaxies": {"source": "table", "table": table}}, to_plan=True)
    with pytest.raises(UserError, match=r"photometry\.filter_files.*this name is not allowed"):
        configuration.load({"run": "x", "photometry": {"filter_files": {text: "curve.dat"}}})
