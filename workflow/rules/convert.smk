# Needs: folders of chips made by other tools. Makes: their shards with descriptions, a ledger, an audit and a card.


# The shards are no outputs: Snakemake would remove them, and with them the records of unchanged chips.
rule convert:
    output:
        ledger=update(CONVERSION_FILES[0]),
        audit=update(CONVERSION_FILES[1]),
        card=update(CONVERSION_FILES[2:4]),
        description=update(CONVERSION_FILES[4:]),
    log:
        f"{LOGS}/{{conversion}}/convert.log",
    conda:
        "../../environment.yml"
    threads: CORES
    params:
        digest=conversion_digest,
    script:
        "../scripts/convert.py"
