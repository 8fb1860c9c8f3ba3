# The card of the run: what its catalogue has beside what is observed of the sky, made on demand: `snakemake sky`.

from mocksed import shipped
from mocksed.diagnostics import SKY

SKY_TABLES = Path(shipped.found("resources/sky"))


rule sky:
    input:
        catalog=shards_of("catalog"),
        tables=sorted(map(str, SKY_TABLES.glob("*.ecsv"))),
    output:
        html=report(
            f"{R}/sky/sky.html",
            caption="../report/sky.rst",
            category="Sky",
            labels={"plot": "scores of all observables"},
        ),
        png=[
            report(
                f"{R}/sky/{plot}.png",
                caption="../report/sky.rst",
                category="Sky",
                labels={"plot": plot},
            )
            for plot in SKY
        ],
        pdf=expand(f"{R}/sky/{{plot}}.pdf", plot=SKY),
        summary=f"{R}/sky/summary.json",
    log:
        f"{LOGS}/sky/sky.log",
    benchmark:
        f"{BENCHMARKS}/sky/sky.tsv"
    localrule: is_small("sky")
    threads: 1
    resources:
        **resources_of("sky"),
        here=int(is_small("sky")),
    params:
        plots=SKY,
        limits=SEARCH["limits"],
        settings={key: cfg["diagnostics"][key] for key in ("max_galaxies", "min_count", "area")},
        about=SEARCH["about"],
        sps=cfg["sps"],
    message:
        "Holding the catalogue against the sky"
    script:
        "../scripts/sky.py"
