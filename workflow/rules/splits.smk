# Needs: the tile manifest and, if splits or selection depend on labels, the label lock. Makes: the split and shard of each tile, and the dropped tiles.


checkpoint splits:
    input:
        manifest=ancient(MANIFEST),
        lock=labels_that_decide,
        regions=outside(sources.split_sources),
    output:
        update(f"{DATASET}/splits.parquet"),
    log:
        f"{LOGS}/{{dataset}}/splits.log",
    localrule: True
    params:
        digest=digest_of("splits", [f"{DATASET}/splits.parquet"], lambda wildcards: DIGESTS.splits(wildcards.dataset)),
    run:
        if error := run_step(splits.make_splits, wildcards, log, output, params, output[0]):
            raise error
