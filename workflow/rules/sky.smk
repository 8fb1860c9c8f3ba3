# The card of the run: what its catalogue has beside what is observed of the sky, made on demand: `snakemake sky`.

# The names of mocksed.diagnostics.sky.OBSERVABLES, repeated as those of the diagnostics are.
SKY_PLOTS = [
    "uv_luminosity_function",
    "k_luminosity_function",
    "stellar_mass_function",
    "sfr_density",
    "number_counts",
    "a_uv",
    "v_j",
    "dusty_share",
    "uv_slope",
    "quiescent_share",
    "halpha_luminosity_function",
    "oiii_hbeta_luminosity_function",
    "line_counts",
    "oiii_hbeta",
    "bpt",
    "equivalent_width",
]
SKY_TABLES = Path(workflow.basedir, "resources/sky")


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
            for plot in SKY_PLOTS
        ],
        pdf=expand(f"{R}/sky/{{plot}}.pdf", plot=SKY_PLOTS),
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
        plots=SKY_PLOTS,
        tables=str(SKY_TABLES),
        limits=SEARCH["limits"],
        settings={key: cfg["diagnostics"][key] for key in ("max_galaxies", "min_count", "area")},
        about=SEARCH["about"],
        sps=cfg["sps"],
    message:
        "Holding the catalogue against the sky"
    script:
        "../scripts/sky.py"
