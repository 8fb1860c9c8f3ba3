"""Write the spectra of one shard of the catalogue."""

from mocksed import realisations, spectra, storage
from mocksed.jobs import job, progress

with job(snakemake.log[0], snakemake.threads):
    columns = storage.read_arrays(snakemake.input.catalog, spectra.NEEDED, optional=[realisations.COLUMN])
    made = spectra.recipe(snakemake.input.catalog)
    with progress(len(columns["galaxy_id"]), "galaxies", "spectra") as bar:
        spectra.write(snakemake.output[0], columns, made.engine, made.limits, made.about, bar)
