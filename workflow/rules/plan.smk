# Needs: the scene locks, label locks and splits of all datasets. Makes: plan.json of each, and says what a run would retrieve and make.


# Only when named: `snakemake plan`. No image is retrieved.
rule plan:
    input:
        splits=expand(f"{RESULTS}/{{dataset}}/splits.parquet", dataset=CONFIG.datasets),
        locks=expand(f"{RESULTS}/{{dataset}}/{{lock}}.parquet", dataset=CONFIG.datasets, lock=["scenes", "labels"]),
    log:
        "logs/plan.log",
    conda:
        "../../environment.yml"
    script:
        "../scripts/plan.py"
