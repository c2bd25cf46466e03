from pathlib import Path

from segchips.job import dataset_of, reported
from segchips.report import write_report

with reported(snakemake.log[0]):
    write_report(dataset_of(snakemake), Path(snakemake.input.ledger).parent, Path(snakemake.output[0]))
