# Needs: the tile manifest and, where labels have a say, the label lock. Makes: each tile's split and shard, and which tiles are dropped.


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
