# Needs: the tile manifest and the catalogue or platform. Makes: the scene lock, which pins the scenes of each tile.


checkpoint scenes:
    input:
        manifest=ancient(MANIFEST),
        catalog=outside(sources.catalogue_sources),
    output:
        update(f"{DATASET}/scenes.parquet"),
    log:
        f"{LOGS}/{{dataset}}/scenes.log",
    localrule: True
    params:
        digest=digest_of("scenes", [f"{DATASET}/scenes.parquet"], lambda wildcards: DIGESTS.scenes(wildcards.dataset)),
    run:
        if error := run_step(scenes.make_scenes, wildcards, log, output, params, output[0]):
            raise error


# Runs only if requested: `snakemake resolve`. It searches the catalogue again, replaces the pinned scenes and prints what changed.
rule resolve:
    input:
        [f"{RESULTS}/{dataset}/scenes.parquet" for dataset in CONFIG.datasets],
    log:
        f"{LOGS}/resolve.log",
    localrule: True
    conda:
        "../../environment.yml"
    script:
        "../scripts/resolve.py"
