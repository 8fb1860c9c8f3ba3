"""A file is damaged or deleted between stages, and the run repeated: it is made anew, or the run stops and names it.

One kind by default, all of them with `pytest tests/faults --faults=all`.
"""

import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.runs import BEFORE, Workflow, targets

pytestmark = [pytest.mark.faults, pytest.mark.slow]

TARGETS = targets((*BEFORE, "spectra"))

KINDS = {
    "parent": "parent/star_forming/0000.h5",
    "tree": "tree/star_forming/0000.npy",
    "what a tree says": "tree/quiescent/0000.json",
    "balance": "balance.json",
    "galaxies": "galaxies/0001.parquet",
    "neighbours": "neighbours/0000.parquet",
    "assign": "assign/0001.parquet",
    "catalog": "catalog/0000.parquet",
}

FEW = ("assign",)

READ = {"catalog": "age"}
"""A column in which the bit is, where the stages that follow do not read all of a file: the others stay unread."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "damaged" in metafunc.fixturenames:
        kinds = KINDS if metafunc.config.getoption("--faults") == "all" else FEW
        metafunc.parametrize("damaged", list(kinds), indirect=True)


@pytest.fixture
def damaged(request: pytest.FixtureRequest, tiny: Workflow, tmp_path: Path) -> tuple[Workflow, str, str | None]:
    """Return a copy of a finished run, the file of it that is to be damaged, and in which column."""
    run = Workflow(tiny.root, tmp_path / "run")
    shutil.copytree(tiny.folder, run.folder, dirs_exist_ok=True)
    return run, f"results/tiny/{KINDS[request.param]}", READ.get(request.param)


def flip(path: Path, column: str | None) -> None:
    """Change a bit in the middle of a file, or of a column of a Parquet file."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if column:
        group = pq.read_metadata(path).row_group(0)
        chunks = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
        middle = chunks[column].data_page_offset + chunks[column].total_compressed_size // 2
    content[middle] ^= 1
    path.write_bytes(content)


def as_before(run: Workflow, tiny: Workflow, path: str) -> bool:
    return all((run.folder / p).read_bytes() == (tiny.folder / p).read_bytes() for p in (path, *TARGETS))


def test_a_file_between_stages(damaged: tuple[Workflow, str, str | None], tiny: Workflow) -> None:
    run, path, column = damaged
    flip(run.folder / path, column)
    done = run.run(path, *TARGETS)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    if done.returncode:
        assert any(f"error: {words}{path}" in said for words in ("", "cannot read ")), said[-3000:]
        os.remove(run.folder / path)
        run.succeed(path, *TARGETS, "--rerun-incomplete")
    assert as_before(run, tiny, path)
    os.remove(run.folder / path)
    run.succeed(path, *TARGETS)
    assert as_before(run, tiny, path)
