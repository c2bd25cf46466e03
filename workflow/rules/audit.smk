# Needs: the ledger, the statistics and the label conflicts. Makes: the audit of the splits.


rule audit:
    input:
        ledger=f"{DATASET}/ledger.csv",
        conflicts=f"{DATASET}/conflicts.parquet",
        statistics=f"{DATASET}/tfrecords/statistics.json",
    output:
        report(
            f"{DATASET}/audit.json",
            caption="../report/audit.rst",
            category="{dataset}",
            labels={"result": "audit"},
        ),
    log:
        f"{LOGS}/{{dataset}}/audit.log",
    localrule: True
    params:
        digest=digest_of("audit", [f"{DATASET}/audit.json"], lambda wildcards: DIGESTS.audit(wildcards.dataset)),
    run:
        if error := run_step(audit.make_audit, wildcards, log, output, params, output[0], log[0]):
            raise error


# Ends the run with an error if splits overlap although the config forbids it. It runs after the report, which shows where.
rule audit_check:
    input:
        audit=f"{DATASET}/audit.json",
        report=f"{DATASET}/report/index.html",
    output:
        touch(f"{DATASET}/.audited"),
    log:
        f"{LOGS}/{{dataset}}/audit_check.log",
    localrule: True
    run:
        if error := RUNNER.run(f"{wildcards.dataset}: audit", log[0], audit.check_audit, input.audit):
            raise error
