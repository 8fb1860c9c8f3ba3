"""Emission lines by name: FSPS's names, and the short ones that name columns and are written in configs."""

import re
from collections.abc import Sequence

from mocksed.errors import UserError, suggestion

_POSITION = re.compile(r"([\d.]+)(a|u?m)?")
_IN_MICRON = 10.0  # from here on [um], names are in micron

LYMAN_ALPHA = "lyalpha_1215"
"""Short form of Lyman alpha."""


def slug(name: str) -> str:
    """Return the short form of a line's name, of letters, digits and underscores; a short form is returned unchanged.

    It is the ion or the term of the series, and the wavelength in the name, rounded: in Angstrom, from 10 um on in
    micron. "[O III] 5007" is oiii_5007, "H alpha 6563" and "Ba-alpha 6563" are halpha_6563, "He I 1.08303um" is
    hei_10830, "C II 157.636um" is cii_158um.
    """
    emitter, _, position = re.sub(r"[\s_]+", " ", name.strip().lower()).rpartition(" ")
    emitter = re.sub(r"[^a-z0-9]", "", re.sub(r"^ba-(?=[a-z])", "h", emitter))
    match = _POSITION.fullmatch(position)
    if not match or match[1].count(".") > 1:
        return f"{emitter}_{position}" if emitter else position
    value, in_micron = float(match[1]), match[2] in ("um", "m")  # FSPS cuts some of its names: "Ne II 12.8101m"
    if in_micron and value < _IN_MICRON:
        value, in_micron = 1e4 * value, False
    return f"{emitter}_{value:.0f}{'um' if in_micron else ''}"


def lyman_alpha(known: Sequence[str]) -> int:
    """Return the index of Lyman alpha among FSPS's names of the lines."""
    return next(i for i, name in enumerate(known) if slug(name) == LYMAN_ALPHA)


def problems(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return what is wrong with the names of lines that a user asks for, given FSPS's names; empty if nothing is.

    Parameters
    ----------
    names : sequence of str
        Names of any form that `slug` takes.
    known : sequence of str
        FSPS's names of the available lines.

    """
    slugs = [slug(name) for name in known]
    return [f"there is no line {name!r}{suggestion(slug(name), slugs)}" for name in names if slug(name) not in slugs]


def indices(names: Sequence[str] | str, known: Sequence[str]) -> dict[str, int]:
    """Return the index of each line that a user asks for by its short form, in the order of the names.

    Parameters
    ----------
    names : sequence of str, or "all"
        Names of any form that `slug` takes.
    known : sequence of str
        FSPS's names of the available lines.

    Raises
    ------
    UserError
        If a line does not exist.

    """
    index = {slug(name): i for i, name in enumerate(known)}
    if names == "all":
        return index
    if wrong := problems(names, known):
        raise UserError(f"{wrong[0]} `mocksed lines` lists all {len(known)}.")
    return {slug(name): index[slug(name)] for name in names}
