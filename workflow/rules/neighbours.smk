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


# Each shard of galaxies, or each pair of one and a tree shard, the results of which are merged.
PAIRS = {"shard": GALAXY_SHARDS, "tree": TREE_SHARDS}
PAIR = "{shard}-{tree}"
PART = f"{R}/neighbours/parts/{PAIR}.parquet"
if len(TREE_SHARDS) == 1:
    PAIRS, PAIR = {"shard": GALAXY_SHARDS}, "{shard}"
TREE = "{tree}" if "tree" in PAIRS else TREE_SHARDS[0]


rule neighbours:
    input:
        galaxies=of_job(f"{R}/galaxies/{{shard}}.parquet", PAIRS),
        proposals=of_job(f"{R}/proposals/{{shard}}.parquet", PAIRS),
        leaves=of_job(f"{R}/tree/{TREE}.npy", PAIRS),
        about=of_job(f"{R}/tree/{TREE}.json", PAIRS),
    output:
        temp(of_job(PART, PAIRS)) if "tree" in PAIRS else of_job(f"{R}/neighbours/{{shard}}.parquet", PAIRS),
    log:
        f"{LOGS}/neighbours/{name_of_job(PAIR)}.log",
    benchmark:
        f"{BENCHMARKS}/neighbours/{name_of_job(PAIR)}.tsv"
    threads: RANKS * cfg["neighbours"]["threads"]
    resources:
        **resources_of_ranks("neighbours", cfg["neighbours"]["threads"]),
    params:
        about=ABOUT,
        cosmology=cfg["cosmology"],
        recipe=recipe_of("star_forming"),
        metric=METRIC,
        k=cfg["neighbours"]["k"],
        allowed_ages_only=cfg["neighbours"]["allowed_ages_only"],
        n_trees=len(TREE_SHARDS),
        trees=lambda wildcards: [of.get("tree", TREE_SHARDS[0]) for of in in_job(wildcards, PAIRS)],
    message:
        f"neighbours of the galaxies {name_of_job('{wildcards.shard}')}"
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
