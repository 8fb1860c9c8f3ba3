"""The Makefile with tools that only say how they were called."""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

Make = Callable[..., subprocess.CompletedProcess]
LOCK = ".snakemake/make-run.lock"


@pytest.fixture
def make(root: Path, tmp_path: Path) -> Make:
    """Return what runs make in a folder whose environment is installed, with the commands in ``bin`` before others."""
    for path in (root / "Makefile", root / "pyproject.toml", *root.glob("requirements*.lock")):
        shutil.copy(path, tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "docs").mkdir()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@" >> called\n')
    python.chmod(0o755)
    (tmp_path / ".venv" / ".installed").write_text(f"{tmp_path}/.venv\n")
    (tmp_path / "bin").mkdir()

    def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        (tmp_path / "called").unlink(missing_ok=True)
        mine = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", **environment}
        for name in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS"):  # of the make that runs the tests
            mine.pop(name, None)
        return subprocess.run(["make", *arguments], cwd=tmp_path, env=mine, capture_output=True, text=True, check=False)

    return make


def called(folder: Path) -> list[str]:
    """Return what Python was called with."""
    return (folder / "called").read_text().splitlines()


RUN = ["-m snakemake --cores all --configfile config/config.yaml --rerun-incomplete"]
UNLOCK = ["-m snakemake --cores all --configfile config/config.yaml --unlock"]


def test_a_run_after_one_that_was_killed_is_unlocked(make: Make, tmp_path: Path) -> None:
    assert make("run").returncode == 0
    assert [line for line in called(tmp_path) if "report" not in line] == [
        "-m mocksed.cli check --configfile config/config.yaml",
        *RUN,
    ]
    (tmp_path / LOCK).write_text("running\n")
    assert make("run").returncode == 0
    assert called(tmp_path)[1:3] == UNLOCK + RUN


def test_a_run_ends_with_where_its_results_are_and_makes_its_report_if_they_changed(make: Make, tmp_path: Path) -> None:
    python = tmp_path / ".venv/bin/python"
    python.write_text(python.read_text() + 'case "$*" in *report-path*) echo results/demo/report.html;; esac\n')
    (tmp_path / "results/demo").mkdir(parents=True)
    plot, report = tmp_path / "results/demo/uvj.png", tmp_path / "results/demo/report.html"
    for dates, is_made in (((1,), True), ((1, 2), False), ((3, 2), True)):
        for path, date in zip((plot, report), dates, strict=False):
            path.touch()
            os.utime(path, (date, date))
        run = make("run")
        assert any("--report results/demo/report.html" in line for line in called(tmp_path)) == is_made
        assert run.stdout.splitlines()[-3:] == [
            "catalogue: results/demo/catalog", "plots:     results/demo/plots", "report:    results/demo/report.html",
        ]  # fmt: skip


def test_a_run_beside_another_waits_until_that_has_ended(make: Make, tmp_path: Path) -> None:
    (tmp_path / ".snakemake").mkdir()
    with open(tmp_path / LOCK, "w") as lock, ThreadPoolExecutor(1) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waits = pool.submit(make, "run")
        with pytest.raises(TimeoutError):
            waits.result(1.0)
        lock.close()
        assert "waiting for another run" in waits.result().stderr
    assert called(tmp_path)[1:2] == RUN


def test_a_disk_without_locks_is_said_and_no_lock_of_another_run_is_cleared(make: Make, tmp_path: Path) -> None:
    flock = tmp_path / "bin" / "flock"
    flock.write_text("#!/bin/sh\necho 'flock: 9: No locks available' >&2; exit 71\n")
    flock.chmod(0o755)
    (tmp_path / ".snakemake").mkdir()
    (tmp_path / LOCK).write_text("running\n")
    done = make("run")
    assert done.returncode == 0
    assert "cannot lock a file on this disk: start one run at a time" in done.stderr
    assert "waiting" not in done.stderr
    assert called(tmp_path)[1:2] == RUN


def test_a_home_that_cannot_be_written_is_not_needed(make: Make, tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin" / "python").write_text('#!/bin/sh\necho "$XDG_CACHE_HOME" >> called\n')
    for environment, cache in (
        ({"HOME": "/proc/nohome", "XDG_CACHE_HOME": ""}, tmp_path / ".cache"),
        ({"HOME": "/proc/nohome", "XDG_CACHE_HOME": str(tmp_path)}, tmp_path),
        ({"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": ""}, tmp_path / "home" / ".cache"),
    ):
        make("docs", **environment)
        assert set(called(tmp_path)) == {str(cache)}


def test_an_environment_that_was_copied_with_its_folder_is_made_anew(make: Make, tmp_path: Path) -> None:
    assert make("--dry-run", "env").stdout == "make: Nothing to be done for 'env'.\n"
    (tmp_path / ".venv" / ".installed").write_text("/elsewhere/.venv\n")
    assert "python3 -m venv --clear .venv\n" in make("--dry-run", "env").stdout


def test_all_that_is_installed_has_a_checksum(make: Make, tmp_path: Path, root: Path) -> None:
    (tmp_path / ".venv" / ".installed").unlink()
    said = make("--dry-run", "env", ".venv/.bench").stdout
    installs = re.findall(r"pip install .*?(?= \|\|| &&|[);]|\n|$)", said)
    assert len(installs) == 7
    for install in installs:
        assert "--require-hashes -r requirements" in install or "--no-deps --no-build-isolation --no-index" in install
    for lock in root.glob("requirements*.lock"):
        pins = re.findall(r"^[a-z].*", lock.read_text(), re.MULTILINE)
        assert pins
        assert all(re.search(r"==\S+ .*\\$", pin) for pin in pins)  # the checksums follow
    locked = (root / "requirements.lock").read_text()
    assert all(f"\n{name}==" in locked for name in ("editables", "hatchling"))


def test_tools_are_run_as_modules(root: Path) -> None:
    """Their scripts name the Python of the folder in which they were installed."""
    script = re.compile(r'(?<!"-m", )"(snakemake|pytest|ruff|mypy|snakefmt|uv)", "-|\.venv/bin/(?!python)\w+')
    files = [root / "Makefile", root / ".ci/run"]
    files += [path for folder in ("tests", "benchmarks", "workflow", "src") for path in (root / folder).rglob("*.py")]
    for path in files:
        assert not script.search(path.read_text()), path


def test_hooks_of_commits_run_what_make_lint_runs(root):
    hooks = [
        hook
        for repo in yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"]
        for hook in repo["hooks"]
    ]
    lint = re.search(r"^lint: env\n((?:\t.*\n)+)", (root / "Makefile").read_text(), re.MULTILINE).group(1)
    of_make = [
        re.sub(r"^\$\(if \$\(SNAKEFILES\),(.*) \$\(SNAKEFILES\)\)$", r"\1", line)
        for line in lint.replace("\t", "").splitlines()
    ]
    assert [
        hook["entry"].replace(".venv/bin/python", "$(PY)").replace(" --force-exclude", "") for hook in hooks
    ] == of_make
    assert all(hook["language"] == "system" for hook in hooks)
