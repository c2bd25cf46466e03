from pathlib import Path

from segchips.config.loading import SCHEMA, load_config
from segchips.pipeline.job import reported
from segchips.records.conversion import convert
from segchips.reports.ledger import converted_rows, summarise_states, write_ledger

with reported(snakemake.log[0]) as log:
    conversion = load_config(snakemake.config, SCHEMA).conversions[snakemake.wildcards.conversion]
    folder = Path(snakemake.output[0])
    chips = conversion.images, conversion.labels
    entries = convert(
        *chips, folder, conversion.name, conversion.tfrecords, conversion.background, workers=snakemake.threads
    )
    rows = converted_rows(entries, folder)
    write_ledger(Path(snakemake.output.ledger), rows)
    print(summarise_states(rows), file=log)
