# Tree and neighbours: what is proposed for star-forming galaxies, and the parent points nearest to it.
rule tree:
    input:
        parents=parents_of_tree,
    output:
        leaves=f"{R}/tree/{{tree}}.npy",
        about=f"{R}/tree/{{tree}}.json",
    log:
        f"{LOGS}/tree/{{tree}}.log",
    benchmark:
        f"{BENCHMARKS}/tree/{{tree}}.tsv"
    threads: cfg["neighbours"]["threads"]
    resources:
        **resources_of("tree"),
    params:
        recipe=recipe_of("star_forming"),
        metric=METRIC,
        n_trees=len(TREE_SHARDS),
        tree=lambda wildcards: int(wildcards.tree),
    message:
        "k-d tree of the parent in the metric {params.metric[metric]}, {wildcards.tree}"
    script:
        "../scripts/tree.py"


rule propose:
    input:
        galaxies=f"{R}/galaxies/{{shard}}.parquet",
        ssp_table=SSP_TABLE,
    output:
        f"{R}/proposals/{{shard}}.parquet",
    log:
        f"{LOGS}/propose/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/propose/{{shard}}.tsv"
    threads: 1
    resources:
        **resources_of("propose"),
    params:
        **SHARED,
        proposals=cfg["assignment"]["proposals"],
        sps=cfg["sps"],
    message:
        "what is proposed for the star-forming galaxies {wildcards.shard}"
    script:
        "../scripts/propose.py"


# One job for each shard of galaxies, or for each pair of one and a tree shard, the results of which are merged.
PAIR = "{shard}" if len(TREE_SHARDS) == 1 else "{shard}-{tree}"
PART = f"{R}/neighbours/parts/{PAIR}.parquet"


rule neighbours:
    input:
        galaxies=f"{R}/galaxies/{{shard}}.parquet",
        proposals=f"{R}/proposals/{{shard}}.parquet",
        leaves=lambda wildcards: f"{R}/tree/{tree_of(wildcards)}.npy",
        about=lambda wildcards: f"{R}/tree/{tree_of(wildcards)}.json",
    output:
        f"{R}/neighbours/{{shard}}.parquet" if len(TREE_SHARDS) == 1 else temp(PART),
    log:
        f"{LOGS}/neighbours/{PAIR}.log",
    benchmark:
        f"{BENCHMARKS}/neighbours/{PAIR}.tsv"
    threads: cfg["neighbours"]["threads"]
    resources:
        **resources_of("neighbours"),
    params:
        about=ABOUT,
        cosmology=cfg["cosmology"],
        recipe=recipe_of("star_forming"),
        metric=METRIC,
        neighbours={key: cfg["neighbours"][key] for key in ("k", "allowed_ages_only")},
        n_trees=len(TREE_SHARDS),
        tree=lambda wildcards: int(tree_of(wildcards)),
    message:
        "neighbours of the galaxies {wildcards.shard}"
    script:
        "../scripts/neighbours.py"


if len(TREE_SHARDS) > 1:

    rule merge:
        input:
            parts=expand(PART, tree=TREE_SHARDS, allow_missing=True),
            trees=expand(f"{R}/tree/{{tree}}.json", tree=TREE_SHARDS),
        output:
            f"{R}/neighbours/{{shard}}.parquet",
        log:
            f"{LOGS}/merge/{{shard}}.log",
        benchmark:
            f"{BENCHMARKS}/merge/{{shard}}.tsv"
        threads: 1
        resources:
            **resources_of("merge"),
        params:
            k=cfg["neighbours"]["k"],
        message:
            "neighbours of the galaxies {wildcards.shard}, of all tree shards"
        script:
            "../scripts/merge.py"
