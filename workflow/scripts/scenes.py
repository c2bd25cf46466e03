import sys
from pathlib import Path

from segchips.job import dataset_of, reported
from segchips.resolve import resolve

with reported(snakemake.log[0]) as log:
    dataset = dataset_of(snakemake)
    for line in resolve(dataset, Path(snakemake.input.manifest), Path(snakemake.output[0]), anew=False):
        print(line, file=log)
        if " is left out: " in line:
            print(f"{dataset.name}: {line}", file=sys.stderr)
