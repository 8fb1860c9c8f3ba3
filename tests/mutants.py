"""Do tests find faults? `python -m tests.mutants` puts those of mutants.yaml into the source, one at a time.

Each is put into a copy of the source that tests then import. Tests of `make quick` are run first, beginning with the
files that are named after the module; if the fault survives them, all tests of these files and of those that the list
names. Most of the time would go to compiling what imports the module: what no compiled function can call leaves
compiled code in use.
"""

import argparse
import ast
import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "mocksed"
PATIENCE_S = 1800
LIBRARIES = ("astropy.table", "h5py", "hypothesis", "numba", "pandas", "pyarrow.parquet", "scipy.stats")
"""What most tests import, once for all faults: processes that are forked have them."""


@dataclass(frozen=True)
class Mutant:
    """A fault: what stands once in a file of the package, and what takes its place."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}: {self.old} -> {self.new}"

    def files(self) -> list[str]:
        """Return the files of tests of the module, and those that the list names."""
        module = self.file.removesuffix(".py").removesuffix("/__init__").replace("/", "_")
        names = [f"test_{module}.py", f"test_{module.rpartition('_')[0]}.py", *self.tests]
        return [f"tests/{name}" for name in dict.fromkeys(names) if (ROOT / "tests" / name).is_file()]

    def is_compiled(self, source: str) -> bool:
        """Return whether a compiled function can hold the fault: it is not in a plain function."""
        line = source[: source.index(self.old)].count("\n") + 1
        functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
        around = [ast.unparse(node) for node in functions if node.lineno <= line <= (node.end_lineno or 0)]
        return not around or any("njit" in text or "vectorize" in text for text in around)

    def mutated(self, source: str) -> str:
        """Return the source with the fault."""
        if source.count(self.old) != 1:
            raise ValueError(f"{self.file}: {self.old!r} is there {source.count(self.old)} times, expected once")
        return source.replace(self.old, self.new)


def listed() -> list[Mutant]:
    """Return the list."""
    faults = yaml.safe_load((ROOT / "tests" / "mutants.yaml").read_text())
    return [Mutant(**one | {"tests": tuple(one.get("tests", ()))}) for one in faults]


class Copy:
    """A copy of the source in one place, so that what was compiled of other modules serves for all faults."""

    def __init__(self, folder: str) -> None:
        self.source, self.said, self.recompiles = Path(folder, "src"), Path(folder, "said"), True
        shutil.copytree(PACKAGE, self.source / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
        Path(folder, "resources").symlink_to(ROOT / "resources")  # found beside the source from any folder

    def killed_by(self, mutant: Mutant) -> str:
        """Return which tests find a fault, "quick" or "all", or "none"."""
        path = self.source / PACKAGE.name / mutant.file
        path.write_text(mutant.mutated(path.read_text()))
        self.recompiles = mutant.is_compiled((PACKAGE / mutant.file).read_text())
        files = mutant.files()
        others = ["tests", *(f"--ignore={name}" for name in files)]
        try:
            if (files and self.fails("quick", files)) or self.fails("quick", others):
                return "quick"
            return "all" if files and self.fails("not quick", files) else "none"
        finally:
            shutil.copy2(PACKAGE / mutant.file, path)  # its date is one of the keys of what was compiled

    def fails(self, which: str, arguments: list[str]) -> bool:
        """Return whether one of the tests fails, or they do not come to an end."""
        command = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", which, *arguments]
        process = multiprocessing.get_context("fork").Process(target=self._run, args=(command,))
        process.start()
        process.join(PATIENCE_S)
        return self._ended(process) not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)

    def _run(self, command: list[str]) -> None:
        with open(self.said, "w") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
        os.environ["PYTHONPATH"] = str(self.source)
        sys.path.insert(0, str(self.source))
        if not self.recompiles:
            compiled = importlib.import_module("mocksed.compiled")
            checksum = compiled._checksum
            compiled._checksum = lambda package, files: checksum(
                PACKAGE, [PACKAGE / path.relative_to(package) for path in files]
            )
        os._exit(pytest.main(command))

    def _ended(self, process: ForkProcess) -> int | None:
        if process.exitcode is None:
            process.kill()
            process.join()
            return None
        if process.exitcode in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
            raise RuntimeError(self.said.read_text()[-3000:])
        return process.exitcode


def main() -> int:
    """Try all faults, or some; say which survive, and the share that is found."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=main.__doc__)
    parser.add_argument("words", nargs="*", help="only faults with one of these words in their file or text")
    words = parser.parse_args().words
    chosen = [mutant for mutant in listed() if not words or any(word in str(mutant) for word in words)]
    for library in LIBRARIES:
        importlib.import_module(library)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="mocksed-mutants-") as folder:
        copy = Copy(folder)
        if copy.fails("quick", ["tests"]):
            print(f"tests fail without any fault:\n{copy.said.read_text()[-3000:]}")
            return 1
        for mutant in chosen:
            start = time.monotonic()
            by = copy.killed_by(mutant)
            counts[by] += 1
            shown = "SURVIVED" if by == "none" else by
            print(f"{shown:8} {time.monotonic() - start:4.0f} s  {mutant}", flush=True)
    n, quick, every = len(chosen), counts["quick"], counts["quick"] + counts["all"]
    print(f"{n} faults: {quick} found by make quick ({quick / n:.0%}), {every} in all ({every / n:.0%})")
    return 0 if quick >= 0.75 * n and every >= 0.95 * n else 1


if __name__ == "__main__":
    sys.exit(main())
