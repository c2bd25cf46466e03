# Needs: the tile manifest and, if splits or selection depend on labels, the label lock. Makes: the split and shard of each tile, and the dropped tiles.


checkpoint splits:
    input:
        manifest=ancient(MANIFEST),
        lock=labels_to_see,
        regions=sources(STATE.split_sources),
    output:
        update(f"{RESULTS}/{{dataset}}/splits.parquet"),
    log:
        "logs/{dataset}/splits.log",
    params:
        digest=lambda wildcards: STATE.splits_digest(wildcards.dataset),
    run:
        if error := STATE.run("make_splits", wildcards.dataset, output[0], log[0]):
            raise error
