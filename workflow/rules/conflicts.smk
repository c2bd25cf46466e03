# Needs: the label lock and the label layers. Makes: the label conflicts: for each tile, the pixels that features of different classes cover.


rule conflicts:
    input:
        lock=label_lock,
        layers=sources(STATE.label_sources),
    output:
        update(f"{RESULTS}/{{dataset}}/conflicts.parquet"),
    log:
        "logs/{dataset}/conflicts.log",
    params:
        digest=after(label_lock, lambda wildcards: STATE.conflicts_digest(wildcards.dataset)),
    run:
        if error := STATE.run("make_conflicts", wildcards.dataset, output[0], log[0]):
            raise error
