# The spectra, from the catalogue alone: its metadata say how.
rule spectra:
    input:
        catalog=of_job(f"{R}/catalog/{{shard}}.parquet", SHARDS),
        ssp_table=SSP_TABLE,
    output:
        of_job(f"{R}/spectra/{{shard}}.parquet", SHARDS),
    log:
        f"{LOGS}/spectra/{name_of_job('{shard}')}.log",
    benchmark:
        f"{BENCHMARKS}/spectra/{name_of_job('{shard}')}.tsv"
    threads: RANKS
    resources:
        **resources_of_ranks("spectra"),
    params:
        run={"about": SEARCH["about"], "sps": cfg["sps"], "wavelength": cfg["spectra"]["wavelength"]},
        shards=lambda wildcards: [number_of(of["shard"]) for of in in_job(wildcards, SHARDS)],
    message:
        f"spectra {name_of_job('{wildcards.shard}')}"
    script:
        "../scripts/spectra.py"


# What an instrument sees of them, if the config asks for it.
if cfg["spectra"]["observed"]:

    rule observed:
        input:
            catalog=of_job(f"{R}/catalog/{{shard}}.parquet", SHARDS),
            ssp_table=SSP_TABLE,
            grid=cfg["spectra"]["observed"]["file"] or [],
        output:
            of_job(f"{R}/observed/{{shard}}.parquet", SHARDS),
        log:
            f"{LOGS}/observed/{name_of_job('{shard}')}.log",
        benchmark:
            f"{BENCHMARKS}/observed/{name_of_job('{shard}')}.tsv"
        threads: RANKS
        resources:
            **resources_of_ranks("observed"),
        params:
            run={"about": SEARCH["about"], "sps": cfg["sps"], "observed": cfg["spectra"]["observed"]},
            shards=lambda wildcards: [number_of(of["shard"]) for of in in_job(wildcards, SHARDS)],
        message:
            f"observed spectra {name_of_job('{wildcards.shard}')}"
        script:
            "../scripts/observed.py"
