"""Files for other programs, from the catalogue of a finished run and its survey.

Modules: `source` reads rows in blocks, `where` chooses among them, `formats` writes them, `clients` has the columns of
programs, and `registry` brings these together. This module has only the names, which need no imports.
"""

FILES = {
    "fits": "{run}.fits",
    "ecsv": "{run}.ecsv",
    "votable": "{run}.vot",
    "csv": "{run}.csv",
    "hdf5": "{run}.h5",
    "parquet": "{run}.parquet",
    "jaguar": "{run}_jaguar.fits",
    "dream": "{run}_dream_photo.h5",
    "romanisim": "{run}_romanisim.ecsv",
    "eazy": "{run}_eazy.cat",
    "lephare": "{run}_lephare.in",
    "photerr_lsst": "{run}_photerr_lsst.parquet",
    "photerr_euclid": "{run}_photerr_euclid.parquet",
    "photerr_roman": "{run}_photerr_roman.parquet",
    "rail": "{run}_rail.parquet",
}
"""Names of the files in ``results/<run>/export``, by their formats."""


def file_name(format_: str, run: str) -> str:
    """Return the name of the file of a run in a format."""
    return FILES[format_].format(run=run)
