# Needs: the AOI, else the label layers, else a list of keys. Makes: the tile manifest.


checkpoint tiles:
    input:
        lambda wildcards: ancient(STATE.tile_sources(wildcards.dataset)),
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
