"""What may not be read or written: one message each. A process without root's rights over all files looks at it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.faults

CHECK = """
import contextlib, io, json, sys
from mocksed import cli

found = {}
for name in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as message:
        try:
            status = cli.main(["check", "--configfile", f"{name}.yaml"])
        except Exception as error:
            status = f"{type(error).__name__}: {error}"
    found[name] = [status, message.getvalue()]
print(json.dumps(found))
"""

PLAIN = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Takes from root what lets it read everything."""


def of_table(path: object) -> dict:
    return {"galaxies": {"source": "table", "table": {"path": path, "columns": {"redshift": "z", "mass": "lmass"}}}}


def with_filter(path: str) -> dict:
    return {"photometry": {"filters": ["mine"], "filter_files": {"mine": path}}}


ENTER = "is in a folder that you may not enter"
CASES = {
    "a config": ({}, "error: cannot read the config a config.yaml: Permission denied. Check the path."),
    "a table": (of_table("own.csv"), "cannot read own.csv: Permission denied"),
    "a table in a folder": (of_table("closed/t.csv"), f'galaxies.table.path: "closed/t.csv" {ENTER}; expected a table'),
    "a pattern in a folder": (of_table("closed/*.csv"), 'galaxies.table.path: no file matches "closed/*.csv"'),
    "a table of a list": (of_table(["own.csv", "closed/t.csv"]), f'"closed/t.csv" {ENTER}'),
    "an SSP table": ({"sps": {"table": "shut.h5"}}, "sps.table: cannot read the SSP table shut.h5"),
    "an SSP table in a folder": ({"sps": {"table": "closed/t.h5"}}, f'sps.table: "closed/t.h5" {ENTER}'),
    "a filter": (with_filter("mine.dat"), "filter 'mine': cannot read mine.dat: [Errno 13] Permission denied"),
    "a filter in a folder": (with_filter("closed/mine.dat"), f"filter 'mine': closed/mine.dat {ENTER}"),
    "a relation": ({"relations": {"muv": "muv.csv"}}, "relations.muv: cannot read muv.csv: Permission denied"),
    "a relation in a folder": ({"relations": {"muv": "closed/m.csv"}}, "cannot read closed/m.csv: Permission denied"),
    "results": ({"results": "read_only"}, 'results: "read_only" is not allowed'),
    "results in a folder": ({"results": "closed/x"}, 'results: "closed/x" is not allowed'),
}


@pytest.fixture(scope="module")
def found(root: Path, own_ssp: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, str]]:
    """Return what a check of each config came to."""
    if PLAIN and shutil.which(PLAIN[0]) is None:
        pytest.skip("root may read everything, and there is no setpriv")
    folder = tmp_path_factory.mktemp("permissions")
    for linked in ("workflow", "resources"):
        (folder / linked).symlink_to(root / linked)
    for name in ("closed", "read_only"):
        (folder / name).mkdir()
    shutil.copy(own_ssp, folder)
    shutil.copy(own_ssp, folder / "shut.h5")
    for name in ("own.csv", "mine.dat", "muv.csv"):
        (folder / name).write_text("z,lmass\n1.0,10.0\n")
    for name, (config, _) in CASES.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"run": "x", "sps": {"table": "own.h5"}} | config))
    for name in ("closed", "own.csv", "mine.dat", "muv.csv", "shut.h5", "a config.yaml"):
        (folder / name).chmod(0)
    (folder / "read_only").chmod(0o555)
    try:
        command = [*PLAIN, sys.executable, "-c", CHECK, json.dumps([*CASES])]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    finally:
        (folder / "closed").chmod(0o755)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", CASES)
def test_what_may_not_be_read(found: dict[str, tuple[object, str]], name: str) -> None:
    status, message = found[name]
    assert status == 1, message
    assert CASES[name][1] in message
