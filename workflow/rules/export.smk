# Files for other programs, made on demand: `snakemake --cores 1 results/R/export/R.fits`.
import re

from mocksed import export

EXPORTS = {export.file_name(name, cfg["run"]): name for name in export.FILES}


rule export:
    input:
        catalog=shards_of("catalog"),
        survey=shards_of("survey") if SURVEY else [],
    output:
        f"{R}/export/{{file}}",
    log:
        f"{LOGS}/export/{{file}}.log",
    benchmark:
        f"{BENCHMARKS}/export/{{file}}.tsv"
    wildcard_constraints:
        file="|".join(map(re.escape, EXPORTS)),
    threads: 1
    resources:
        **resources_of("export"),
    params:
        format=lambda wildcards: EXPORTS[wildcards.file],
        run=cfg["run"],
        rows=cfg["export"],
        about=SEARCH["about"],
        sps=cfg["sps"],
        survey={key: rules.survey.params[key] for key in ("survey", "bands")},
        shards=[number_of(shard) for shard in GALAXY_SHARDS],
    message:
        "export {wildcards.file}"
    script:
        "../scripts/export.py"
