# Needs: the AOI, else the label layers, else a list of keys. Makes: the tile manifest.


checkpoint tiles:
    input:
        sources(STATE.tile_sources),
    output:
        f"{RESULTS}/{{dataset}}/tiles.parquet",
    log:
        "logs/{dataset}/tiles.log",
    conda:
        "../../environment.yml"
    params:
        digest=lambda wildcards: STATE.tiles_digest(wildcards.dataset),
    script:
        "../scripts/tiles.py"
