"""Write the spectra of one shard of the catalogue."""

from mocksed import spectra, storage
from mocksed.jobs import job, progress
from mocksed.sps import engines

with job(snakemake.log[0], snakemake.threads):
    params = snakemake.params
    columns = storage.read_arrays(snakemake.input.catalog, spectra.NEEDED)
    engine = engines.of(params.sps)
    with progress(len(columns["galaxy_id"]), "galaxies", "spectra") as bar:
        spectra.write(snakemake.output[0], columns, engine, params.wavelength, params.about | engine.about, bar)
