from pathlib import Path

from segchips.chipfolders import convert
from segchips.job import SCHEMA, reported
from segchips.ledger import converted, summary, write_ledger
from segchips.validation import load_config

with reported(snakemake.log[0]) as log:
    conversion = load_config(snakemake.config, SCHEMA).conversions[snakemake.wildcards.conversion]
    folder = Path(snakemake.output[0])
    chips = conversion.images, conversion.labels
    entries = convert(
        *chips, folder, conversion.name, conversion.tfrecords, conversion.background, workers=snakemake.threads
    )
    rows = converted(entries, folder)
    write_ledger(Path(snakemake.output.ledger), rows)
    print(summary(rows), file=log)
