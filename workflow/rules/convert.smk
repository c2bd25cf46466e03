# Needs: folders of chips made by other tools. Makes: their shards with descriptions, a ledger, an audit and a card.

from segchips.records.dataset_files import missing_shards

CONVERSION = f"{RESULTS}/{{conversion}}"
CONVERSION_FILES = [
    f"{CONVERSION}/ledger.csv",
    f"{CONVERSION}/audit.json",
    f"{CONVERSION}/README.md",
    f"{CONVERSION}/croissant.json",
    *(f"{CONVERSION}/tfrecords/{name}.json" for name in ("features", "dataset_info", "metadata", "statistics")),
]


def conversion_digest(wildcards):
    """A params function: the digest of a conversion, whose results are not those that were made if shards are missing."""
    files = [pattern.format(**wildcards) for pattern in CONVERSION_FILES]
    shards = Path(files[-1]).parent
    own = OwnRecord(
        lambda: None if missing_shards(shards) else read_made_from(files),
        lambda: "shards are missing" if missing_shards(shards) else glance_made_from(files),
    )
    return compared(DIGESTS.conversion(wildcards.conversion), "convert", files, own)


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
