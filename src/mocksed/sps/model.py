"""What is asked of the stellar population model beside the parameters of each galaxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Model:
    """Options shared by all galaxies of a run, under FSPS's names.

    Attributes
    ----------
    sfh : str
        Star-formation history: "delayed_tau" (t exp(-t/tau), FSPS's ``sfh=4``), "tau" (exp(-t/tau), ``sfh=1``) or
        "constant" (``sfh=1, const=1``).
    dust_type : str
        Attenuation curve of the diffuse dust, one of `mocksed.sps.dust.CURVES`.
    dust_index : float
        Slope of the curves "power_law" and "kriek_conroy".
    mwr, uvb : float
        R_V and strength of the 2175 A bump of the curve "cardelli".
    add_dust_emission : bool
        Whether the dust emits what it absorbs (Draine & Li 2007).
    duste_qpah, duste_umin, duste_gamma : float
        PAH mass fraction [%], minimum radiation field and fraction of dust in stronger fields of that emission.

    """

    sfh: str = "delayed_tau"
    dust_type: str = "calzetti"
    dust_index: float = -0.7
    mwr: float = 3.1
    uvb: float = 1.0
    add_dust_emission: bool = False
    duste_qpah: float = 3.5
    duste_umin: float = 1.0
    duste_gamma: float = 0.01

    @classmethod
    def from_config(cls, sps: Mapping[str, Any]) -> Model:
        """Return the options that the config's ``sps`` names."""
        return cls(**{field.name: sps[field.name] for field in fields(cls) if field.name in sps})


DEFAULT_MODEL = Model()
