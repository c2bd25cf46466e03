from pathlib import Path

from segchips.job import dataset_of, reported
from segchips.resolve import resolve

with reported(snakemake.log[0]) as log:
    for line in resolve(dataset_of(snakemake), Path(snakemake.input.manifest), Path(snakemake.output[0]), anew=False):
        print(line, file=log)
