import os
import re
import subprocess
import sys
import time

import pytest

from mocksed import yamlfile
from mocksed.errors import UserError

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghijk", "bcdefghijkl", strict=True)
)
"""Twelve lines for 9^12 values."""


@pytest.fixture
def said(tmp_path):
    """Return what is said of a file with some content, on one line, naming the file."""

    def said_of(content):
        path = tmp_path / "mine.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(UserError, match=rf"(?s)^[^\n]*{re.escape(str(path))}[^\n]*\.$") as error:
            yamlfile.read(path)
        return str(error.value)

    return said_of


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "run: x\nneighbours: {k: 3}\nseed: 1\nneighbours:\n  draws: 1\n",
            "line 4: the key neighbours is given twice, first in line 2; merge the two, or remove one.",
        ),
        ("parent:\n  star_forming:\n    n: 500\n    n: 600\n", "line 4: the key parent.star_forming.n is given twice"),
        ('"run": x\nrun: y\n', "line 2: the key run is given twice, first in line 1"),
        ("keep: [{a: 1}, {a: 1, a: 2}]", "line 1: the key keep[1].a is given twice"),
    ],
)
def test_a_key_that_is_given_twice_is_named_with_its_lines(said, content, words):
    assert words in said(content)


def test_aliases_and_merged_keys_are_no_second_keys(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("one: &one {k: 3, draws: 1}\nother: {<<: *one, k: 6}\nthird: *one\n")
    one = {"k": 3, "draws": 1}
    assert yamlfile.read(path) == {"one": one, "other": {"k": 6, "draws": 1}, "third": one}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("run: x\n# caf\u00e9\n".encode("latin-1"), "is not UTF-8, see line 2. Save it with that encoding."),
        ("run: x\n".encode("utf-16"), "is not UTF-8, see line 1."),
        ("run: x\0", "special characters are not allowed"),
        ("neighbours: &n {k: *n}", "line 1: neighbours.k refers to itself"),
        (LAUGHS, "has more than 5000 values, with what its aliases (*name) stand for"),
        ("a: [" + "[" * 30 + "]" * 30 + "]", "line 1: it is nested deeper than 20 levels"),
        ("[" * 30_000, "nested deeper than 20 levels"),
        ("- " * 30_000, "nested deeper than 20 levels"),
        ("x" * 100_001, "is larger than 100 kB"),
        ("run: x\nseed: 2024-13-01\n", "line 2: 2024-13-01 cannot be read as the timestamp it looks like"),
        ("seed: " + "1" * 5000, "line 1: 1111111111111111111111111111111111111111 cannot be read as the int it looks"),
        ("write: !!bool maybe", "line 1: maybe cannot be read as the bool"),
        ("day: !!timestamp x", "line 1: x cannot be read as the timestamp"),
        ("h: !!float ''", "line 1:  cannot be read as the float"),
        ("run: !!python/object/apply:os.getcwd []", "line 1: could not determine a constructor for the tag"),
        ("run: x\n---\nrun: y\n", "line 2: expected a single document"),
    ],
)
def test_what_is_no_config_is_said_at_once_in_one_sentence(said, content, words):
    start = time.monotonic()
    assert words in said(content)
    assert time.monotonic() - start < 10.0


def test_a_folder_is_no_config(tmp_path):
    with pytest.raises(UserError, match=rf"cannot read the config {tmp_path}: Is a directory"):
        yamlfile.read(tmp_path)


def test_text_is_utf8_whatever_the_locale(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes("keep: [é]\n".encode())
    read = f"from pathlib import Path; from mocksed import yamlfile; print(ascii(yamlfile.read(Path({str(path)!r}))))"
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", read], env=ascii_only, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{'keep': ['\\xe9']}\n", "")
