"""A preview of how a run will read the user's table."""

from collections.abc import Iterator
from dataclasses import replace

from mocksed.errors import UserError
from mocksed.galaxies.given import ERROR, SPELLINGS
from mocksed.galaxies.header import Header, header_of, not_used
from mocksed.galaxies.readers import CHUNK_ROWS, Table, open_table
from mocksed.galaxies.spec import TableSpec
from mocksed.galaxies.validation import Validation, examine


def preview(spec: TableSpec, seed: int, all_rows: bool = False) -> tuple[list[str], list[str]]:
    """Read a table as a run would, except for columns that are only passed through, and describe the result.

    Parameters
    ----------
    spec : TableSpec
        What the config says of the table.
    seed : int
        Seed of the run, with which classes are drawn where the table does not give them.
    all_rows : bool
        Whether to read all rows, instead of the first `CHUNK_ROWS`.

    Returns
    -------
    lines : list of str
        What will be read, and what it is taken for; empty if the table cannot be read.
    problems : list of str
        Everything that is wrong with columns and rows. If a column that every galaxy needs is faulty, the rows are not
        checked.

    """
    try:
        with open_table(spec.path, spec.format, spec.dataset) as table:
            header = header_of(spec, table)
            if (usable := header.usable()) is None:
                return [], header.problems
            validation = examine(replace(header, spec=usable), table, seed, all_rows=all_rows)
            return list(_lines(header, validation, table, all_rows)), header.problems + validation.problems()
    except UserError as error:
        return [], [str(error)]


def _lines(header: Header, validation: Validation, table: Table, all_rows: bool) -> Iterator[str]:
    """Yield the lines of the preview."""
    spec = validation.spec
    complete = all_rows or (table.counted and table.n_rows <= CHUNK_ROWS)
    about = "" if table.counted or complete else "about "
    yield f"{spec.path}: {about}{validation.n_rows if complete else table.n_rows} rows"
    for role, name in validation.roles.items():
        yield f"  {role:12s} <- {name}{_as(role, spec)}"
    if spec.constant_redshift is not None:
        yield f"  {'redshift':12s} =  {spec.constant_redshift:g}"
    if "galaxy_id" not in validation.roles:
        yield f"  {'galaxy_id':12s} =  the rows, counted from 0"
    yield f"  passed through: {', '.join(header.kept) or 'none'}"
    if spec.keep == "all" and table.unusable:
        yield f"  not passed through: {', '.join(f'{name} ({what})' for name, what in table.unusable.items())}"
    n, n_used = validation.n_rows, max(validation.n_used, 1)
    yield f"  {'all' if complete else f'the first {n}'} rows: {validation.n_used} can be used"
    for reason in validation.reasons.values():
        yield f"    left out:{str(reason).removeprefix(' ')}"
    yield f"  quiescent: {validation.n_quiescent / n_used:.1%} ({_classes(spec)})"
    for quantity, n_given in validation.n_given.items():
        yield f"  {quantity} given: {n_given / n_used:.1%}"
    yield from (f"  {line}" for line in (*validation.notes(), *not_used(spec, table.columns)))


def _as(role: str, spec: TableSpec) -> str:
    """Return what the values of a column are taken for, with their unit, to follow its name."""
    if role in SPELLINGS:
        imf = f", IMF {spec.sfr_imf}" if SPELLINGS[role].quantity == "log_sfr" and spec.sfr_imf else ""
        return f", {SPELLINGS[role].what}{imf}"
    if role.endswith(ERROR):
        return ", its standard error"
    if role == "mass":
        factor = f"{spec.mass_factor:g} " if spec.mass_factor != 1.0 else ""
        h = f", h = {spec.h:g}" if spec.mass_unit == "Msun/h" else ""
        imf = f", IMF {spec.mass_imf}" if spec.mass_imf else ""
        return f", {'log10 of ' if spec.mass_scale == 'log' else ''}{factor}{spec.mass_unit}{h}{imf}"
    return {"ssfr": ", log10 of 1/yr", "uv": ", U - V in AB mag", "vj": ", V - J in AB mag"}.get(role, "")


def _classes(spec: TableSpec) -> str:
    """Return how galaxies are divided into quiescent and star-forming ones."""
    match spec.quiescent_from:
        case "column":
            values = f" is one of {list(spec.quiescent_values)}" if spec.quiescent_values else ""
            return f"column '{spec.columns['quiescent']}'{values}"
        case "ssfr":
            origin = f"column '{spec.columns['ssfr']}'" if "ssfr" in spec.columns else "the SFR given and the mass"
            return f"a specific SFR, by {origin}, below 10^{spec.log_ssfr_max:g}/yr"
        case "uvj":
            return "colours within quiescent.uvj_box"
        case _:
            return "drawn with the ratio of the mass functions"
