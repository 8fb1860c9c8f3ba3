"""Build the k-d tree of a range of rows of a parent."""

from snakemake.iocontainers import Snakemake

from mocksed.run.jobs import job
from mocksed.run.stages import parents

snakemake: Snakemake

with job(snakemake.log[0], snakemake.threads):
    files = snakemake.output
    parents.make_tree(dict(snakemake.params), snakemake.input.parents, files.leaves, files.about)
