"""The list of all observed data (docs/sky.md), made from the headers of the tables."""

from __future__ import annotations

from pathlib import Path

from mocksed.sky.observed import FOLDER, OBSERVABLES, Observed, by_observable

_HEAD = """\
# Observed data

Observations that a mock can be compared with: the tables of `resources/sky`, each an observable of a paper, read with
`mocksed.sky`.

    from mocksed import sky
    from mocksed.cosmology import Cosmology
    for data in sky.by_observable()["stellar_mass_function"]:
        print(data.label, data.converted("chabrier", Cosmology(67.66, 0.3111)).table)

Some are points with errors; the others name the function of `mocksed.sky.laws` whose parameters they are, and
`data.value(x, redshift)` is what it gives. `mocksed.sky.observed.quiescent_share` divides mass functions of two
classes, `mocksed.sky.laws.counts_above` makes counts of line emitters of a luminosity function, and
`mocksed.sky.variance` tells how far a field may be off by chance.

The header of every file says where its numbers were compared (`verified`). A star marks what was not stated there
(`assumed` in the header). Columns have units; where a paper gives one redshift for a bin, it is also both limits.
Ranges are those of the masses, magnitudes, fluxes or luminosities. Densities are comoving. Tables are kept as
published, and converted when they are used: masses and SFRs from one initial mass function to another (Madau &
Dickinson 2014, section 3.1), luminosities and volumes from one cosmology to another.

"""


def markdown(folder: str | Path = FOLDER) -> str:
    """Return the list as Markdown."""
    sections = [_HEAD]
    for observable, tables in by_observable(folder).items():
        heads = ("file", "paper", "what", "z", "range", "IMF", "H0, Om0", "notes")
        rows = [heads, tuple("---" for _ in heads), *map(_row, tables)]
        listed = "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
        sections.append(f"## {OBSERVABLES[observable]}\n\n`{observable}`\n\n{listed}")
    return "\n".join(section.rstrip("\n") + "\n" for section in sections)


def _row(data: Observed) -> tuple[str, ...]:
    def star(key: str, text: str) -> str:
        return text + "*" * any(assumption.split(":")[0] == key for assumption in data.assumed)

    cosmology = f"{data.cosmology.H0:g}, {data.cosmology.Om0:g}" if data.cosmology else "-"
    what = f"points: {len(data.table)}" if data.kind == "points" else data.kind
    return (
        f"`{data.name}`", star("doi", f"[{data.paper}](https://doi.org/{data.doi})"), what,
        star("redshift", f"{data.redshift[0]:g} to {data.redshift[1]:g}"),
        star("range", f"{data.range[0]:g} to {data.range[1]:g}"),
        star("imf", data.imf or "-"), star("cosmology", cosmology), data.note,
    )  # fmt: skip
