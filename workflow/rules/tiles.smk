# Needs: the AOI, a list of tile keys, or the label layers. Makes: the tile manifest.


checkpoint tiles:
    input:
        sources(STATE.tile_sources),
    output:
        f"{RESULTS}/{{dataset}}/tiles.parquet",
    log:
        "logs/{dataset}/tiles.log",
    params:
        digest=lambda wildcards: STATE.tiles_digest(wildcards.dataset),
    run:
        if error := STATE.run("make_tiles", wildcards.dataset, output[0], log[0]):
            raise error
