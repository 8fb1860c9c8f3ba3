"""Write the spectra of shards of the catalogue."""

from mocksed.launch import Work, run

files = zip(snakemake.input.catalog, snakemake.output, strict=True)
shards = [{"catalog": catalog, "output": path} for catalog, path in files]
run(Work("spectra", {}, shards), snakemake.log[0], snakemake.threads, snakemake.resources)
