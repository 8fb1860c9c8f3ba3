"""How the points of a parent are distributed; by itself, since the workflow asks what they follow from."""

from collections.abc import Mapping
from typing import Any

from mocksed.cosmology import AGE_MARGIN
from mocksed.relations import LOG_ZMET_RANGE, Relations, used
from mocksed.sps import TAU_RANGE

Distribution = Mapping[str, Any]
Sampling = Mapping[str, Distribution]

_OLDEST = 13.8  # Gyr; the default's points have redshift 0 and are of use wherever the universe is older than they are

_DRAKOS_A: Sampling = {
    "log_mstar": {"uniform": (5.0, 12.0)},
    "redshift": {"uniform": (0.0, 12.0)},
    "log_zmet": {"relation": True},
    "log_us": {"relation": True},
    "dust2": {"normal": (0.0, 1.0, 0.0, 4.0)},
    "age": {"log_uniform_to_t_univ": AGE_MARGIN},
    "tau": {"log_uniform": TAU_RANGE},
}
_DRAKOS_B: Sampling = {
    "log_mstar": {"uniform": (5.0, 12.0)},
    "redshift": {"uniform_in_scale_factor": (0.0, 12.0)},
    "log_zmet": {"relation": True},
    "log_us": {"relation": True},
    "dust2": {"normal": (0.0, 0.5, 0.0, 4.0)},
    "age": {"normal": (6.0, 2.0)},
    "tau": {"uniform": TAU_RANGE},
}
_DEFAULT: Sampling = {
    "log_mstar": {"uniform": (5.0, 12.0)},
    "redshift": {"constant": 0.0},
    "log_zmet": {"uniform": LOG_ZMET_RANGE},
    "log_us": {"relation": True},
    "dust2": {"normal": (0.0, 1.0, 0.0, 4.0)},
    "age": {"log_uniform": (AGE_MARGIN, _OLDEST)},
    "tau": {"log_uniform": TAU_RANGE},
}

PRESETS: dict[str, dict[str, Sampling]] = {
    "star_forming": {"default": _DEFAULT, "drakos2021a": _DRAKOS_A, "drakos2021b": _DRAKOS_B},
    "quiescent": {
        "default": {
            **_DEFAULT,
            "dust2": {"normal": (0.0, 0.3, 0.0, 4.0)},
            "age": {"log_uniform": (0.3, _OLDEST)},
            "tau": {"log_uniform": (0.1, 10.0)},
        },
        "drakos2021a": {**_DRAKOS_A, "dust2": {"constant": 0.0}},
        "drakos2021b": {
            **_DRAKOS_B,
            "dust2": {"constant": 0.0},
            "age": {"normal": (10.0, 2.0)},
            "tau": {"uniform": (0.1, 10.0)},
        },
    },
}
"""Sampling presets of each class. April and May 2021: Drakos et al. (2022). The default covers all metallicities,
ages and e-folding times evenly: which of them galaxies have is decided by their relations. ``dust_index`` is that of
`slope` where a sampling has none."""


def sampling_of(setting: str | Sampling, kind: str) -> Sampling:
    """Return the distributions of a class ("star_forming", "quiescent"), from a preset's name or as they are."""
    return PRESETS[kind][setting] if isinstance(setting, str) else setting


def relations_behind(kind: str, sampling: str | Sampling, relations: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of the config's ``relations`` that the points of a class depend on, see `mocksed.relations.used`.

    Parameters
    ----------
    kind : str
        "star_forming" or "quiescent".
    sampling : str or mapping
        Name of a preset or the distributions.
    relations : mapping
        The config's ``relations``, or such a part of them.

    """
    own, distributions = Relations.from_config(relations), sampling_of(sampling, kind)
    names = [name for name in ("log_zmet", "log_us") if "relation" in distributions.get(name, {})]
    if any("log_sfr" in getattr(own, name).needs for name in names):
        names.append(f"log_sfr_{kind}")
    return used(relations, names)
