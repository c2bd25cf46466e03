# Needs: the tile manifest and the label layers. Makes: the label lock, which says what each label chip shows, and one label chip for each tile.
# A dataset with the same tiles and labels as another one (another year of its imagery) takes the lock and the chips of that one.


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
