"""Runs of the workflow in a folder, for benchmarks, and the processor that they ran on."""

import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "resources/ssp_padova_kurucz_chabrier.h5"


def command(
    folder: Path, config: Mapping[str, Any], targets: Iterable[str], cores: int, options: Iterable[str] = ()
) -> list[str]:
    """Return the command that runs the workflow in a folder, or goes on; the config is written there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    words = [
        *(sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder),
        *("--configfile", folder / "config.yaml", "--cores", cores, "--quiet", *options, "--", *targets),
    ]
    return list(map(str, words))


def execute(
    folder: Path, config: Mapping[str, Any], targets: Iterable[str], cores: int, options: Iterable[str] = ()
) -> None:
    """Run the workflow in a folder, or go on with what is there."""
    subprocess.run(command(folder, config, targets, cores, options), check=True, stdout=sys.stderr)


def processor() -> str:
    """Return the processor of this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
