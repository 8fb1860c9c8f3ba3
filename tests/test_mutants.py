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
