# Needs: the AOI, points, a list of tile keys, or the label layers; on grid imagery, the catalogue. Makes: the tile manifest.


checkpoint tiles:
    input:
        outside(sources.tile_inputs),
    output:
        MANIFEST,
    log:
        f"{LOGS}/{{dataset}}/tiles.log",
    localrule: True
    params:
        digest=digest_of("tiles", [MANIFEST], lambda wildcards: DIGESTS.tiles(wildcards.dataset)),
    run:
        if error := run_step(tiles.make_tiles, wildcards, log, output, params, output[0]):
            raise error
