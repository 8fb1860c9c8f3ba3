import subprocess
import sys

import pytest

from mocksed import __version__, cli


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
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1e+08 galaxies")
    rules = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert int(rules["neighbours"][0]) == 200
    assert "spectra" not in rules  # sim2048 does not store them
    assert float(rules["all"][2]) == pytest.approx(sum(float(v[2]) for k, v in rules.items() if k != "all"), abs=0.1)
