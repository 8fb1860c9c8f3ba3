# The parent catalogue: points in parameter space, star-forming and quiescent.
rule parent:
    input:
        ssp_table=SSP_TABLE,
        checked=INPUT_CHECKED,
    output:
        f"{R}/parent/{{kind}}/{{shard}}.h5",
    log:
        f"{LOGS}/parent/{{kind}}-{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/parent/{{kind}}-{{shard}}.tsv"
    wildcard_constraints:
        kind="star_forming|quiescent",
    threads: 1
    resources:
        **resources_of("parent"),
    params:
        about=ABOUT_PARENT,
        recipe=lambda wildcards: recipe_of(wildcards.kind),
        n_shards=len(PARENT_SHARDS),
        shard=lambda wildcards: int(wildcards.shard),
    message:
        "parent {wildcards.kind} {wildcards.shard}"
    script:
        "../scripts/parent.py"
