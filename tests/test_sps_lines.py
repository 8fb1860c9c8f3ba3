import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocksed.errors import UserError
from mocksed.sps import lines

# names as FSPS writes them, in each of their forms, and the short ones
SLUGS = {
    "[O III] 5007": "oiii_5007",
    "H alpha 6563": "halpha_6563",
    "Ba-alpha 6563": "halpha_6563",
    "Ba-7 3835": "ba7_3835",
    "Ba-delta 4101.76A": "hdelta_4102",
    "Ly-alpha 1215": "lyalpha_1215",
    "He II 4685.64A": "heii_4686",
    "[C  I] 4621": "ci_4621",
    "C III] 1910": "ciii_1910",
    "He I 1.08303um": "hei_10830",
    "Fe VI 1.01089m": "fevi_10109",
    "Pa-alpha 1.8751um": "paalpha_18751",
    "[Fe VII] 9.50763m": "fevii_95076",
    "Ne II 12.8101m": "neii_13um",
    "C II 157.636um": "cii_158um",
    "[O I] 63.2um": "oi_63um",
}


@pytest.mark.parametrize("name", SLUGS)
def test_short_names(name):
    assert lines.slug(name) == SLUGS[name]


def test_the_lines_of_the_table_have_short_names_of_their_own(engine):
    slugs = [lines.slug(name) for name in engine.line_name]
    assert len(slugs) == len(set(slugs)) == len(engine.table.line_wavelength) == 166
    assert [lines.slug(name) for name in slugs] == slugs
    assert all(re.fullmatch(r"[a-z]+[0-9]?_[0-9]+(um)?", slug) for slug in slugs)
    # what the name says is where the line is: in air or in vacuum, rounded or cut
    for slug, wavelength in zip(slugs, engine.table.line_wavelength, strict=True):
        number = slug.rpartition("_")[2]
        in_angstrom = 1e4 * float(number[:-2]) if number.endswith("um") else float(number)
        assert in_angstrom == pytest.approx(wavelength, rel=0.05 if number.endswith("um") else 1e-3)


@given(st.text(max_size=30))
def test_any_text_has_a_short_form_that_stays(text):
    assert lines.slug(lines.slug(text)) == lines.slug(text)


KNOWN = ("Ba-alpha 6563", "[O III] 5007", "[O II] 3726")


def test_lines_are_found_by_any_of_their_names():
    assert lines.indices(["oiii_5007", "H alpha 6563"], KNOWN) == {"oiii_5007": 1, "halpha_6563": 0}
    assert lines.indices("all", KNOWN) == {"halpha_6563": 0, "oiii_5007": 1, "oii_3726": 2}
    assert lines.indices([], KNOWN) == {}


@pytest.mark.parametrize(
    ("asked", "meant"), [("halpha", "halpha_6563"), ("oiii_5008", "oiii_5007"), ("[OII] 3727", "oii_3726")]
)
def test_the_line_that_was_meant_is_named(asked, meant):
    with pytest.raises(UserError, match=rf"there is no line {re.escape(repr(asked))}, did you mean {meant}\?.*lists"):
        lines.indices([asked], KNOWN)
