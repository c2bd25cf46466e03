from pathlib import Path

from segchips.job import reported
from segchips.sample import write_sample

with reported(snakemake.log[0]):
    write_sample(Path(snakemake.output.catalog).parent)
