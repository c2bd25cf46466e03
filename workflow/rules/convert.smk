# Needs: two folders of chips made elsewhere. Makes: their shards, what describes them, and the ledger of every chip.


rule convert:
    output:
        directory(f"{RESULTS}/{{conversion}}/tfrecords"),
        ledger=f"{RESULTS}/{{conversion}}/ledger.csv",
    log:
        "logs/{conversion}/convert.log",
    conda:
        "../../environment.yml"
    threads: CORES
    params:
        digest=lambda wildcards: STATE.conversion_digest(wildcards.conversion),
    script:
        "../scripts/convert.py"
