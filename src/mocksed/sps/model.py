"""Options of the stellar population model beside the parameters of each galaxy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from mocksed.errors import UserError, suggestion
from mocksed.sps.curves import CURVES

SFH: dict[str, dict[str, float]] = {
    "delayed_tau": {"sfh": 4, "const": 0.0},
    "tau": {"sfh": 1, "const": 0.0},
    "constant": {"sfh": 1, "const": 1.0},
}
"""Star-formation histories, and FSPS's parameters for them."""

LIMITS = {
    "line_attenuation": (0.0, 10.0),
    "dust_index": (-3.0, 0.4),  # above, the bump of Kriek & Conroy would turn negative
    "mwr": (2.0, 6.0),
    "uvb": (0.0, 5.0),
    "duste_qpah": (0.0, 10.0),
    "duste_umin": (0.1, 25.0),  # above, FSPS reads beyond the end of its table
    "duste_gamma": (0.0, 1.0),
}
"""Ranges of the numbers."""


@dataclass(frozen=True)
class Model:
    """Options shared by all galaxies of a run, under FSPS's names.

    Attributes
    ----------
    sfh : str
        Star-formation history: "delayed_tau" (t exp(-t/tau), FSPS's ``sfh=4``), "tau" (exp(-t/tau), ``sfh=1``) or
        "constant" (``sfh=1, const=1``).
    dust_type : str
        Attenuation curve of the diffuse dust, one of `mocksed.sps.curves.CURVES`.
    dust_index : float, optional
        Slope of curves that have one, the same for all galaxies; None if each galaxy has its own.
    mwr, uvb : float
        R_V and strength of the 2175 A bump of the curve "cardelli".
    line_attenuation : float
        Optical depth in front of the emission lines relative to that in front of stars and gas continuum.
    add_dust_emission : bool
        Whether the dust emits what it absorbs (Draine & Li 2007).
    duste_qpah, duste_umin, duste_gamma : float
        PAH mass fraction [%], minimum radiation field and fraction of dust in stronger fields of that emission.

    Raises
    ------
    UserError
        If the history or the curve does not exist, or a number is outside `LIMITS`.

    """

    sfh: str = "delayed_tau"
    dust_type: str = "calzetti"
    dust_index: float | None = None
    mwr: float = 3.1
    uvb: float = 1.0
    line_attenuation: float = 1.0
    add_dust_emission: bool = False
    duste_qpah: float = 3.5
    duste_umin: float = 1.0
    duste_gamma: float = 0.01

    def __post_init__(self) -> None:
        choices: dict[str, Collection[str]] = {"sfh": SFH, "dust_type": CURVES}
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known:
                near = suggestion(str(value), known)
                raise UserError(f"there is no {name} {value!r}{near}; expected one of {', '.join(known)}.")
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UserError(f"{name} is {value}; expected a number from {low:g} to {high:g}.")

    @property
    def slope_is_free(self) -> bool:
        """Whether the slope of the attenuation curve is a parameter of each galaxy."""
        return CURVES[self.dust_type].has_slope and self.dust_index is None

    @property
    def lines_are_apart(self) -> bool:
        """Whether the emission lines are behind more or less dust than the continuum."""
        return self.line_attenuation != 1.0

    @classmethod
    def from_config(cls, sps: Mapping[str, Any]) -> Model:
        """Return the options that the config's ``sps`` names."""
        return cls(**{field.name: sps[field.name] for field in fields(cls) if field.name in sps})


DEFAULT_MODEL = Model()
