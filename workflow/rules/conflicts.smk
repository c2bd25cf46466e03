# Needs: the label lock and the label layers. Makes: the label conflicts: for each tile, the pixels that features of different classes cover.


rule conflicts:
    input:
        lock=label_lock,
        layers=outside(sources.label_sources),
    output:
        update(f"{DATASET}/conflicts.parquet"),
    log:
        "logs/{dataset}/conflicts.log",
    params:
        digest=digest_of(
            "conflicts",
            [f"{DATASET}/conflicts.parquet"],
            lambda wildcards: DIGESTS.conflicts(wildcards.dataset),
            label_lock,
        ),
    run:
        name = wildcards.dataset
        error = RUNNER.run(f"{name}: conflicts", log[0], conflicts.make_conflicts, name, output[0])
        if error := finish(error, output, params.digest):
            raise error
