"""The list of faults of `make mutants` fits the source."""

import pytest

from tests import mutants


@pytest.mark.parametrize("mutant", mutants.listed(), ids=str)
def test_what_a_fault_replaces_is_there_once(mutant):
    source = (mutants.PACKAGE / mutant.file).read_text()
    assert mutant.mutated(source) != source


def test_each_fault_has_tests_and_is_there_once():
    listed = mutants.listed()
    assert len(listed) >= 70
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in listed}) == len(listed)
    assert [str(mutant) for mutant in listed if not mutant.files()] == []


@pytest.mark.parametrize(
    ("old", "expected"), [("A = 1", True), ("x + 1", True), ("x + 2", False), ("x + 3", True), ("x + 4", False)]
)
def test_compiled_code_stays_where_only_a_plain_function_has_the_fault(old, expected):
    source = """
A = 1
@njit(cache=True)
def compiled(x):
    return x + 1
def plain(x):
    return x + 2
def made():
    @njit()
    def inner(x):
        return x + 3
    return inner
class Of:
    def method(self, x):
        return x + 4
"""
    assert mutants.Mutant("x.py", old, "").is_compiled(source) is expected
