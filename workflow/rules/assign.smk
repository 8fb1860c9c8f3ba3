# FSPS parameters of the galaxies, and the catalogue.
rule assign:
    input:
        neighbours=f"{R}/neighbours/{{shard}}.parquet",
        galaxies=f"{R}/galaxies/{{shard}}.parquet",
        star_forming=parents_of("star_forming"),
        quiescent=parents_of("quiescent"),
        ssp_table=SSP_TABLE if GIVEN["quantities"] else [],
    output:
        temp(f"{R}/assign/{{shard}}.parquet"),
    log:
        f"{LOGS}/assign/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/assign/{{shard}}.tsv"
    threads: 1
    resources:
        **resources_of("assign"),
    params:
        search={**SEARCH, "recipes": {kind: recipe_of(kind) for kind in KINDS}, "sps": cfg["sps"]},
        shard=lambda wildcards: number_of(wildcards.shard),
    message:
        "parameters of the galaxies {wildcards.shard}"
    script:
        "../scripts/assign.py"


rule catalog:
    input:
        galaxies=f"{R}/galaxies/{{shard}}.parquet",
        assigned=rules.assign.output,
        ssp_table=SSP_TABLE,
        filter_files=list(cfg["photometry"]["filter_files"].values()),
    output:
        f"{R}/catalog/{{shard}}.parquet",
    log:
        f"{LOGS}/catalog/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/catalog/{{shard}}.tsv"
    threads: 1
    resources:
        **resources_of("catalog"),
    params:
        metric=METRIC,
        uvj_box=cfg["quiescent"]["uvj_box"],
        sps=cfg["sps"],
        photometry=cfg["photometry"],
        lines=cfg["spectra"]["lines"],
        morphology=cfg["morphology"],
        ionising=cfg["spectra"]["ionising"],
        about=SEARCH["about"],
        shard=lambda wildcards: number_of(wildcards.shard),
    message:
        "catalogue {wildcards.shard}"
    script:
        "../scripts/catalog.py"
