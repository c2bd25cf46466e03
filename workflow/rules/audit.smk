# Needs: the ledger, the statistics and the label conflicts. Makes: the audit of the splits.


rule audit:
    input:
        ledger=f"{RESULTS}/{{dataset}}/ledger.csv",
        conflicts=f"{RESULTS}/{{dataset}}/conflicts.parquet",
        statistics=f"{RESULTS}/{{dataset}}/tfrecords/statistics.json",
    output:
        report(
            f"{RESULTS}/{{dataset}}/audit.json",
            caption="../report/audit.rst",
            category="{dataset}",
            labels={"result": "audit"},
        ),
    log:
        "logs/{dataset}/audit.log",
    params:
        digest=lambda wildcards: STATE.audit_digest(wildcards.dataset),
    run:
        if error := STATE.run("make_audit", wildcards.dataset, output[0], log[0]):
            raise error


# Ends the run with an error if splits share ground although the config forbids it. It runs after the report, which shows where.
rule verdict:
    input:
        audit=f"{RESULTS}/{{dataset}}/audit.json",
        report=f"{RESULTS}/{{dataset}}/report/index.html",
    output:
        touch(f"{RESULTS}/{{dataset}}/.audited"),
    log:
        "logs/{dataset}/verdict.log",
    run:
        if error := STATE.run("check_audit", wildcards.dataset, input.audit, log[0]):
            raise error
