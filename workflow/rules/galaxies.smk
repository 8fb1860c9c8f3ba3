# The galaxies: redshift, mass, class. One of the two rules, by the config's galaxies.source.
if cfg["galaxies"]["source"] == "lightcone":
    INPUT_CHECKED = []

    rule lightcone:
        output:
            f"{R}/galaxies/{{shard}}.parquet",
        log:
            f"{LOGS}/lightcone/{{shard}}.log",
        benchmark:
            f"{BENCHMARKS}/lightcone/{{shard}}.tsv"
        threads: 1
        resources:
            **resources_of("lightcone"),
        params:
            lightcone=cfg["galaxies"]["lightcone"],
            mass_functions=cfg["galaxies"]["mass_functions"],
            cosmology=cfg["cosmology"],
            seed=cfg["seed"],
            about=ABOUT,
            realisations=REALISATIONS,
            n_shards=len(GALAXY_SHARDS),
            shard=lambda wildcards: int(wildcards.shard),
        message:
            "light cone {wildcards.shard}"
        script:
            "../scripts/lightcone.py"

else:
    from mocksed.galaxies.files import files_of, table_path

    TABLE_FILES = [str(file) for file in files_of(table_path(cfg["galaxies"]["table"]["path"]))]

    # Other stages that do not read the table wait for this report: a bad table stops the run before any work.
    INPUT_CHECKED = ancient(f"{R}/galaxies/report.json")

    rule input_table:
        input:
            TABLE_FILES,
        output:
            shards=shards_of("galaxies"),
            report=report(
                f"{R}/galaxies/report.json",
                caption="../report/input.rst",
                category="Input",
                labels={"plot": "what was read of the table"},
            ),
        log:
            f"{LOGS}/input_table/all.log",
        benchmark:
            f"{BENCHMARKS}/input_table/all.tsv"
        threads: 1
        resources:
            **resources_of("input_table"),
        params:
            table=cfg["galaxies"]["table"],
            mass_functions=cfg["galaxies"]["mass_functions"],
            uvj_box=cfg["quiescent"]["uvj_box"],
            seed=cfg["seed"],
            about=ABOUT,
            realisations=REALISATIONS,
            n_shards=len(GALAXY_SHARDS),
        message:
            "check and read {params.table[path]}"
        script:
            "../scripts/input_table.py"
