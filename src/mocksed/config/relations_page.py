"""The reference of all relations (docs/relations.md), from what they say of themselves."""

from __future__ import annotations

from mocksed.galaxies.mass_functions import DEFAULT, MASS_FUNCTIONS
from mocksed.relations import RELATIONS, Relations
from mocksed.relations.relation import ALL, Range, Relation
from mocksed.relations.scatter import StudentT

_TITLES = {
    "log_sfr_star_forming": "SFR of star-forming galaxies, log10 [Msun/yr]",
    "log_sfr_quiescent": "SFR of quiescent galaxies, log10 [Msun/yr]",
    "log_zmet": "Metallicity of stars and gas, log10 [solar]",
    "log_us": "Ionisation parameter, log10 of U at the Stromgren radius",
    "muv": "M_UV [AB mag]",
    "beta": "UV slope",
    "a_uv": "Attenuation at 1500 to 1600 A [mag]",
    "a_v": "Attenuation of stars at 5500 A [mag]",
    "dust_index": "Slope of the attenuation curve of Kriek & Conroy (2013)",
}

_HEAD = """\
# Scaling relations

What galaxies are drawn from, each by its name in the config:

    relations:
      log_sfr_star_forming: popesso2023
      log_zmet: sanders2021
      scatter: {{log_zmet: 0.08}}

Ranges are those of the galaxies that a relation was measured from; a dash means that none is stated. Beyond them it is
extrapolated, as `mocksed check` says, except where a note says what is done. A scatter is the standard deviation of a
normal distribution, or the scale of a Student t of 3 degrees of freedom (t), cut to what the quantity can be;
`relations.scatter` sets another one. Metallicities are log10 of Z in units of the sun, from 12 + log(O/H) with 8.69 for
the sun (Asplund et al. 2009) where no note says otherwise.

## Two sets

By default galaxies have the relations of Drakos et al. (2022). `preset: sky2026` names newer ones that are nearer to
the sky; config/README.md lists its keys, each of which a config may set itself, and docs/sky2026.md says why these and
how near they come.

## Initial mass functions

A relation has the IMF of its paper. By default nothing is converted, as in Drakos et al. (2022): masses and SFRs of
galaxies are taken for those of each paper. `relations.mass_imf` and `relations.sfr_imf` name the IMF of the masses of
galaxies and that of the SFRs that come out, and every relation is converted to these (Madau & Dickinson 2014, section
3.1: masses and SFRs of Salpeter times 0.61 and 0.63 for Chabrier, 0.66 and 0.67 for Kroupa). Masses of a table are of
Chabrier where `galaxies.table.mass_imf` says of which IMF they were.

## A relation of your own

A quantity that depends on redshift and mass ({tables}) may have the path of a table for its name, CSV or ECSV, with the
columns `redshift`, `log_mstar` (log10 [Msun]), `mean` and `scatter`, one row for each combination of some redshifts and
some masses. It is bilinear between these and held beyond them. When the file changes, what depends on it is made anew.

## Attenuation in place of M_UV

With `relations.a_uv` or `relations.a_v` galaxies are chosen by their attenuation: the relation takes the place of that
of M_UV, which follows from SFR, age and attenuation. UV slopes are then drawn around their relation at the M_UV that
the mean SFR (Madau & Dickinson 2014, eq. 10) and the mean attenuation give. With `relations.dust_index` the slope of
the attenuation curve has a normal distribution around the relation at a galaxy's own A_V, in place of
`assignment.prior.star_forming.dust_index`. A_UV is that at 1500 A of a model's optical depth and curve. Medians follow
`mclure2018` to 0.1 mag up to 10^10.2 Msun; at 10^10.7 Msun they are 0.15 mag low, since few models with so much dust
have the UV slopes of `beta: williams2018`. With `beta: koprowski2018` or `meurer1999`, slopes that follow a galaxy's
attenuation, they are within 0.1 mag up to 10^11 Msun. `garn_best2010` is followed to 0.02 mag.

"""

_OF_MASS_FUNCTIONS = """\
## Mass functions of star-forming and quiescent galaxies

`galaxies.mass_functions`: a light cone is drawn from them, and their ratio divides the galaxies of a table where
`galaxies.table.quiescent.from` is `mass_function`. Those in bins of redshift are linear in log Phi between the middles
of the bins, held below the first one, and fall by 0.3 dex per unit of redshift above the last one. Masses are of a
Chabrier IMF; H0 is 70 km/s/Mpc.

"""


def markdown() -> str:
    """Return the reference as Markdown."""
    from mocksed.relations.table import QUANTITIES

    default = Relations()
    sections = [_HEAD.format(tables=", ".join(f"`{name}`" for name in QUANTITIES))]
    for quantity, known in RELATIONS.items():
        heads = ("name", "paper", "z", "log M", "IMF", "scatter", "notes")
        rows = [heads, tuple("---" for _ in heads)]
        own = getattr(default, quantity)
        rows += [_row(relation, own is relation) for _, relation in sorted(known.items())]
        table = "".join(f"| {' | '.join(cells)} |\n" for cells in rows)
        sections.append(
            f"## {_TITLES[quantity]}\n\n`relations.{quantity}`{'' if own else ', by default none'}\n\n{table}"
        )
    sections.append(_mass_functions())
    return "\n".join(section.rstrip("\n") + "\n" for section in sections)


def _mass_functions() -> str:
    rows = "".join(
        f"| `{name}`{' (default)' if name == DEFAULT else ''} | [{of.paper}](https://doi.org/{of.doi}) | {of.note} |\n"
        for name, of in sorted(MASS_FUNCTIONS.items())
    )
    return f"{_OF_MASS_FUNCTIONS}| name | paper | notes |\n| --- | --- | --- |\n{rows}"


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
