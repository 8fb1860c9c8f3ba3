"""The quantities of galaxies: the name, unit and symbol of each, in one place.

Columns, messages about flags, axes of plots, tolerances of what a user's table gives and the reference of the relations
read them here. Details of a single column, e.g. how M_UV is measured, are in `mocksed.files.columns`.
"""

from typing import NamedTuple


class Quantity(NamedTuple):
    """A quantity of a galaxy."""

    description: str
    """Description in columns and headings."""
    unit: str = ""
    """As `astropy.units.Unit` takes it; empty without one."""
    symbol: str = ""
    """Name on axes, in matplotlib's mathtext; the description without one."""
    shown_unit: str = ""
    """Unit on axes."""
    difference: str = ""
    """Unit of a difference of two values."""
    word: str = ""
    """Name in short messages; the description without one."""
    tolerance: float = 0.0
    """How far a result may be from what a user's table gives without a flag; 0 if a table cannot give it."""

    @property
    def name(self) -> str:
        """Name in short messages."""
        return self.word or self.description

    @property
    def axis(self) -> str:
        """The label of an axis: symbol and unit."""
        name = self.symbol or self.description
        return f"{name} [{self.shown_unit}]" if self.shown_unit else name

    @property
    def is_log(self) -> bool:
        """Whether values are log10 of something."""
        return self.difference == "dex"

    @property
    def linear_unit(self) -> str:
        """The unit of a value, of ten to its power if it is a logarithm; magnitudes without their system."""
        return self.unit.removeprefix("dex").strip("()") if self.is_log else self.difference


QUANTITIES = {
    "redshift": Quantity("redshift", symbol=r"redshift $z$"),
    "log_mstar": Quantity("surviving stellar mass", "dex(Msun)", r"$\log\,M_*$", r"$\mathrm{M}_\odot$", "dex"),
    "log_sfr": Quantity(
        "star-formation rate", "dex(Msun/yr)", r"$\log\,\psi$", r"$\mathrm{M}_\odot\,\mathrm{yr}^{-1}$", "dex", "SFR",
        tolerance=0.01,
    ),
    "log_zmet": Quantity(
        "metallicity of stars and gas [Z/Zsun]", "dex", r"$\log\,Z$", r"$\mathrm{Z}_\odot$", "dex", "metallicity",
        tolerance=0.01,
    ),
    "log_us": Quantity(
        "log10 of the ionisation parameter", "", r"$\log\,U_\mathrm{S}$", "", "dex", "ionisation", tolerance=0.01
    ),
    "muv": Quantity(
        "UV absolute magnitude", "mag(AB)", r"$M_\mathrm{UV}$", "AB mag", "mag", "M_UV", tolerance=0.02
    ),
    "beta": Quantity("UV slope", symbol=r"UV slope $\beta$", tolerance=0.02),
    "dust2": Quantity(
        "optical depth of the diffuse dust at 5500 A", symbol=r"dust $\tau_V$", word="attenuation", tolerance=0.01
    ),
    "age": Quantity("time since the start of star formation", "Gyr", "age", "Gyr", "Gyr", "age", tolerance=0.01),
    "log_tau": Quantity("e-folding time of the star-formation history", "dex(Gyr)", r"$\log\,\tau$", "Gyr", "dex"),
    "dust_index": Quantity("slope of the attenuation curve", symbol="slope of attenuation"),
    "a_uv": Quantity("attenuation at 1500 to 1600 A", "mag", r"$A_\mathrm{UV}$", "mag", "mag"),
    "a_v": Quantity("attenuation of stars at 5500 A", "mag", r"$A_V$", "mag", "mag"),
    "uv": Quantity("rest-frame Bessell U - V", "mag(AB)", "$U-V$", "AB mag", "mag"),
    "vj": Quantity("rest-frame Bessell V - 2MASS J", "mag(AB)", "$V-J$", "AB mag", "mag"),
}  # fmt: skip
"""Every quantity by its name, that of its column where there is one."""

GIVEN = tuple(name for name, quantity in QUANTITIES.items() if quantity.tolerance)
"""Quantities that a user's table may give; random numbers within errors are taken in this order."""
