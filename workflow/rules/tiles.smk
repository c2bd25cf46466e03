# Needs: the AOI, a list of tile keys, or the label layers. Makes: the tile manifest.


checkpoint tiles:
    input:
        outside(sources.tile_sources),
    output:
        MANIFEST,
    log:
        "logs/{dataset}/tiles.log",
    params:
        digest=digest_of("tiles", [MANIFEST], lambda wildcards: DIGESTS.tiles(wildcards.dataset)),
    run:
        error = RUNNER.run(f"{wildcards.dataset}: tiles", log[0], tiles.make_tiles, wildcards.dataset, output[0])
        if error := finish(error, output, params.digest):
            raise error
