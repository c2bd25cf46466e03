# Needs: two folders of chips made by other tools. Makes: their shards, the files that describe the shards, and a ledger of all chips.


rule convert:
    output:
        directory(f"{RESULTS}/{{conversion}}/tfrecords"),
        ledger=f"{RESULTS}/{{conversion}}/ledger.csv",
    log:
        f"{LOGS}/{{conversion}}/convert.log",
    conda:
        "../../environment.yml"
    threads: CORES
    params:
        digest=digest_of(
            "convert",
            [f"{RESULTS}/{{conversion}}/tfrecords", f"{RESULTS}/{{conversion}}/ledger.csv"],
            lambda wildcards: DIGESTS.conversion(wildcards.conversion),
        ),
    script:
        "../scripts/convert.py"
