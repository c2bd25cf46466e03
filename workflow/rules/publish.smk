# Needs: all results. Makes: a copy of the shards and descriptors of all datasets, where `publish` of the config says.


# Runs only if requested: `snakemake publish`.
rule publish:
    input:
        rules.all.input,
    log:
        f"{LOGS}/publish.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        folders=[f"{RESULTS}/{name}" for name in [*CONFIG.datasets, *CONFIG.conversions]],
        address=CONFIG.publish,
    script:
        "../scripts/publish.py"
