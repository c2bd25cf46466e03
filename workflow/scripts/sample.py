from pathlib import Path

from segchips.pipeline.scripts import reported
from segchips.sample.sample import write_sample

with reported(snakemake.log[0]):
    write_sample(Path(snakemake.output.catalog).parent)
