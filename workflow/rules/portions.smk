# Needs: the locks and the splits. Makes: the chips of large datasets, those of some thousand neighbouring tiles in each job.
# The chips are no outputs: Snakemake would look at each of them. `pipeline/portions.py` says whether they are up to date.


rule image_portions:
    input:
        scene_lock,
        assignments,
    output:
        IMAGE_PORTION,
    log:
        f"{LOGS}/{{dataset}}/portions/images/{{layer}}{{portion}}.log",
    # As for the jobs of tiles, those that wait for a network occupy no core; a portion takes half of their places.
    threads: portion_threads
    resources:
        requests=portion_requests,
        runtime=portion_minutes,
        mem_mb=portion_megabytes,
    params:
        digest=digest_of_portion("image_portions", "images", IMAGE_PORTION, scene_lock, assignments),
    run:
        if error := run_portion("images", wildcards, log, output):
            raise error


rule label_portions:
    input:
        label_lock,
        scene_lock,
        assignments,
    output:
        LABEL_PORTION,
    log:
        f"{LOGS}/{{dataset}}/portions/labels/{{target}}{{portion}}.log",
    threads: all_cores
    resources:
        runtime=portion_minutes,
        mem_mb=portion_megabytes,
    params:
        digest=digest_of_portion("label_portions", "labels", LABEL_PORTION, label_lock, scene_lock, assignments),
    run:
        if error := run_portion("labels", wildcards, log, output):
            raise error


# Shards need all portions: as each has tiles of many, to name those would take very many edges of the graph. A checkpoint
# shows which shards changed.
checkpoint portions:
    input:
        label_lock,
        scene_lock,
        assignments,
        records=portion_records,
    output:
        ALL_PORTIONS,
    log:
        f"{LOGS}/{{dataset}}/portions.log",
    localrule: True
    params:
        digest=digest_of(
            "portions",
            [ALL_PORTIONS],
            lambda wildcards: PORTIONS.digest_of_all(wildcards.dataset),
            label_lock,
            scene_lock,
            assignments,
        ),
    run:
        if error := run_step(portions.gather_portions, wildcards, log, output, params, output[0]):
            raise error
