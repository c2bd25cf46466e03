# Needs: the ledger and the chips. Makes: one page that shows what was made, what was left out, and why.


rule report:
    input:
        ledger=f"{RESULTS}/{{dataset}}/ledger.csv",
    output:
        report(f"{RESULTS}/{{dataset}}/report/index.html", caption="../report/report.rst", category="{dataset}"),
    log:
        "logs/{dataset}/report.log",
    conda:
        "../../environment.yml"
    params:
        digest=lambda wildcards: STATE.report_digest(wildcards.dataset),
    script:
        "../scripts/report.py"
