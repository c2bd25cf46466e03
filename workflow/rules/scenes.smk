# Needs: the tile manifest and the catalogue or platform. Makes: the scene lock, which pins the scenes of each tile.


checkpoint scenes:
    input:
        manifest=ancient(MANIFEST),
        catalog=sources(STATE.catalog_file),
    output:
        update(f"{RESULTS}/{{dataset}}/scenes.parquet"),
    log:
        "logs/{dataset}/scenes.log",
    params:
        tiles=lambda wildcards: STATE.keys_digest(wildcards.dataset),
        query=lambda wildcards: STATE.query(wildcards.dataset),
        version=lambda wildcards: STATE.scenes_version(wildcards.dataset),
    run:
        if error := STATE.run("make_scenes", wildcards.dataset, output[0], log[0]):
            raise error


# Runs only if requested: `snakemake resolve`. It searches the catalogue again, replaces the pinned scenes and prints what changed.
rule resolve:
    input:
        [f"{RESULTS}/{dataset}/scenes.parquet" for dataset in CONFIG.datasets],
    log:
        "logs/resolve.log",
    conda:
        "../../environment.yml"
    script:
        "../scripts/resolve.py"
