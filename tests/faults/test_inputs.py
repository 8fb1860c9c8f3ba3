"""Bad inputs, as data: each is one message with status 1 that says what is wrong, and nothing is written.

The cases are in the YAML files beside this one; their first lines say how they are written. Commands run in this
process, in a folder with what a case needs. What only a job can see is tested where its stage is.
"""

import os
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import astropy.table
import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from mocksed import cli
from tests.runs import merge

pytestmark = pytest.mark.faults

HERE = Path(__file__).parent
CASES: dict[str, dict[str, Any]] = {
    f"{path.stem}: {name}": case
    for path in sorted(HERE.glob("*.yaml"))
    for name, case in yaml.safe_load(path.read_text()).items()
}

PATIENCE_S = 10.0
"""A check that takes longer hangs."""

N = 12
SURVEY = {
    "id": np.arange(1, N + 1),
    "z": np.linspace(0.5, 6.0, N).round(2),
    "lmass": np.linspace(8.2, 11.5, N).round(2),
    "lsfr": np.linspace(-1.0, 2.0, N).round(2),
    "av": np.linspace(0.0, 2.0, N).round(2),
    "type": np.where(np.arange(N) % 4, "SF", "Q"),
    "note": np.full(N, "x"),
}
COLUMNS = {"galaxy_id": "id", "redshift": "z", "mass": "lmass"}


def chdir(folder: Path, root: Path, own_ssp: Path) -> Path:
    """Make a folder the current one, with what every case needs."""
    folder.mkdir(exist_ok=True)
    for linked in ("workflow", "resources"):
        (folder / linked).symlink_to(root / linked)
    shutil.copy(own_ssp, folder)
    os.chdir(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def good(root: Path, own_ssp: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """See that what the cases change is good, which has all imported that a check needs."""
    before = Path.cwd()
    folder = chdir(tmp_path_factory.mktemp("good"), root, own_ssp)
    for case in ({"table": {"columns": {"log_sfr": "lsfr"}}}, {"config": {"galaxies": {"lightcone": {"area": 0.001}}}}):
        assert cli.main(prepare(case, folder)) == 0
    os.chdir(before)


def changed(columns: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the survey with other columns: one value for all rows, a list, {row: value}, or null for none."""
    survey = dict(SURVEY)
    for name, value in columns.items():
        if isinstance(value, dict):
            before = survey.get(name, np.full(N, 0.5))
            values = before.astype(np.result_type(before, *map(np.min_scalar_type, value.values())))
            for row, of_row in value.items():
                values[row] = of_row
            survey[name] = values
        elif value is None:
            del survey[name]
        else:
            survey[name] = np.array(value) if isinstance(value, list) else np.full(N, value)
    return survey


def write_survey(path: Path, columns: dict[str, Any], units: dict[str, str]) -> None:
    """Write the survey in the format of the ending."""
    survey = changed(columns)
    if path.suffix == ".parquet":
        pq.write_table(pa.table(survey), path)
        return
    with warnings.catch_warnings(action="ignore", category=u.UnitsWarning):
        written = astropy.table.Table(survey, units=units)
        options = {"path": "cat"} if path.suffix == ".hdf5" else {}
        written.write(path, format={".csv": "ascii.csv", ".vot": "votable"}.get(path.suffix), **options)


MAKERS: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "zeros": lambda path: path.write_bytes(bytes(5000)),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
}


def prepare(case: dict[str, Any], folder: Path) -> list[str]:
    """Write what a case needs into the current folder; return the command."""
    config = {"run": "x", "sps": {"table": "own.h5"}}
    name = case.get("survey", "survey.csv")
    if "table" in case or "columns" in case or "survey" in case or "units" in case:
        write_survey(folder / name, case.get("columns", {}), case.get("units", {}))
        merge(config, {"galaxies": {"source": "table", "table": {"path": name, "columns": dict(COLUMNS)}}})
        merge(config, {"galaxies": {"table": case.get("table", {})}})
    merge(config, case.get("config", {}))
    for path, content in case.get("files", {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).unlink(missing_ok=True)
        if isinstance(content, dict):
            MAKERS[content["make"]](folder / path)
        else:
            (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    for path, other in case.get("copies", {}).items():
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / path, folder / other)
    for path, length in case.get("cut", {}).items():
        with open(folder / path, "r+b") as file:
            file.truncate(length)
    text = case.get("text", yaml.safe_dump(config, allow_unicode=True))
    if "config.yaml" not in case.get("files", {}):
        (folder / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return case.get("command", ["check", "--configfile", "config.yaml"])


def content(folder: Path) -> dict[str, object]:
    """Return all that is in a folder, with sizes and times."""
    return {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in folder.rglob("*")}


@contextmanager
def no_hang() -> Iterator[None]:
    """Stop what takes longer than `PATIENCE_S`."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"took longer than {PATIENCE_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", CASES)
def test_a_bad_input_is_one_message(name, root, own_ssp, tmp_path, monkeypatch, capsys, recwarn):
    case = CASES[name]
    monkeypatch.chdir(tmp_path)  # and back again
    command = prepare(case, chdir(tmp_path, root, own_ssp))
    before = content(tmp_path)
    with no_hang():
        status = cli.main(command)
    said, message = capsys.readouterr()
    assert (status, said) == (1, ""), message
    assert message.startswith("error: ")
    assert "\nerror: " not in message
    assert "Traceback" not in message
    assert [str(warning.message) for warning in recwarn] == []
    for words in case["say"] if isinstance(case["say"], list) else [case["say"]]:
        assert words in message, message
    assert content(tmp_path) == before


def test_there_are_many_and_each_is_another():
    assert len(CASES) >= 300
    inputs = [str({key: value for key, value in case.items() if key != "say"}) for case in CASES.values()]
    assert len(set(inputs)) == len(inputs)
