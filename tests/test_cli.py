import re
import subprocess
import sys

import h5py
import numpy as np
import pytest

from mocksed import __version__, cli, filters, provenance, spectra, storage


@pytest.fixture
def in_root(monkeypatch, root):
    monkeypatch.chdir(root)


def test_check_prints_ok(in_root, capsys):
    assert cli.main(["check", "--configfile", "config/test/tiny.yaml"]) == 0
    assert capsys.readouterr().out == "ok\n"


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


def test_a_missing_schema_is_named(monkeypatch, tmp_path, capsys, root):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", "--configfile", str(root / "config/config.yaml")]) == 1
    assert "workflow/schemas/config.schema.yaml" in capsys.readouterr().err


def test_report_path_follows_the_name_of_the_run(in_root, capsys):
    cli.main(["report-path", "--configfile", "config/test/tiny.yaml"])
    assert capsys.readouterr().out == "results/tiny/report.html\n"


def test_config_docs_prints_the_reference(in_root, root, capsys):
    cli.main(["config-docs"])
    assert capsys.readouterr().out == (root / "config/README.md").read_text()


def test_version_and_unknown_commands(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert __version__ in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        cli.main(["nonsense"])


def test_plan_lists_what_every_rule_needs(in_root, capsys):
    assert cli.main(["plan", "--configfile", "config/sim2048.yaml"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1e+08 galaxies (as the config says), 1e+08 star-forming and 1e+06 quiescent parents;\n")
    shards = int(re.search(r"galaxies\.shards (\d+),", said)[1])
    rules = {line.split()[0]: line.split()[1:] for line in said.splitlines()[2:]}
    assert int(rules["neighbours"][0]) == int(rules["catalog"][0]) == shards
    assert "spectra" not in rules  # sim2048 does not store them


def test_plan_of_a_table_that_is_not_there_yet(in_root, capsys):
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
        (["no_such_run"], "error: which config is of the run 'no_such_run'? none in config/ is."),
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


def test_a_list_may_be_cut_short(in_root):
    command = f"{sys.executable} -m mocksed.cli lines | head -2"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[1].startswith("ly8_923")
    assert done.stderr == ""


@pytest.fixture
def run(tmp_path, monkeypatch, engine, root):
    """A catalogue of four galaxies in the current folder."""
    sps = {"engine": "table", "table": str(root / "resources/ssp_padova_kurucz_chabrier.h5"), "imf_type": 1}
    columns = {name: np.full(4, 0.5) for name in spectra.NEEDED}
    columns |= {"galaxy_id": np.arange(10, 14), "quiescent": np.zeros(4, bool), "log_mstar": np.full(4, 9.0)}
    columns |= {"log_us": np.full(4, -2.0), "log_zmet": np.array([-1.0, -0.5, 0.0, 0.1])}
    about = provenance.of_engine(engine, sps) | spectra.in_catalogue(sps, (1000.0, 9000.0))
    storage.write_table(tmp_path / "results/mine/catalog/0000.parquet", columns, about)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_spectra_of_chosen_galaxies(run, capsys):
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


def test_plan_names_the_realisations(in_root, tmp_path, capsys):
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
