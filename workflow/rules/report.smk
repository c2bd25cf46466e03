# Needs: the ledger and the chips. Makes: one page that shows what was made, what was left out, and why.


rule report:
    input:
        ledger=f"{RESULTS}/{{dataset}}/ledger.csv",
    output:
        f"{RESULTS}/{{dataset}}/report/index.html",
    log:
        "logs/{dataset}/report.log",
    params:
        digest=lambda wildcards: STATE.report_digest(wildcards.dataset),
    run:
        if error := STATE.run("make_report", wildcards.dataset, output[0], log[0]):
            raise error
