# FSPS parameters of each class, and the catalogue that holds both.
rule assign:
    input:
        neighbours=f"{R}/neighbours/{{shard}}.parquet",
        galaxies=f"{R}/galaxies/{{shard}}.parquet",
        parents=parents_of("star_forming"),
        ssp_table=SSP_TABLE,
    output:
        f"{R}/assign/{{shard}}.parquet",
    log:
        f"{LOGS}/assign/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/assign/{{shard}}.tsv"
    threads: 1
    resources:
        **resources_of("assign"),
    params:
        **SHARED,
        recipe=recipe_of("star_forming"),
        metric=METRIC,
        assignment=cfg["assignment"],
        sps=cfg["sps"],
    message:
        "parameters of the star-forming galaxies {wildcards.shard}"
    script:
        "../scripts/assign.py"


rule quiescent:
    input:
        galaxies=f"{R}/galaxies/{{shard}}.parquet",
        ssp_table=SSP_TABLE,
        checked=INPUT_CHECKED,
    output:
        f"{R}/quiescent/{{shard}}.parquet",
    log:
        f"{LOGS}/quiescent/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/quiescent/{{shard}}.tsv"
    threads: 1
    resources:
        **resources_of("quiescent"),
    params:
        **SHARED,
        sps=cfg["sps"],
        sampling=cfg["parent"]["quiescent"]["sampling"],
        quiescent=cfg["quiescent"],
    message:
        "parameters of the quiescent galaxies {wildcards.shard}"
    script:
        "../scripts/quiescent.py"


rule catalog:
    input:
        galaxies=f"{R}/galaxies/{{shard}}.parquet",
        star_forming=rules.assign.output,
        quiescent=rules.quiescent.output,
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
        sps=cfg["sps"],
        photometry=cfg["photometry"],
        lines=cfg["spectra"]["lines"],
        wavelength=cfg["spectra"]["wavelength"],
        about=ABOUT,
    message:
        "catalogue {wildcards.shard}"
    script:
        "../scripts/catalog.py"
