import re
import subprocess
import sys
import warnings

import astropy.table
import astropy.units as u
import h5py
import numpy as np
import pytest
import yaml

from mocksed import __version__, cli, spectra
from mocksed.files import provenance, storage
from mocksed.run import kernel, laws
from mocksed.sps import filters


@pytest.fixture
def in_root(monkeypatch, root):
    monkeypatch.chdir(root)


def test_check_prints_ok(in_root, capsys):
    assert cli.main(["check", "--configfile", "config/config.yaml"]) == 0
    assert capsys.readouterr().out == "ok\n"


def test_check_accepts_the_relations_of_2026_whatever_is_changed_of_them(in_root, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    for changed in (
        "",
        "relations: {a_uv: null}\n",
        "relations: {beta: williams2018, a_uv: null, a_v: garn_best2010}\n",
    ):
        path.write_text(f"run: test\npreset: sky2026\n{changed}")
        assert cli.main(["check", "--configfile", str(path)]) == 0
        assert "ok\n" in capsys.readouterr().out


@pytest.mark.slow
def test_a_mistake_ends_with_one_message_and_status_1(in_root, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("run: test\nseed: -1\n")
    command = [sys.executable, "-m", "mocksed.cli", "check", "--configfile", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: the configuration {path} has a problem:\n  seed: -1 is not allowed")
    assert "Traceback" not in done.stderr


def test_check_reads_the_whole_ssp_table(in_root, tmp_path, capsys, root):
    table, path = tmp_path / "mine.h5", tmp_path / "mine.yaml"
    table.write_bytes((root / "resources/ssp_padova_kurucz_chabrier.h5").read_bytes())
    path.write_text(f"run: test\nsps: {{table: {table}}}\n")
    assert cli.main(["check", "--configfile", str(path)]) == 0
    with h5py.File(table, "r+") as file:
        del file["mass"]
    assert cli.main(["check", "--configfile", str(path)]) == 1
    assert f"has a problem:\n  sps.table: cannot read the SSP table {table}: " in capsys.readouterr().err


def test_check_knows_the_ssp_table_that_is_shipped(in_root, tmp_path, capsys, root):
    """A table of one's own is as good, under a name of its own."""
    shipped, path = root / "resources/ssp_padova_kurucz_chabrier.h5", tmp_path / "mine.yaml"
    for name, status in (("mine.h5", 0), (shipped.name, 1)):
        table = tmp_path / name
        table.write_bytes(shipped.read_bytes())
        with h5py.File(table, "r+") as file:
            file.attrs["mine"] = 1
        path.write_text(f"run: test\nsps: {{table: {table}}}\n")
        assert cli.main(["check", "--configfile", str(path)]) == status
    assert f"sps.table: {table} is not the SSP table that comes with mocksed under this name" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ check of a table


N = 40


def survey():
    """A table that is as it should be with `SETTING`."""
    random = np.random.default_rng(2)
    return {
        "id": np.arange(N),
        "z": random.uniform(0.5, 5.0, N),
        "lmass": random.uniform(8.0, 11.0, N),
        "lsfr": random.uniform(-1.0, 2.0, N),
        "av": random.uniform(0.0, 2.0, N),
        "type": np.where(np.arange(N) % 4 == 0, "Q", "SF"),
        "note": np.full(N, "x"),
    }


SETTING = {"path": "survey.fits", "columns": {"galaxy_id": "id", "redshift": "z", "mass": "lmass", "log_sfr": "lsfr"}}


def checked(folder, root, monkeypatch, capsys, data=None, options=(), units=None, others=None, **table):
    """Return the exit status of ``mocksed check`` of a config with a table, and what it printed."""
    columns = SETTING["columns"] | table.pop("columns", {})
    written = astropy.table.Table(survey() | (data or {}), units=units)
    with warnings.catch_warnings(action="ignore", category=u.UnitsWarning):
        written.write(folder / "survey.fits", overwrite=True)
    galaxies = {"source": "table", "table": SETTING | table | {"columns": columns}}
    (folder / "config.yaml").write_text(yaml.safe_dump({"run": "x", "galaxies": galaxies} | (others or {})))
    for name in ("workflow", "resources"):
        if not (folder / name).exists():
            (folder / name).symlink_to(root / name)
    monkeypatch.chdir(folder)
    status = cli.main(["check", "--configfile", "config.yaml", *options])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_check_says_what_will_be_read(tmp_path, root, monkeypatch, capsys):
    data = {"age": np.where(np.arange(N) < 10, 500.0, np.nan), "muv": np.full(N, -19.0)}
    status, said, _ = checked(
        tmp_path, root, monkeypatch, capsys, data,
        units={"age": "Myr", "lmass": "log(Msun)", "av": "furlong"},
        columns={"age": "age", "av": "av", "quiescent": "type"}, quiescent={"from": "column", "values": ["Q"]},
        keep=["note"],
    )  # fmt: skip
    assert status == 0
    lines = [line.strip() for line in said.splitlines()]
    assert lines[0] == "survey.fits: 40 rows"
    assert lines[-1] == "ok"
    for line in (
        "redshift     <- z",
        "mass         <- lmass, log10 of Msun",
        "log_sfr      <- lsfr, log10 of the SFR in Msun/yr",
        "passed through: note",
        "all rows: 40 can be used",
        "quiescent: 25.0% (column 'type' is one of ['Q'])",
        "log_sfr given: 100.0%",
        "age given: 25.0%",
        "column 'age' is converted from Myr to Gyr (x 0.001)",
        "column 'av': its unit in the file, 'furlong', is not known and ignored",
        "column 'muv' looks like an absolute AB magnitude in the UV and is not used: name it in "
        "galaxies.table.columns.muv",
    ):
        assert line in lines, said


def test_check_reads_the_first_rows_or_all(tmp_path, root, monkeypatch, capsys):
    monkeypatch.setattr("mocksed.galaxies.validation.examine.__defaults__", (10, True))
    monkeypatch.setattr("mocksed.galaxies.preview.CHUNK_ROWS", 10)
    data = {"z": np.where(np.arange(N) == 30, np.nan, 1.0)}
    status, said, _ = checked(tmp_path, root, monkeypatch, capsys, data)
    assert status == 0
    assert "survey.fits: 40 rows" in said
    assert "the first 10 rows: 10 can be used" in said
    status, _, said = checked(tmp_path, root, monkeypatch, capsys, data, ["--all-rows"])
    assert status == 1
    assert "column 'z' missing: 1 row (row 30: nan)" in said


def test_check_finds_the_mistakes_of_config_and_table_together(tmp_path, root, monkeypatch, capsys):
    status, said, mistakes = checked(
        tmp_path, root, monkeypatch, capsys,
        {"id": np.full(N, 3), "z": np.where(np.arange(N) == 7, -1.0, 1.0), "age": np.ones(N)},
        units={"av": "km"}, columns={"av": "av", "muv": "M1500"}, mass_scale="linear",
        others={"seed": -1, "photometry": {"filters": ["jwst_f115x"]}},
    )  # fmt: skip
    assert (status, said) == (1, "")
    for words in (
        "seed: -1 is not allowed",
        "'jwst_f115x'",
        "no column 'M1500' (galaxies.table.columns.muv)",
        "column 'av' (galaxies.table.columns.av) has the unit 'km' in the file",
        "column 'age' has a name that the catalogue needs",
        "column 'lmass' has a median of",
        "column 'id' repeats 39 identifiers: 3 in rows 0 and 1",
        "column 'z' negative: 1 row (row 7: -1.0)",
    ):
        assert words in mistakes, mistakes


@pytest.mark.parametrize("role", ["quiescent", "log_sfr", "av"])
def test_a_column_that_is_not_there_does_not_hide_what_is_wrong_with_rows(tmp_path, root, monkeypatch, capsys, role):
    quiescent = {"from": "column", "values": ["Q"]} if role == "quiescent" else {}
    data = {"z": np.full(N, -1.0)}
    _, _, message = checked(tmp_path, root, monkeypatch, capsys, data, columns={role: "nowhere"}, quiescent=quiescent)
    assert "2 problems" in message
    assert f"no column 'nowhere' (galaxies.table.columns.{role})" in message
    assert "column 'z' negative: 40 rows" in message


def row(values, i, value):
    """Return a column with another value in one row."""
    return [*list(values)[:i], value, *list(values)[i + 1 :]]


GOOD = survey()
MISTAKES = {  # changes of the table, of galaxies.table (units: of the file) and of the config; words of the message
    "a misspelt column": (
        {},
        {"columns": {"mass": "lmas"}},
        {},
        ["survey.fits has no column 'lmas'", "galaxies.table.columns.mass", "Did you mean 'lmass'?", "It has: id, z"],
    ),
    "upper and lower case": (
        {},
        {"columns": {"redshift": "Z"}},
        {},
        ["no column 'Z'", "galaxies.table.columns.redshift", "Did you mean 'z'?"],
    ),
    "a misspelt file": (
        {},
        {"path": "surwey.fits"},
        {},
        ["galaxies.table.path", '"surwey.fits" is not a file', "expected a table", "seen from"],
    ),
    "a table, but not the source": (
        {},
        {},
        {"galaxies": {"table": {"path": "survey.fits"}}},
        ["galaxies.source: lightcone is not allowed", "galaxies.table.path", "expected table"],
    ),
    "a key one level too high": (
        {},
        {},
        {"galaxies": {"source": "table", "table": SETTING, "invalid_rows": "drop"}},
        [
            "galaxies.invalid_rows: unknown key, did you mean galaxies.table.invalid_rows?",
            "allowed: source, mass_functions, shards",
        ],
    ),
    "a misspelt key": ({}, {"colums": {}}, {}, ["galaxies.table.colums: unknown key, did you mean columns?"]),
    "1e6": (
        {},
        {},
        {"parent": {"star_forming": {"n": "1e6"}}},
        ["parent.star_forming.n", '"1e6" is not allowed', "expected an integer from 100", "write 1000000"],
    ),
    "linear masses": (
        {"lmass": 10.0 ** GOOD["lmass"]},
        {},
        {},
        ["column 'lmass' has a median of", "no log10 of a stellar mass", "Set galaxies.table.mass_scale to linear"],
    ),
    "logarithms called linear": (
        {},
        {"mass_scale": "linear"},
        {},
        ["column 'lmass' has a median of", "too small for stellar masses in Msun", "galaxies.table.mass_scale to log"],
    ),
    "masses in 1e10 Msun": (
        {"lmass": 10.0 ** (GOOD["lmass"] - 10.0)},
        {"mass_scale": "linear"},
        {},
        ["column 'lmass' has a median of", "too small", "galaxies.table.mass_factor to it (1.0e+10 for 1e10 Msun)"],
    ),
    "masses in Msun/h": (
        {},
        {"units": {"lmass": "log(Msun/h)"}},
        {},
        ["column 'lmass'", "unit 'log(Msun/h)' in the file", "galaxies.table.mass_unit is Msun", "set it to Msun/h"],
    ),
    "a velocity for a redshift": (
        {},
        {"units": {"z": "km/s"}},
        {},
        ["column 'z'", "unit 'km s-1' in the file", "redshift, without a unit, is expected", "name another column"],
    ),
    "a mark of what is missing": (
        {"z": row(GOOD["z"], 5, -99.0)},
        {},
        {},
        ["column 'z' negative: 1 row (row 5: -99.0)", "expected 0 to 20", "galaxies.table.missing_values"],
    ),
    "a NaN": (
        {"lmass": row(GOOD["lmass"], 6, np.nan)},
        {},
        {},
        ["column 'lmass' missing: 1 row (row 6: nan)", "expected a number", "`invalid_rows: drop` (galaxies.table)"],
    ),
    "identifiers that repeat": (
        {"id": row(GOOD["id"], 9, 3)},
        {},
        {},
        ["column 'id' repeats 1 identifiers: 3 in rows 3 and 9", "must be unique", "galaxy_id: null"],
    ),
    "a class without its column": (
        {},
        {"quiescent": {"from": "column"}},
        {},
        ["galaxies.table.columns.quiescent: null is not allowed", "quiescent.from column", "expected the name of that"],
    ),
    "a class of text": (
        {},
        {"columns": {"quiescent": "type"}, "quiescent": {"from": "column"}},
        {},
        ["column 'type' not a flag: 40 rows (row 0: 'Q'", "expected true or false, 1 or 0", "quiescent.values"],
    ),
    "an SFR twice": (
        {},
        {"columns": {"sfr": "av"}},
        {},
        [
            "galaxies.table.columns.log_sfr and galaxies.table.columns.sfr",
            "('lsfr', 'av')",
            "set the other one to null",
        ],
    ),
    "a linear SFR": (
        {"lsfr": 10.0 ** (GOOD["lsfr"] + 1.0)},
        {},
        {},
        ["column 'lsfr' has a median of", "log10 of the SFR in Msun/yr", "linear SFR in galaxies.table.columns.sfr"],
    ),
    "a specific SFR": (
        {"lsfr": GOOD["lsfr"] - 9.5},
        {},
        {},
        ["column 'lsfr' has values from", "log10 of the SFR in Msun/yr", "galaxies.table.columns.ssfr"],
    ),
    "12 + log O/H": (
        {"oh": np.full(N, 8.5)},
        {"columns": {"log_zmet": "oh"}},
        {},
        ["column 'oh' has a median of 8.5", "log10 of the metallicity in Zsun", "galaxies.table.columns.oh12"],
    ),
    "an age in yr": (
        {"t": np.full(N, 1e9)},
        {"columns": {"age": "t"}},
        {},
        ["column 't' has a median of 1e+09", "in Gyr", "in yr or Myr", "Convert them"],
    ),
    "an apparent magnitude": (
        {"m": np.full(N, 25.0)},
        {"columns": {"muv": "m"}},
        {},
        ["column 'm' has a median of 25", "absolute AB magnitude in the UV", "apparent magnitudes must be converted"],
    ),
    "a name of the catalogue": (
        {"age": np.ones(N)},
        {},
        {},
        [
            "column 'age' has a name that the catalogue needs",
            "Rename it",
            "keep",
            "set galaxies.table.columns.age to it",
        ],
    ),
    "an error without a value": (
        {},
        {"columns": {"muv_error": "av"}},
        {},
        ["galaxies.table.columns.muv_error: 'av' is not used without galaxies.table.columns.muv", "name that as well"],
    ),
    "another extension": (
        {},
        {"dataset": "CAT"},
        {},
        ["survey.fits has no extension 'CAT'", "it has 0 (PRIMARY)", "Set galaxies.table.dataset"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_message_of_a_mistake_says_what_is_wrong_where_and_what_to_do(tmp_path, root, monkeypatch, capsys, mistake):
    data, table, others, words = MISTAKES[mistake]
    status, said, message = checked(tmp_path, root, monkeypatch, capsys, data, others=others, **table)
    assert (status, said) == (1, "")
    assert message.startswith("error: the configuration config.yaml has a problem:\n"), message
    for expected in words:
        assert expected in message, message


def test_a_config_is_checked_in_any_folder(monkeypatch, tmp_path, capsys, root):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", "--configfile", str(root / "config/config.yaml")]) == 0
    assert capsys.readouterr().out.endswith("ok\n")


def test_report_path_follows_the_name_of_the_run(in_root, capsys):
    cli.main(["report-path", "--configfile", "config/test/tiny.yaml"])
    assert capsys.readouterr().out == "results/tiny/report.html\n"


def test_config_docs_prints_the_reference(in_root, root, capsys):
    cli.main(["config-docs"])
    assert capsys.readouterr().out == (root / "config/README.md").read_text()


def test_relations_are_listed(in_root, root, capsys):
    assert cli.main(["relations"]) == 0
    assert capsys.readouterr().out == (root / "docs/relations.md").read_text()


def test_plots_are_listed(in_root, root, capsys):
    assert cli.main(["plots"]) == 0
    assert capsys.readouterr().out == (root / "docs/plots.md").read_text()


def test_observed_data_are_listed(in_root, root, capsys):
    assert cli.main(["sky-data"]) == 0
    assert capsys.readouterr().out == (root / "docs/sky.md").read_text()


def test_check_says_which_relations_are_extrapolated(in_root, tmp_path, capsys):
    path = tmp_path / "some.yaml"
    limits = "{redshift: [0.5, 2.5], log_mstar: [9, 11]}"
    path.write_text(f"run: test\ngalaxies: {{lightcone: {limits}}}\nrelations: {{log_zmet: nakajima2023}}\n")
    assert cli.main(["check", "--configfile", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == "ok\n"
    assert err.startswith("note: galaxies at redshifts 0.5-2.5 with log10 of masses 9-11 extrapolate ")
    assert "log_zmet nakajima2023 (z 4-10, log M 7-10)" in err
    assert len(err.splitlines()) == 1


def test_version_and_unknown_commands(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert __version__ in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        cli.main(["nonsense"])


@pytest.fixture
def timed(monkeypatch):
    """Have the reference kernel take as long as where the laws were measured, at once."""
    monkeypatch.setattr(kernel, "seconds", lambda: laws.REFERENCE_S)


def test_plan_lists_what_every_rule_needs(in_root, capsys, timed):
    assert cli.main(["plan", "--configfile", "config/sim2048.yaml"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1e+08 galaxies (as the config says), 1e+08 star-forming and 1e+06 quiescent parents;\n")
    shards = int(re.search(r"galaxies\.shards (\d+),", said)[1])
    rules = {line.split()[0]: line.split()[1:] for line in said.splitlines()[2:]}
    assert int(rules["neighbours"][0]) == int(rules["catalog"][0]) == shards
    assert "spectra" not in rules  # sim2048 does not store them


def test_plan_is_of_this_machine_unless_it_is_to_be_as_measured(in_root, capsys, monkeypatch):
    arguments = ["plan", "--configfile", "config/config.yaml"]
    monkeypatch.setattr(kernel, "seconds", lambda: 2.0 * laws.REFERENCE_S)
    assert cli.main(arguments) == 0
    assert "2.00 times as long" in capsys.readouterr().out
    monkeypatch.setattr(kernel, "seconds", None)
    assert cli.main([*arguments, "--as-measured"]) == 0
    assert "Time is that of a core of the machine that the laws were measured on" in capsys.readouterr().out


def test_plan_of_a_table_that_is_not_there_yet(in_root, capsys, timed):
    assert cli.main(["plan", "--configfile", "config/survey.yaml"]) == 0
    assert capsys.readouterr().out.startswith("1e+06 galaxies (a guess: survey.fits is not there yet), ")


def test_plan_needs_a_config(in_root, capsys):
    assert cli.main(["plan"]) == 1
    assert capsys.readouterr().err.startswith("error: name a config: mocksed plan --configfile F")


def test_plan_is_checked_against_a_run(in_root, tmp_path, capsys, monkeypatch, root):
    finished = tmp_path / "benchmarks" / "demo" / "tree"
    finished.mkdir(parents=True)
    (finished / "0000.tsv").write_text("s\tmax_rss\tcpu_time\n9.0\t1000.0\t1000.0\n")
    monkeypatch.chdir(tmp_path)
    for name in ("config", "workflow", "resources"):
        (tmp_path / name).symlink_to(root / name)
    assert cli.main(["plan", "--check", "demo"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^tree +1/2 .*<- memory and time$", said, re.MULTILINE)
    assert re.search(r"^assign +0/4 +has no benchmark files$", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo"], "error: there are no benchmark files of a run 'demo'"),
        (["no_such_run"], "error: which config describes the run 'no_such_run'? no config in config/ has that name."),
        (["no_such_run", "--configfile", "config/config.yaml"], "there are no benchmark files of a run 'no_such_run'"),
    ],
)
def test_a_run_that_cannot_be_checked(tmp_path, monkeypatch, root, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    for name in ("config", "workflow", "resources"):
        (tmp_path / name).symlink_to(root / name)
    assert cli.main(["plan", "--check", *arguments]) == 1
    assert words in capsys.readouterr().err


def test_lines_lists_short_names_wavelengths_and_names_in_fsps(in_root, capsys, tmp_path):
    assert cli.main(["lines"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 167
    assert "oiii_5007            5008.31  [O III] 5007" in lines
    config = tmp_path / "mine.yaml"
    config.write_text("run: test\nsps: {table: results/ssp/not_yet.h5}\n")
    assert cli.main(["lines", "--configfile", str(config)]) == 1
    assert "cannot read the SSP table results/ssp/not_yet.h5" in capsys.readouterr().err


@pytest.mark.slow
def test_a_list_may_be_cut_short(in_root):
    command = f"{sys.executable} -m mocksed.cli lines | head -2"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[1].startswith("ly8_923")
    assert done.stderr == ""


@pytest.fixture
def run(tmp_path, monkeypatch, engine, root):
    """A catalogue of four galaxies in the current folder."""
    sps = {
        "engine": "table",
        "table": str(root / "resources/ssp_padova_kurucz_chabrier.h5"),
        "imf_type": 1,
        "igm": "madau1995",
    }
    columns = {name: np.full(4, 0.5) for name in spectra.NEEDED}
    columns |= {"galaxy_id": np.arange(10, 14), "quiescent": np.zeros(4, bool), "log_mstar": np.full(4, 9.0)}
    columns |= {"log_us": np.full(4, -2.0), "log_zmet": np.array([-1.0, -0.5, 0.0, 0.1])}
    about = provenance.of_engine(engine, sps) | {"sps": sps}
    storage.write_table(tmp_path / "results/mine/catalog/0000.parquet", columns, about)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_spectra_of_chosen_galaxies(run, engine, capsys):
    (run / "ids.txt").write_text("11 13\n\n10\n")
    for arguments, path, ids in (
        (["--ids", "12", "10", "12"], "results/mine/selected_spectra.parquet", [12, 10, 12]),
        (["--ids", "@ids.txt", "12", "--output", "some.parquet"], "some.parquet", [11, 13, 10, 12]),
    ):
        assert cli.main(["spectra", "--run", "mine", *arguments]) == 0
        assert capsys.readouterr().out == f"{path}\n"
        stored = storage.read_arrays(run / path, ["galaxy_id", "spectrum"])
        assert stored["galaxy_id"].tolist() == ids
        assert stored["spectrum"].tobytes() == spectra.of_run("mine", ids)[1].tobytes()
        assert len(spectra.read_wavelength(run / path)) == stored["spectrum"].shape[1] == len(engine.wavelength)


def test_spectra_in_a_window(run, capsys):
    assert cli.main(["spectra", "--run", "mine", "--ids", "12", "--wavelength", "3600", "7000"]) == 0
    path = capsys.readouterr().out.strip()
    wavelength, expected = spectra.of_run("mine", [12])
    kept = (wavelength >= 3600.0) & (wavelength <= 7000.0)
    assert spectra.read_wavelength(path).tolist() == wavelength[kept].tolist()
    assert storage.read_arrays(path, ["spectrum"])["spectrum"].tobytes() == expected[:, kept].tobytes()
    assert spectra.of_run("mine", [12], wavelength=(3600.0, 7000.0))[1].tobytes() == expected[:, kept].tobytes()


def test_plan_names_the_realisations(in_root, tmp_path, capsys, timed):
    (tmp_path / "mine.yaml").write_text("run: mine\nrealisations: 8\ngalaxies: {lightcone: {n_galaxies: 1000}}\n")
    assert cli.main(["plan", "--configfile", str(tmp_path / "mine.yaml")]) == 0
    assert capsys.readouterr().out.startswith("1e+03 galaxies (as the config says) in 8 realisations, 1e+06 star-form")


def status(arguments):
    """Return the exit status, also where the arguments are no command."""
    try:
        return cli.main(arguments)
    except SystemExit as stopped:
        return stopped.code


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run", "mine", "--ids", "10", "99"], "error: 1 of the 2 galaxies are not in results/mine/catalog: 99"),
        (["--run", "min", "--ids", "10"], "error: there is no catalogue of a run 'min'"),
        (["--run", "mine", "--ids", "10", "--results", "away"], "error: there is no catalogue of a run 'mine' in"),
        (["--run", "mine", "--ids", "10", "--ssp-table", "no.h5"], "error: results/mine/catalog/0000.parquet was made"),
        (
            ["--run", "mine", "--ids", "10", "--realisation", "3"],
            "error: results/mine/catalog has no realisation 3",
        ),
        (
            ["--run", "mine", "--ids", "10", "--wavelength", "10", "90"],
            "error: the spectra have no wavelength between 10 and 90 A; they range from 100 to",
        ),
        (
            ["--run", "mine", "--ids", "10", "--wavelength", "7000", "3600"],
            "error: the spectra have no wavelength between 7000",
        ),
        (
            ["--run", "mine", "--ids", "10", "--wavelength", "1", "9", "--observed", "spherex"],
            "error: --wavelength is the range",
        ),
        (["--run", "mine", "--ids", "10", "--wavelength", "blue"], "--wavelength"),
        (["--run", "mine", "--ids", "10", "--realisation", "x"], "invalid int value: 'x'"),
        (["--run", "mine", "--ids", "ten"], "invalid int value: 'ten'"),
        (["--run", "mine", "--ids", "@no.txt"], "no.txt"),
        (["--run", "mine"], "--ids"),
    ],
)
def test_what_is_wrong_with_a_choice_of_galaxies_is_said(run, capsys, arguments, words):
    assert status(["spectra", *arguments]) == (1 if "error: " in words else 2)
    assert words in capsys.readouterr().err
    assert list(run.rglob("*spectra*")) == []


def test_filters_are_listed(capsys):
    assert cli.main(["filters"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["filter", "pivot", "[A]", "from", "to"]
    listed = {name: [float(number) for number in numbers] for name, *numbers in map(str.split, rows)}
    assert listed.keys() == filters.available().keys()
    assert all(low < pivot < high for pivot, low, high in listed.values())
    assert listed["twomass_J"][0] == pytest.approx(12_358, abs=20)
