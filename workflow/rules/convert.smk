# Needs: folders of chips made by other tools. Makes: their shards, the files that describe them, a ledger and an audit.

CONVERSION = f"{RESULTS}/{{conversion}}"
CONVERSION_FILES = [
    f"{CONVERSION}/ledger.csv",
    f"{CONVERSION}/audit.json",
    *(f"{CONVERSION}/tfrecords/{name}.json" for name in ("features", "dataset_info", "metadata", "statistics")),
]


# The shards are no outputs: Snakemake would remove them, and with them the records of unchanged chips.
rule convert:
    output:
        ledger=update(CONVERSION_FILES[0]),
        audit=update(CONVERSION_FILES[1]),
        description=update(CONVERSION_FILES[2:]),
    log:
        f"{LOGS}/{{conversion}}/convert.log",
    conda:
        "../../environment.yml"
    threads: CORES
    params:
        digest=digest_of("convert", CONVERSION_FILES, lambda wildcards: DIGESTS.conversion(wildcards.conversion)),
    script:
        "../scripts/convert.py"
