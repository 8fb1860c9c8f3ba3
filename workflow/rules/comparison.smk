# The run beside what the methods of 2021 make of the same galaxies. Each of these is a run of its own, <run>-<preset>,
# with the same configuration except for what the preset decides.
from mocksed.config import variant
from mocksed.diagnostics import COMPARISONS


module drakos2021a:
    snakefile:
        "../run.smk"
    config:
        variant(cfg, "drakos2021a")


module drakos2021b:
    snakefile:
        "../run.smk"
    config:
        variant(cfg, "drakos2021b")


use rule * from drakos2021a exclude ssp_table as drakos2021a_*


use rule * from drakos2021b exclude ssp_table as drakos2021b_*


rule compare:
    input:
        run=shards_of("catalog"),
        drakos2021a=drakos2021a.shards_of("catalog"),
        drakos2021b=drakos2021b.shards_of("catalog"),
    output:
        png=[
            report(
                f"{R}/comparison/{plot}.png",
                caption="../report/comparison.rst",
                category="Comparison",
                labels={"plot": plot},
            )
            for plot in COMPARISONS
        ],
        pdf=expand(f"{R}/comparison/{{plot}}.pdf", plot=COMPARISONS),
        csv=report(
            f"{R}/comparison/numbers.csv",
            caption="../report/comparison.rst",
            category="Comparison",
            labels={"plot": "every number of every bin"},
        ),
        html=report(
            f"{R}/comparison/numbers.html",
            caption="../report/comparison.rst",
            category="Comparison",
            labels={"plot": "numbers against their targets"},
        ),
    log:
        f"{LOGS}/compare/compare.log",
    benchmark:
        f"{BENCHMARKS}/compare/compare.tsv"
    threads: 1
    resources:
        **resources_of("compare"),
    params:
        settings={
            "run": DIAGNOSTIC_SETTINGS,
            "drakos2021a": drakos2021a.DIAGNOSTIC_SETTINGS,
            "drakos2021b": drakos2021b.DIAGNOSTIC_SETTINGS,
        },
        about={
            "run": SEARCH["about"],
            "drakos2021a": drakos2021a.SEARCH["about"],
            "drakos2021b": drakos2021b.SEARCH["about"],
        },
        sps={"run": cfg["sps"], "drakos2021a": drakos2021a.cfg["sps"], "drakos2021b": drakos2021b.cfg["sps"]},
        plots=COMPARISONS,
    message:
        "Comparing with the presets of 2021"
    script:
        "../scripts/compare.py"
