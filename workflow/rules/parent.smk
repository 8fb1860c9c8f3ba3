# The parent catalogue: points in parameter space, star-forming and quiescent.
PARENT = {"kind": ["star_forming", "quiescent"], "shard": PARENT_SHARDS}


rule parent:
    input:
        ssp_table=SSP_TABLE,
        relations=lambda wildcards: [
            path for of in in_job(wildcards, PARENT) for path in tables_of(RELATIONS_OF_PARENT[of["kind"]])
        ],
        checked=INPUT_CHECKED,
    output:
        of_job(f"{R}/parent/{{kind}}/{{shard}}.h5", PARENT),
    log:
        f"{LOGS}/parent/{name_of_job('{kind}-{shard}')}.log",
    benchmark:
        f"{BENCHMARKS}/parent/{name_of_job('{kind}-{shard}')}.tsv"
    threads: RANKS
    resources:
        **resources_of_ranks("parent"),
    params:
        about=ABOUT_PARENT,
        recipes=lambda wildcards: {of["kind"]: recipe_of(of["kind"]) for of in in_job(wildcards, PARENT)},
        n_shards=len(PARENT_SHARDS),
        shards=lambda wildcards: in_job(wildcards, PARENT),
    message:
        f"parent {name_of_job('{wildcards.kind} {wildcards.shard}')}"
    script:
        "../scripts/parent.py"
