"""What tests of pages share: the blocks of a page, and the folder in which a reader types them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from tests.runs import PATIENCE_S, Workflow


def blocks(page: Path, language: str) -> list[str]:
    """Return the blocks of a page in a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def commands(folder: Path, *names: str) -> None:
    """Put commands into a folder's ``bin``, which `run` finds: "mocksed" and "snakemake" of this Python."""
    modules = {"mocksed": "mocksed.cli", "snakemake": "snakemake"}
    (folder / "bin").mkdir()
    for name in names:
        path = folder / "bin" / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {modules[name]} "$@"\n')
        path.chmod(0o755)


def checkout(root: Path, folder: Path, config: dict, name: str, finished: Workflow) -> None:
    """Make a folder look like a checkout with a config of the reader's, and parents of a finished run in its results.

    The config gets the parents of that run, and one shard.
    """
    config["galaxies"]["shards"] = 1
    config["parent"] = finished.config["parent"]
    Workflow(root, folder, run=name).take_parents(finished)
    (folder / "config").mkdir()
    (folder / "config" / f"{name}.yaml").write_text(yaml.safe_dump(config))
    for linked in ("Snakefile", "workflow", "resources"):
        (folder / linked).symlink_to(root / linked)
    commands(folder, "mocksed", "snakemake")


def run(command: list, folder: Path) -> subprocess.CompletedProcess:
    """Run a command in a folder, with the commands of its ``bin``; it must succeed."""
    environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done
