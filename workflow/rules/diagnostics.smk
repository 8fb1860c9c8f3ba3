# Plots of the catalogue against the relations, and the numbers behind them.

from mocksed.diagnostics import PLOTS

DIAGNOSTIC_SETTINGS = {
    **cfg["diagnostics"],
    "uvj_box": cfg["quiescent"]["uvj_box"],
    "cosmology": cfg["cosmology"],
    "relations": RELATIONS,
    "sps": cfg["sps"],
    "photometry": cfg["photometry"],
}

# What the files that diagnostics read must say, see mocksed.diagnostics.summary.check_inputs.
OF_RUN = {"about": SEARCH["about"], "sps": cfg["sps"], "recipe": recipe_of("star_forming")}


wildcard_constraints:
    diagnostic="|".join(PLOTS),


rule plot:
    input:
        catalog=shards_of("catalog"),
        star_forming=lambda wildcards: parents_of("star_forming") if PLOTS[wildcards.diagnostic].needs_parent else [],
        ssp_table=lambda wildcards: SSP_TABLE if PLOTS[wildcards.diagnostic].needs_model else [],
        relations=tables_of(RELATIONS),
    output:
        png=report(
            f"{R}/plots/{{diagnostic}}.png",
            caption="../report/plot.rst",
            category="Diagnostics",
            labels={"plot": "{diagnostic}"},
        ),
        pdf=f"{R}/plots/{{diagnostic}}.pdf",
    log:
        f"{LOGS}/plot/{{diagnostic}}.log",
    benchmark:
        f"{BENCHMARKS}/plot/{{diagnostic}}.tsv"
    localrule: is_small("plot")
    threads: 1
    resources:
        **resources_of("plot"),
        here=int(is_small("plot")),
    params:
        diagnostic="{diagnostic}",
        settings=DIAGNOSTIC_SETTINGS,
        run=OF_RUN,
        caption=lambda wildcards: PLOTS[wildcards.diagnostic].caption,
        realisations=len(REALISATIONS),
    message:
        "Drawing {wildcards.diagnostic}"
    script:
        "../scripts/plot.py"


rule summary:
    input:
        catalog=shards_of("catalog"),
        star_forming=parents_of("star_forming"),
        relations=tables_of(RELATIONS),
    output:
        report(
            f"{R}/summary.json",
            caption="../report/summary.rst",
            category="Diagnostics",
            labels={"plot": "numbers of all plots"},
        ),
    log:
        f"{LOGS}/summary/summary.log",
    benchmark:
        f"{BENCHMARKS}/summary/summary.tsv"
    localrule: is_small("summary")
    threads: 1
    resources:
        **resources_of("summary"),
        here=int(is_small("summary")),
    params:
        settings=DIAGNOSTIC_SETTINGS,
        run=OF_RUN,
    message:
        "Writing the numbers behind the plots"
    script:
        "../scripts/summary.py"
