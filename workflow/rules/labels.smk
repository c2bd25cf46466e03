# Needs: the tile manifest and the label layers. Makes: the label lock, which lists the features of each tile, and one label chip for each tile.
# A dataset with the tiles and labels of another one (such as another year of imagery) uses the lock and the chips of that dataset.


checkpoint label_lock:
    input:
        manifest=ancient(MANIFEST),
        layers=label_sources,
    output:
        f"{RESULTS}/{{dataset}}/labels.parquet",
    log:
        "logs/{dataset}/label_lock.log",
    params:
        tiles=lambda wildcards: STATE.keys_digest(wildcards.dataset),
        owner=lambda wildcards: STATE.label_owner(wildcards.dataset),
        digest=lambda wildcards: STATE.label_digest(wildcards.dataset),
    run:
        if error := STATE.run("make_label_lock", wildcards.dataset, output[0], log[0]):
            raise error


rule labels:
    input:
        label_lock,
    output:
        f"{RESULTS}/{{dataset}}/labels/{{tile}}.tif",
    log:
        "logs/{dataset}/labels/{tile}.log",
    params:
        digest=of_chip("labels", label_lock, STATE.label_chip_digest),
    run:
        if error := STATE.run("make_label", wildcards.dataset, wildcards.tile, output[0], log[0]):
            raise error
