from pathlib import Path

from segchips.config.loading import load_config
from segchips.pipeline.made_from import write_made_from
from segchips.pipeline.scripts import reported
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
    write_made_from(snakemake.params.digest, list(snakemake.output))
    print(summarise_states(rows), file=log)
