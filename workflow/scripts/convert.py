from pathlib import Path

from segchips.config.loading import load_config
from segchips.pipeline.job import reported
from segchips.records.conversion import convert
from segchips.reports.ledger import converted_rows, summarise_states, write_ledger

with reported(snakemake.log[0]) as log:
    conversion = load_config(snakemake.config).conversions[snakemake.wildcards.conversion]
    folder = Path(snakemake.output[0])
    chips = conversion.chips
    entries = convert(
        chips.images,
        chips.labels,
        folder,
        conversion.name,
        conversion.tfrecords,
        chips.background,
        workers=snakemake.threads,
    )
    rows = converted_rows(entries, folder)
    write_ledger(Path(snakemake.output.ledger), rows)
    print(summarise_states(rows), file=log)
