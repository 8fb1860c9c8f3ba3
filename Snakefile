# A spectrum for every galaxy of a simulated catalogue. Configuration: config/README.md.
from snakemake.utils import min_version

min_version("9.0")


# Snakemake would merge the demo's configuration with the one that the user names.
if not workflow.config_settings.configfiles:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/run.smk"
include: "workflow/rules/comparison.smk"
include: "workflow/cluster.smk"


rule all:
    default_target: True
    input:
        shards_of("catalog"),
        shards_of("spectra") if cfg["spectra"]["write"] else [],
        shards_of("survey") if SURVEY else [],
        shards_of("observed") if cfg["spectra"]["observed"] else [],
        expand(f"{R}/plots/{{diagnostic}}.{{format}}", diagnostic=PLOTS, format=["png", "pdf"]),
        f"{R}/summary.json",


rule comparison:
    input:
        rules.all.input,
        rules.compare.output,
