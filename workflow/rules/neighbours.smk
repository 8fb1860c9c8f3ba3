# Tree and neighbours: what is proposed for star-forming galaxies, and the parent points nearest to it.
rule tree:
    input:
        parents_of("star_forming"),
    output:
        points=f"{R}/tree/points.npy",
        parameters=f"{R}/tree/parameters.npy",
        about=f"{R}/tree/about.json",
    log:
        f"{LOGS}/tree/all.log",
    benchmark:
        f"{BENCHMARKS}/tree/all.tsv"
    threads: 1
    resources:
        **resources_of("tree"),
    params:
        metric=cfg["neighbours"]["metric"],
    message:
        "coordinates of the parent in the metric {params.metric}"
    script:
        "../scripts/tree.py"


rule neighbours:
    input:
        galaxies=f"{R}/galaxies/{{shard}}.parquet",
        points=rules.tree.output.points,
        parameters=rules.tree.output.parameters,
        about=rules.tree.output.about,
    output:
        f"{R}/neighbours/{{shard}}.parquet",
    log:
        f"{LOGS}/neighbours/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/neighbours/{{shard}}.tsv"
    threads: 1
    resources:
        **resources_of("neighbours"),
    params:
        **SHARED,
        neighbours=cfg["neighbours"],
    message:
        "neighbours of the galaxies {wildcards.shard}"
    script:
        "../scripts/neighbours.py"
