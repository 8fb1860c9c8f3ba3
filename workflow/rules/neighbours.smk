# Tree, balance and neighbours: what is asked of each galaxy, and the parent points near that.
rule tree:
    input:
        parents=parents_of_tree,
    output:
        leaves=f"{R}/tree/{{kind}}/{{tree}}.npy",
        about=f"{R}/tree/{{kind}}/{{tree}}.json",
    log:
        f"{LOGS}/tree/{{kind}}-{{tree}}.log",
    benchmark:
        f"{BENCHMARKS}/tree/{{kind}}-{{tree}}.tsv"
    threads: cfg["neighbours"]["threads"]
    resources:
        **resources_of("tree"),
    params:
        kind="{kind}",
        recipe=lambda wildcards: recipe_of(wildcards.kind),
        metric=METRIC,
        n_trees=lambda wildcards: len(TREE_SHARDS[wildcards.kind]),
        tree=lambda wildcards: int(wildcards.tree),
    message:
        "k-d tree of the parent {wildcards.kind} in the metric {params.metric[metric]}, {wildcards.tree}"
    script:
        "../scripts/tree.py"


TREES = {kind: trees_of(kind) for kind in KINDS}
TREE_FILES = [path for files in TREES.values() for paths in files.values() for path in paths]


rule balance:
    input:
        trees=TREES["star_forming"]["leaves"] + TREES["star_forming"]["about"],
        ssp_table=SSP_TABLE,
        relations=tables_of(RELATIONS_OF_BALANCE),
    output:
        f"{R}/balance.json",
    log:
        f"{LOGS}/balance/balance.log",
    benchmark:
        f"{BENCHMARKS}/balance/balance.tsv"
    threads: cfg["neighbours"]["threads"]
    resources:
        **resources_of("balance"),
    params:
        search={
            **SEARCH,
            "relations": RELATIONS_OF_BALANCE,
            "about": ABOUT_PARENT,
            "recipes": {"star_forming": recipe_of("star_forming")},
        },
        trees={"star_forming": TREES["star_forming"]},
    message:
        "weights with which star-forming galaxies follow the relations"
    script:
        "../scripts/balance.py"


BALANCE = rules.balance.output if cfg["assignment"]["method"] == "choose" else []
SHARDS = {"shard": GALAXY_SHARDS}

# Where one job makes all of them, another catalogue of one shard should not need another search of all.
NEIGHBOURS = of_job(f"{R}/neighbours/{{shard}}.parquet", SHARDS)


rule neighbours:
    input:
        galaxies=of_job(f"{R}/galaxies/{{shard}}.parquet", SHARDS),
        trees=TREE_FILES,
        balance=BALANCE,
        relations=tables_of(RELATIONS),
    output:
        temp(NEIGHBOURS) if RANKS == 1 else NEIGHBOURS,
    log:
        f"{LOGS}/neighbours/{name_of_job('{shard}')}.log",
    benchmark:
        f"{BENCHMARKS}/neighbours/{name_of_job('{shard}')}.tsv"
    threads: RANKS * cfg["neighbours"]["threads"]
    resources:
        **resources_of_ranks("neighbours", cfg["neighbours"]["threads"]),
    params:
        search={**SEARCH, "recipes": {kind: recipe_of(kind) for kind in KINDS}},
        trees=TREES,
        shards=lambda wildcards: [number_of(of["shard"]) for of in in_job(wildcards, SHARDS)],
    message:
        f"neighbours of the galaxies {name_of_job('{wildcards.shard}')}"
    script:
        "../scripts/neighbours.py"
