# Needs: the label lock and the label layers. Makes: the label conflicts: for each tile, the pixels that features of different classes cover.


rule conflicts:
    input:
        lock=label_lock,
        layers=outside(sources.label_sources),
    output:
        update(f"{DATASET}/conflicts.parquet"),
    log:
        f"{LOGS}/{{dataset}}/conflicts.log",
    params:
        digest=digest_of(
            "conflicts",
            [f"{DATASET}/conflicts.parquet"],
            lambda wildcards: DIGESTS.conflicts(wildcards.dataset),
            label_lock,
        ),
    run:
        if error := run_step(conflicts.make_conflicts, wildcards, log, output, params, output[0]):
            raise error
