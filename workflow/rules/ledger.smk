# Needs: the splits, the scene lock and the index files of all shards. Makes: the ledger, which lists every tile once, with its state and reason.


rule ledger:
    input:
        placing=lambda wildcards: checkpoints.splits.get(dataset=wildcards.dataset).output[0],
        lock=lambda wildcards: checkpoints.scenes.get(dataset=wildcards.dataset).output[0],
        info=f"{RESULTS}/{{dataset}}/tfrecords/dataset_info.json",
        indices=lambda wildcards: STATE.indices(wildcards.dataset),
    output:
        report(
            update(f"{RESULTS}/{{dataset}}/ledger.csv"),
            caption="../report/ledger.rst",
            category="{dataset}",
            labels={"result": "ledger"},
        ),
    log:
        "logs/{dataset}/ledger.log",
    params:
        version=module_version("reports.ledger"),
    run:
        STATE.make_ledger(wildcards.dataset, input.indices, output[0], log[0])
