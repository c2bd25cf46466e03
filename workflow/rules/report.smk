# Needs: the ledger, the chips, the audit and the label conflicts. Makes: one page that shows what was made, what was left out, and why.


rule report:
    input:
        ledger=f"{DATASET}/ledger.csv",
        audit=f"{DATASET}/audit.json",
        conflicts=f"{DATASET}/conflicts.parquet",
        manifest=ancient(MANIFEST),
        lock=scene_lock,
        description=INFO_FILES[1:],
        shards=lambda wildcards: DATASETS.shards(wildcards.dataset),
        indices=lambda wildcards: DATASETS.indices(wildcards.dataset),
        pixel_counts=lambda wildcards: DATASETS.pixel_counts(wildcards.dataset),
        sources=outside(sources.report_sources),
    output:
        report(
            f"{DATASET}/report/index.html",
            caption="../report/report.rst",
            category="{dataset}",
            labels={"result": "report"},
        ),
    log:
        f"{LOGS}/{{dataset}}/report.log",
    params:
        digest=digest_of(
            "report", [f"{DATASET}/report/index.html"], lambda wildcards: DIGESTS.report(wildcards.dataset)
        ),
    run:
        if error := run_step(report_step.make_report, wildcards, log, output, params, output[0]):
            raise error
