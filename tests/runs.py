"""Runs of the workflow as its users start it, Snakemake in a child process, each in a folder of its own."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from mocksed.errors import UserError
from mocksed.files import storage
from mocksed.run import configuration, laws
from tests import slurm_cluster

PATIENCE_S = 900
"""After which a run is taken to hang: some machines are slow."""

PARENTS = ["0000.h5", "0001.h5"]

VARIANTS = ("tiny", "tiny-drakos2021a", "tiny-drakos2021b")
LAST = ("spectra", "survey", "observed")
"""Stages that follow from the catalogue alone."""

BEFORE = ("galaxies", "neighbours", "assign", "catalog")
STAGES = (*BEFORE, *LAST)


def targets(stages: Iterable[str], shards: Iterable[int] = (0, 1)) -> list[str]:
    """Return the files of stages."""
    return [f"results/tiny/{stage}/{shard:04d}.parquet" for stage, shard in itertools.product(stages, shards)]


class Workflow:
    """Runs of the repository's Snakefile in a folder, with a configuration made from the tiny one."""

    options = ("--notemp",)
    """Tests look at what a run would delete after its use."""

    def __init__(self, root: Path, folder: Path, **changes: object) -> None:
        self.root, self.folder = root, folder
        self.config = yaml.safe_load((root / "config/test/tiny.yaml").read_text())
        self.config["sps"] = {"table": str(root / "resources/ssp_padova_kurucz_chabrier.h5")}
        self.change(**changes)

    def change(self, **changes: object) -> None:
        merge(self.config, changes)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config))

    def cut_tree(self) -> int:
        """Have as few tree shards of star-forming points as there can be but one; return their number."""
        complete = configuration.load(self.config)
        found = {}
        for max_memory_gb in np.arange(0.5, 3.0, 0.001).round(3).tolist():
            limited = complete | {"neighbours": complete["neighbours"] | {"max_memory_gb": max_memory_gb}}
            with suppress(UserError):  # too little for any tree
                found[max_memory_gb] = laws.tree_shards(limited, "star_forming")
        max_memory_gb, shards = min((item for item in found.items() if item[1] > 1), key=lambda item: item[1])
        self.change(neighbours={"max_memory_gb": max_memory_gb})
        return shards

    def command(self, *arguments: str, cores: int = 2) -> list[str]:
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(self.root / "Snakefile")),
            *("--directory", str(self.folder), "--configfile", str(self.folder / "config.yaml")),
            *("--cores", str(cores), *self.options, *arguments),
        ]

    def run(self, *arguments: str, cores: int = 2, **options: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*arguments, cores=cores),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            **options,
        )

    def succeed(self, *arguments: str, cores: int = 2) -> str:
        done = self.run(*arguments, cores=cores)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout + done.stderr

    def fail(self, *arguments: str) -> str:
        done = self.run(*arguments)
        said = done.stdout + done.stderr
        assert done.returncode != 0, said[-3000:]
        assert "Traceback" not in said, said[-5000:]
        return said

    def take_parents(self, finished: "Workflow") -> None:
        """Copy the parent catalogues, trees and balance of a run whose parents have the same configuration."""
        for stage in ("parent", "tree"):
            shutil.copytree(finished.path(stage), self.path(stage))
        shutil.copy2(finished.path("balance.json"), self.path("balance.json"))

    def path(self, *parts: str) -> Path:
        return self.folder.joinpath("results", str(self.config["run"]), *parts)

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("results/**/*") if path.is_file())

    def whole(self, stage: str) -> pa.Table:
        """Return a stage's shards as one table."""
        return pa.concat_tables(storage.read_table(path) for path in sorted(self.path(stage).glob("[0-9]*.parquet")))


class Run:
    """A run of the workflow by some command in a folder, in a session of its own that can be killed as a whole."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.folder, self.log = folder, folder / f"said-{time.monotonic_ns()}"
        environment = os.environ | {"PATH": f"{folder}:{folder}/.venv/bin:{os.environ['PATH']}"}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def said(self) -> str:
        return self.log.read_text()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def succeed(self) -> str:
        try:
            assert self.process.wait(PATIENCE_S) == 0, self.said()[-5000:]
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(self.said()[-5000:]) from None
        return self.said()

    def submitted(self) -> dict[str, list[str]]:
        return slurm_cluster.submitted(self.said())

    def wait_for(self, condition: Callable[[], Any]) -> Any:
        """Wait while the run is at work until a condition holds; return what it returned."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            assert self.process.poll() is None, self.said()[-5000:]
            assert time.monotonic() < deadline, self.said()[-5000:]
            time.sleep(0.05)
        return found


def merge(config: dict, changes: dict) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            merge(config[key], value)
        else:
            config[key] = value


def same(one: pa.Table, other: pa.Table) -> None:
    assert one.column_names == other.column_names
    assert len(one) == len(other)
    for name in one.column_names:
        first, second = (storage.to_arrays(table.select([name]))[name] for table in (one, other))
        assert first.tobytes() == second.tobytes(), name
        assert one[name].null_count == other[name].null_count


def survey(path: Path, **changes: object) -> dict:
    """Write a user's table of 200 galaxies; return the config of a run on it."""
    rng = np.random.default_rng(8)
    columns = {
        "id": np.arange(1000, 1200),
        "z": rng.uniform(0.1, 6.0, 200),
        "lmass": rng.uniform(8.0, 11.5, 200),
        "passive": rng.random(200) < 0.2,
        "note": np.array([f"object {i}" for i in range(200)]),
    }
    for name, value in changes.items():
        columns[name] = value(columns[name]) if callable(value) else value
    pq.write_table(pa.table({name: value for name, value in columns.items() if value is not None}), path)
    names = {"galaxy_id": "id", "redshift": "z", "mass": "lmass", "quiescent": "passive"}
    table = {"path": str(path), "columns": names, "quiescent": {"from": "column"}}
    return {"galaxies": {"source": "table", "table": table}}


def wait_for(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait until a condition holds while a process is at work."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def cloned(root: Path, folder: Path) -> Path:
    """Copy the repository as its users get it; only its environment is that of the tests."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, folder / name, follow_symlinks=False)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    return folder
