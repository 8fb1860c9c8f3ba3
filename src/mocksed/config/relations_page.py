"""The reference of all relations (docs/relations.md), from what they say of themselves."""

from __future__ import annotations

from mocksed.galaxies.mass_functions import DEFAULT, MASS_FUNCTIONS
from mocksed.quantities import QUANTITIES
from mocksed.relations import RELATIONS, Relations
from mocksed.relations.relation import ALL, Range, Relation
from mocksed.relations.scatter import StudentT

_HEAD = """\
# Scaling relations

The relations from which galaxies are drawn. The config names them:

    relations:
      log_sfr_star_forming: popesso2023
      log_zmet: sanders2021
      scatter: {{log_zmet: 0.08}}

A range is that of the galaxies from which a relation was measured; a dash means that the paper states none. Beyond its
range a relation is extrapolated, and `mocksed check` prints a note, unless the last column of the table says otherwise.
A scatter is the standard deviation of a normal distribution, or the scale of a Student t of 3 degrees of freedom (t),
truncated to the range of the quantity; `relations.scatter` changes it. Metallicities are log10 of Z in solar units,
from 12 + log(O/H) with 8.69 for the sun (Asplund et al. 2009) unless a note says otherwise.

## Two sets

The default is the set of Drakos et al. (2022). `preset: sky2026` is a newer set, closer to observations:
config/README.md lists its keys, each of which a config may also set by itself, and docs/sky2026.md gives the reasons
and the comparison.

## Initial mass functions

Each relation assumes the IMF of its paper. By default nothing is converted, as in Drakos et al. (2022). If
`relations.mass_imf` and `relations.sfr_imf` name the IMF of the galaxies' masses and of the resulting SFRs, every
relation is converted to them (Madau & Dickinson 2014, section 3.1: masses and SFRs for Salpeter times 0.61 and 0.63 for
Chabrier, 0.66 and 0.67 for Kroupa). If `galaxies.table.mass_imf` is set, the masses of a table are converted to
Chabrier.

## A relation of your own

For a quantity that depends on redshift and mass ({tables}) the config may name a CSV or ECSV file instead, with the
columns `redshift`, `log_mstar` (log10 [Msun]), `mean` and `scatter` and one row for each node of a grid in redshift and
mass. The relation is bilinear between the nodes and constant beyond them. If the file changes, the results that depend
on it are made again.

## Attenuation instead of M_UV

With `relations.a_uv` or `relations.a_v` the model of a galaxy is chosen by its attenuation; M_UV then follows from SFR,
age and attenuation. UV slopes are drawn around their relation at the M_UV that follows from the mean SFR (Madau &
Dickinson 2014, eq. 10) and the mean attenuation. With `relations.dust_index` the slope of the attenuation curve has a
normal distribution around the relation at the galaxy's A_V, instead of `assignment.prior.star_forming.dust_index`. A_UV
is the attenuation at 1500 A for the optical depth and curve of the model. Medians follow `mclure2018` within 0.1 mag up
to 10^10.2 Msun; at 10^10.7 Msun they are 0.15 mag low, since few models with that much dust have the UV slopes of
`beta: williams2018`. With `beta: koprowski2018` or `meurer1999`, where the slope follows the attenuation, they are
within 0.1 mag up to 10^11 Msun. `garn_best2010` is followed within 0.02 mag.

"""

_MASS_FUNCTIONS_HEAD = """\
## Mass functions of star-forming and quiescent galaxies

`galaxies.mass_functions`: a light cone is drawn from them, and with `galaxies.table.quiescent.from: mass_function`
their ratio gives the quiescent fraction of a table. Functions measured in bins of redshift are linear in log Phi
between the middles of the bins, constant below the first one, and fall by 0.3 dex per unit of redshift above the last
one. Masses are for a Chabrier IMF; H0 is 70 km/s/Mpc.

"""


def markdown() -> str:
    """Return the reference as Markdown."""
    from mocksed.relations.table import QUANTITIES

    defaults = Relations()
    sections = [_HEAD.format(tables=", ".join(f"`{name}`" for name in QUANTITIES))]
    for quantity, known in RELATIONS.items():
        heads = ("name", "paper", "z", "log M", "IMF", "scatter", "notes")
        rows = [heads, tuple("---" for _ in heads)]
        default = getattr(defaults, quantity)
        rows += [_row(relation, default is relation) for _, relation in sorted(known.items())]
        table = "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
        sections.append(
            f"## {_title(quantity)}\n\n`relations.{quantity}`{'' if default else ', by default none'}\n\n{table}"
        )
    sections.append(_mass_functions())
    return "\n".join(section.rstrip("\n") + "\n" for section in sections)


def _title(key: str) -> str:
    """Return the heading of the relations of a key of the config: quantity, class and unit."""
    name, _, kind = key.replace("log_sfr_", "log_sfr:").partition(":")
    quantity = QUANTITIES[name]
    words = f"{quantity.description} of {kind.replace('_', '-')} galaxies" if kind else quantity.description
    return words[0].upper() + words[1:] + (f", `{quantity.unit}`" if quantity.unit else "")


def _mass_functions() -> str:
    rows = "".join(
        f"| `{name}`{' (default)' if name == DEFAULT else ''} | [{function.paper}](https://doi.org/{function.doi}) | "
        f"{function.note} |\n"
        for name, function in sorted(MASS_FUNCTIONS.items())
    )
    return f"{_MASS_FUNCTIONS_HEAD}| name | paper | notes |\n| --- | --- | --- |\n{rows}"


def _row(relation: Relation, default: bool) -> tuple[str, ...]:
    name = f"`{relation.name}`" + (" (default)" if default else "")
    heavy = " (t)" if isinstance(relation.scatter, StudentT) else ""
    paper = f"[{relation.paper}](https://doi.org/{relation.doi})"
    return (
        name, paper, _range(relation.redshift), _range(relation.log_mstar), relation.mass_imf or "-",
        f"{relation.scatter.scale:.2g}{heavy}", relation.note,
    )  # fmt: skip


def _range(limits: Range) -> str:
    return "-" if limits == ALL else f"{limits[0]:g} to {limits[1]:g}"
