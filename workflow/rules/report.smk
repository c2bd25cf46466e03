# Needs: the ledger, the chips, the audit and the label conflicts. Makes: one page that shows what was made, what was left out, and why.


rule report:
    input:
        ledger=f"{RESULTS}/{{dataset}}/ledger.csv",
        audit=f"{RESULTS}/{{dataset}}/audit.json",
        conflicts=f"{RESULTS}/{{dataset}}/conflicts.parquet",
    output:
        report(
            f"{RESULTS}/{{dataset}}/report/index.html",
            caption="../report/report.rst",
            category="{dataset}",
            labels={"result": "report"},
        ),
    log:
        "logs/{dataset}/report.log",
    params:
        digest=lambda wildcards: STATE.report_digest(wildcards.dataset),
    run:
        if error := STATE.run("make_report", wildcards.dataset, output[0], log[0]):
            raise error
