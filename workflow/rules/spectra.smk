# The spectra, from the catalogue alone: its metadata say how.
rule spectra:
    input:
        catalog=f"{R}/catalog/{{shard}}.parquet",
        ssp_table=SSP_TABLE,
    output:
        f"{R}/spectra/{{shard}}.parquet",
    log:
        f"{LOGS}/spectra/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/spectra/{{shard}}.tsv"
    threads: 1
    resources:
        **resources_of("spectra"),
    message:
        "spectra {wildcards.shard}"
    script:
        "../scripts/spectra.py"
