import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mocksed import compiled

CALLED = """
from mocksed.compiled import njit

@njit()
def inner(x):
    return 2.0 * x
"""
CALLER = """
from mocksed.called import inner
from mocksed.compiled import njit, vectorize

@njit()
def outer(x):
    return inner(x)

@vectorize(["float64(float64)"])
def squared(x):
    return x * x
"""
SAY = """
from mocksed import caller, compiled
print(caller.outer(0.5), caller.squared(3.0), sum(caller.outer.stats.cache_hits.values()), *compiled.notes)
"""

Run = Callable[..., list[str]]


@pytest.fixture
def package(root: Path, tmp_path: Path) -> Path:
    """Return a copy of the package, with two modules: a compiled function of one calls that of the other."""
    copy = tmp_path / "src" / "mocksed"
    copy.mkdir(parents=True)
    for name in ("__init__.py", "compiled.py"):
        shutil.copy(root / "src" / "mocksed" / name, copy)
    (copy / "called.py").write_text(CALLED)
    (copy / "caller.py").write_text(CALLER)
    return copy


@pytest.fixture
def run(package: Path) -> Run:
    """Return what calls the functions in a process of its own: their numbers, hits of the cache, and notes."""

    def run(**environment: str) -> list[str]:
        mine = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
        mine |= {"PYTHONPATH": str(package.parent), "HOME": "/proc/nohome", "XDG_CACHE_HOME": "/proc/nohome"}
        done = subprocess.run([sys.executable, "-c", SAY], env=mine | environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout.strip().split(maxsplit=3)

    return run


@pytest.mark.slow
def test_no_code_that_was_compiled_from_another_source_is_used(package: Path, run: Run) -> None:
    assert run() == ["1.0", "9.0", "0"]
    assert run() == ["1.0", "9.0", "1"]
    (package / "called.py").write_text(CALLED.replace("2.0", "3.0"))
    assert run() == ["1.5", "9.0", "0"]
    assert run() == ["1.5", "9.0", "1"]


@pytest.mark.slow
def test_a_change_of_what_is_not_imported_leaves_compiled_code_in_use(package: Path, run: Run) -> None:
    run()
    (package / "elsewhere.py").write_text("from mocksed import caller")
    assert run()[2] == "1"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mocksed.search.choice", "mocksed.sps.photometry", "mocksed.run.jobs"])
def test_sources_are_all_that_a_module_imports(root: Path, name: str) -> None:
    say = f"import {name}, sys; print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'mocksed'))"
    done = subprocess.run([sys.executable, "-c", say], capture_output=True, text=True, check=True)
    package = Path(compiled.__file__).parent
    seen = {
        str(path) for path in compiled.sources(package.parent.joinpath(*name.split(".")).with_suffix(".py"), package)
    }
    loaded = set(done.stdout.split())
    folders = {
        str(package.joinpath(*part, "__init__.py")) for part in ((), ("search",), ("sps",), ("run",), ("files",))
    }  # run, not imported from
    assert loaded - folders <= seen
    assert len(loaded) > 3
    assert str(package / "cli.py") not in seen


def test_all_compiled_functions_use_this_cache(root: Path) -> None:
    users = [path.name for path in (root / "src").rglob("*.py") if "import numba" in path.read_text()]
    assert users == ["compiled.py"]


@pytest.mark.slow
def test_many_processes_start_at_once(run: Run) -> None:
    with ThreadPoolExecutor(6) as pool:
        assert {tuple(done.result()[:2]) for done in [pool.submit(run) for _ in range(6)]} == {("1.0", "9.0")}
    assert run()[2] == "1"


@pytest.mark.slow
def test_the_users_choice_of_folder_then_the_package_then_home_then_none(
    package: Path, run: Run, tmp_path: Path
) -> None:
    for environment, parent in (
        ({"NUMBA_CACHE_DIR": str(tmp_path / "chosen")}, tmp_path / "chosen"),
        ({"NUMBA_CACHE_DIR": "/proc/nowhere"}, package / "__pycache__"),
    ):
        run(**environment)
        assert list(parent.glob("mocksed-*/*/caller.outer-*.nbc"))
    shutil.rmtree(package / "__pycache__")
    (package / "__pycache__").write_text("no folder can be made here, as in a checkout that is read-only")
    run(XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert list((tmp_path / "cache" / "mocksed").glob("mocksed-*/*/caller.outer-*.nbc"))

    for _ in range(2):
        numbers = run()
        assert numbers[:3] == ["1.0", "9.0", "0"]
        assert "set NUMBA_CACHE_DIR to a folder of yours" in numbers[3]


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["0", "-1", "all", ""])
def test_no_number_of_threads_is_said_and_passed_over(run: Run, threads: str) -> None:
    numbers = run(NUMBA_NUM_THREADS=threads)
    assert numbers[:2] == ["1.0", "9.0"]
    assert numbers[3] == f"NUMBA_NUM_THREADS={threads} is not a number of threads: all cores are used."
    assert run(NUMBA_NUM_THREADS="1")[3:] == []


def test_folders_of_other_sources_are_removed_a_day_after_their_last_use(tmp_path: Path) -> None:
    source, parent = tmp_path / "package", tmp_path / "compiled"
    source.mkdir()
    names = []
    for text in ("old", "used", "new"):
        (source / "module.py").write_text(text)
        made = compiled.folder(source / "module.py", source, [parent])
        assert made is not None
        names.append(made.name)
        (made / "function.nbc").touch()
    assert len(set(names)) == 3
    (parent / "mocksed-of-somebody").mkdir()
    long_ago = time.time() - 1e5
    for path in parent.iterdir():
        os.utime(path, (long_ago, long_ago))
    (source / "module.py").write_text("used")
    compiled.folder(source / "module.py", source, [parent])
    assert {path.name for path in parent.iterdir()} == {names[1], "mocksed-of-somebody"}
