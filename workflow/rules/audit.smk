# Needs: the ledger, the statistics and the map of conflicts. Makes: the audit of the splits; it fails where they share ground.


rule audit:
    input:
        ledger=f"{RESULTS}/{{dataset}}/ledger.csv",
        conflicts=f"{RESULTS}/{{dataset}}/conflicts.parquet",
        statistics=f"{RESULTS}/{{dataset}}/tfrecords/statistics.json",
    output:
        report(f"{RESULTS}/{{dataset}}/audit.json", caption="../report/audit.rst", category="{dataset}"),
    log:
        "logs/{dataset}/audit.log",
    params:
        digest=lambda wildcards: STATE.audit_digest(wildcards.dataset),
    run:
        if error := STATE.run("make_audit", wildcards.dataset, output[0], log[0]):
            raise error
