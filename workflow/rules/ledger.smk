# Needs: the splits, the scene lock and the index files of all shards. Makes: the ledger, which lists every tile once, with its state and reason.


rule ledger:
    input:
        assignments=lambda wildcards: checkpoints.splits.get(dataset=wildcards.dataset).output[0],
        lock=lambda wildcards: checkpoints.scenes.get(dataset=wildcards.dataset).output[0],
        info=f"{DATASET}/tfrecords/dataset_info.json",
        indices=lambda wildcards: DATASETS.indices(wildcards.dataset),
    output:
        report(
            update(f"{DATASET}/ledger.csv"),
            caption="../report/ledger.rst",
            category="{dataset}",
            labels={"result": "ledger"},
        ),
    log:
        f"{LOGS}/{{dataset}}/ledger.log",
    localrule: True
    params:
        digest=digest_of("ledger", [f"{DATASET}/ledger.csv"], lambda wildcards: DIGESTS.ledger(wildcards.dataset)),
    run:
        if error := run_step(ledger.make_ledger, wildcards, log, output, params, output[0], log[0]):
            raise error
