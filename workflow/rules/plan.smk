# Needs: the scene locks, label locks and splits of all datasets. Makes: plan.json of each dataset, and prints what a run would retrieve and make.


# Runs only if requested: `snakemake plan`. It retrieves no image.
rule plan:
    input:
        splits=expand(f"{RESULTS}/{{dataset}}/splits.parquet", dataset=CONFIG.datasets),
        locks=expand(f"{RESULTS}/{{dataset}}/{{lock}}.parquet", dataset=CONFIG.datasets, lock=["scenes", "labels"]),
    log:
        f"{LOGS}/plan.log",
    localrule: True
    run:
        if error := print_plan(log[0]):
            raise error
