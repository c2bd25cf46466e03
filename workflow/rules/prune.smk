# Needs: the scene locks and splits of all datasets. Makes: nothing; it removes the chips that no dataset needs and lists them in its log.


# Runs only if requested: `snakemake prune`.
rule prune:
    input:
        expand(f"{RESULTS}/{{dataset}}/{{lock}}.parquet", dataset=CONFIG.datasets, lock=["scenes", "splits"]),
    log:
        f"{LOGS}/prune.log",
    localrule: True
    run:
        if error := RUNNER.run("prune", log[0], prune.prune, log[0]):
            raise error
