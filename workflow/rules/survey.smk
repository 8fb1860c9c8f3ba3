# What a survey sees, from the catalogue alone: other depths change nothing before.
from dataclasses import asdict

from mocksed.survey import bands as survey_bands

SURVEY = survey_bands.is_asked_for(cfg)


rule survey:
    input:
        catalog=f"{R}/catalog/{{shard}}.parquet",
    output:
        f"{R}/survey/{{shard}}.parquet",
    log:
        f"{LOGS}/survey/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/survey/{{shard}}.tsv"
    threads: 1
    resources:
        **resources_of("survey"),
    params:
        bands=[asdict(band) for band in survey_bands.of_config(cfg)],
        survey=cfg["survey"],
        sources=survey_bands.sources(cfg),
        about=SEARCH["about"],
        sps=cfg["sps"],
        shard=lambda wildcards: number_of(wildcards.shard),
    message:
        "survey {wildcards.shard}"
    script:
        "../scripts/survey.py"
