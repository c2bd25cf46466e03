from pathlib import Path

from segchips.sample import write_sample
from segchips.workflow import reported

with reported(snakemake.log[0]):
    write_sample(Path(snakemake.output.catalog).parent)
