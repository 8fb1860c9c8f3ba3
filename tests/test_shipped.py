import os
import subprocess
import sys
from pathlib import Path

import pytest

from mocksed import shipped

TABLE = "resources/ssp_padova_kurucz_chabrier.h5"


def test_files_of_the_current_folder_come_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elsewhere = shipped.found(TABLE)
    assert Path(elsewhere).is_absolute()
    assert Path(elsewhere).is_file()
    Path(TABLE).parent.mkdir()
    Path(TABLE).touch()
    assert shipped.found(TABLE) == TABLE


@pytest.mark.parametrize("path", ["resources/mine.h5", "mine.h5", "/data/resources/mine.h5", "other/" + TABLE])
def test_other_paths_stay_as_they_are(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    assert shipped.found(path) == path


@pytest.fixture(scope="module")
def installed(root, tmp_path_factory):
    """A folder with the package as its wheel installs it."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    build = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, root)
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("mocksed-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel], check=True)
    return folder / "site"


CODE = """
import mocksed
from mocksed.sps.engine import Engine
from mocksed.sps import table
from mocksed import shipped, sky
from mocksed.run import configuration

print(mocksed.__file__)
loaded = configuration.load({"run": "mine"})
print(loaded["sps"]["table"])
print(len(Engine(table.read(loaded["sps"]["table"])).wavelength), len(sky.by_observable()["uv_luminosity_function"]))
"""


@pytest.mark.slow
def test_the_wheel_is_a_library_and_a_command_in_any_folder(installed, tmp_path, root):
    env = os.environ | {"PYTHONPATH": str(installed)}

    def run(*arguments):
        done = subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    package, table, numbers = run("-c", CODE).splitlines()
    assert Path(package).is_relative_to(installed)
    assert Path(table).is_relative_to(installed)
    assert [int(n) > 0 for n in numbers.split()] == [True, True]
    assert (installed / "mocksed" / "py.typed").is_file()
    (tmp_path / "mine.yaml").write_text("run: mine")
    assert run("-m", "mocksed.cli", "check", "--configfile", "mine.yaml") == "ok\n"
    assert "halpha_6563" in run("-m", "mocksed.cli", "lines")
    for command in ("filters", "surveys", "columns", "relations", "sky-data", "config-docs"):
        assert run("-m", "mocksed.cli", command) == subprocess.run(
            [sys.executable, "-m", "mocksed.cli", command], cwd=root, capture_output=True, text=True, check=True
        ).stdout  # fmt: skip
