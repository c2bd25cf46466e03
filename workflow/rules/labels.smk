# Needs: the tile manifest and the label layers. Makes: the label lock, which lists the features of each tile, and one label chip for each tile.
# A dataset with the tiles and labels of another one (such as another year of imagery) uses the lock and the chips of that dataset.


checkpoint label_lock:
    input:
        manifest=ancient(MANIFEST),
        layers=label_lock_sources,
    output:
        LABEL_LOCK,
    log:
        f"{LOGS}/{{dataset}}/label_lock.log",
    params:
        digest=digest_of("label_lock", [LABEL_LOCK], lambda wildcards: DIGESTS.labels(wildcards.dataset)),
    run:
        if error := run_step(labels.make_label_lock, wildcards, log, output, params, output[0]):
            raise error


rule labels:
    input:
        label_lock,
    output:
        f"{DATASET}/labels/{{target}}{{tile}}.tif",
    log:
        f"{LOGS}/{{dataset}}/labels/{{target}}{{tile}}.log",
    group:
        group_on_request("labels")
    resources:
        runtime=doubling(1),
        mem_mb=doubling(1000),
    params:
        digest=digest_of_chip("labels", ["labels"], DIGESTS.label, label_lock),
    run:
        arguments = part_of(wildcards), wildcards.tile, output[0]
        if error := run_step(labels.make_label, wildcards, log, output, params, *arguments):
            raise error
