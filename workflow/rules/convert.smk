# Needs: folders of chips made by other tools. Makes: their shards with descriptions, a ledger, an audit, a report, a card and a STAC collection.


# The shards are no outputs: Snakemake would remove them, and with them the records of unchanged chips.
rule convert:
    output:
        ledger=update(CONVERSION_FILES[0]),
        audit=update(CONVERSION_FILES[1]),
        page=report(
            update(CONVERSION_FILES[2]),
            caption="../report/chips_report.rst",
            category="{conversion}",
            labels={"result": "report"},
        ),
        card=update(CONVERSION_FILES[3:6]),
        description=update(CONVERSION_FILES[6:]),
    log:
        f"{LOGS}/{{conversion}}/convert.log",
    conda:
        "../../environment.yml"
    threads: CORES
    params:
        digest=conversion_digest,
    script:
        "../scripts/convert.py"
