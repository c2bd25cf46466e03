# Needs: the scene locks and splits of all datasets. Makes: nothing; removes the chips that no dataset needs any more, and says which.


# Only when named: `snakemake prune`.
rule prune:
    input:
        expand(f"{RESULTS}/{{dataset}}/{{lock}}.parquet", dataset=CONFIG.datasets, lock=["scenes", "splits"]),
    log:
        "logs/prune.log",
    run:
        STATE.prune(log[0])
