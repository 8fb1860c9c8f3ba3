"""The columns of the user's table and their roles, before any row is read."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from mocksed.errors import UserError
from mocksed.files.columns import PREFIXES, RESERVED
from mocksed.galaxies import units
from mocksed.galaxies.given import ERROR, SPELLINGS, looks_like
from mocksed.galaxies.readers import Table
from mocksed.galaxies.spec import CLASS_COLUMNS, TableSpec

STANDARD = ("galaxy_id", "redshift", "log_mstar", "quiescent")
"""Columns that every normalised table has."""

_NEEDED = ("galaxy_id", "redshift", "scale_factor", "mass")
_NAME_OF_ROLE = {"mass": "log_mstar"}  # of the catalogue, where it is not that of the role


@dataclass(frozen=True)
class Header:
    """The roles of the columns of a table.

    Attributes
    ----------
    spec : TableSpec
        With the conversions of the units of the file.
    kept : list of str
        Columns that pass through to the catalogue.
    notes : list of str
        What the user should know: conversions, and units that are unknown.
    problems : list of str
        What is wrong.
    faulty : set of str
        Roles (keys of ``galaxies.table.columns``) that something is wrong with.

    """

    spec: TableSpec
    kept: list[str]
    notes: list[str]
    problems: list[str]
    faulty: set[str]

    def check(self) -> None:
        """Raise a UserError with all problems, if there are any."""
        if self.problems:
            raise UserError(together(str(self.spec.path), self.problems))

    def usable(self) -> TableSpec | None:
        """Return the table as far as it can be read despite its problems, None if it is not a table of galaxies."""
        if self.faulty.intersection(_NEEDED):
            return None
        faulty = self.faulty | {role + ERROR for role in self.faulty}
        spec = replace(self.spec, columns={role: n for role, n in self.spec.columns.items() if role not in faulty})
        class_roles = {"ssfr": ("ssfr", "sfr", "log_sfr")}.get(spec.quiescent_from, CLASS_COLUMNS[spec.quiescent_from])
        if not faulty.intersection(class_roles):
            return spec
        return replace(spec, quiescent_from="mass_function", quiescent_values=())


def together(path: str, problems: Sequence[str]) -> str:
    """Return one message of problems with a table; one alone is the message."""
    if len(problems) == 1:
        return problems[0]
    listed = (problem.removeprefix(f"{path}: ").replace("\n", "\n  ") for problem in problems)
    return f"{path}: {len(problems)} problems:\n  " + "\n  ".join(listed)


def header_of(spec: TableSpec, table: Table) -> Header:
    """Return the roles of the columns of a table, and all problems with them."""
    problems: list[str] = []
    faulty: set[str] = set()
    roles = spec.roles()
    for role, name in roles.items():
        if problem := _absent(spec, table, name, f"galaxies.table.columns.{role}"):
            problems.append(problem)
            faulty.add(role)
    for (first, name), (second, second_name) in combinations(roles.items(), 2):
        if name == second_name:
            problems.append(
                f"galaxies.table.columns.{first} and galaxies.table.columns.{second} both name the column '{name}'. "
                "Each must have one of its own."
            )
            faulty |= {first, second}
    conversions, notes, contradictions = units.conversions(spec, {name: table.unit(name) for name in roles.values()})
    problems += contradictions.values()
    faulty |= contradictions.keys()
    kept, name_problems = _passing_through(spec, roles, table)
    return Header(replace(spec, conversions=conversions), kept, notes, problems + name_problems, faulty)


def _passing_through(spec: TableSpec, roles: Mapping[str, str], table: Table) -> tuple[list[str], list[str]]:
    """Return the columns that pass through to the catalogue, and what is wrong with their names."""
    names = list(table.columns if spec.keep == "all" else dict.fromkeys(spec.keep))
    absent = {name: _absent(spec, table, name, "galaxies.table.keep") for name in names}
    replaced = {name for role, name in roles.items() if name == _NAME_OF_ROLE.get(role, role)}
    kept = [name for name in names if not absent[name] and name not in replaced]
    problems = [problem for problem in absent.values() if problem]
    for name in kept:
        if name in RESERVED or name in STANDARD or name.startswith(PREFIXES):
            problems.append(
                f"{spec.path}: column '{name}' has a name that the catalogue needs for its own columns. Rename it, or "
                f"list the columns that pass through in galaxies.table.keep without it{_clash_hint(name)}."
            )
    return kept, problems


def _clash_hint(name: str) -> str:
    role = {standard: role for role, standard in _NAME_OF_ROLE.items()}.get(name, name)
    known = role in STANDARD or role in SPELLINGS or role in _NAME_OF_ROLE
    return f"; if it is what its name says, set galaxies.table.columns.{role} to it" if known else ""


def _absent(spec: TableSpec, table: Table, name: str, key: str) -> str:
    """Return what is wrong with a column that the config names, '' if it is there."""
    if name in table:
        return ""
    if why := table.why_not(name):
        return f"{spec.path}: '{name}' ({key}) {why}"
    close = difflib.get_close_matches(name, table.columns, n=1, cutoff=0.5) or [
        column for column in table.columns if column.lower() == name.lower()
    ]
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{spec.path} has no column '{name}' ({key}).{hint} It has: {', '.join(table.columns) or 'no columns'}."


def not_used(spec: TableSpec, columns: Sequence[str]) -> Iterator[str]:
    """Yield which columns of the table give a quantity by their names, but are not named in the config for it."""
    given, used = spec.given(), set(spec.roles().values())
    for name in columns:
        role = looks_like(name)
        if role is not None and SPELLINGS[role].quantity not in given and name not in used:
            yield (
                f"column '{name}' looks like {SPELLINGS[role].what} and is not used: name it in "
                f"galaxies.table.columns.{role}"
            )
