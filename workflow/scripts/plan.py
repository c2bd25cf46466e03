from pathlib import Path

from segchips.job import SCHEMA, reported
from segchips.plan import write_plan
from segchips.validation import load_config

with reported(snakemake.log[0]) as log:
    for splits, dataset in zip(
        snakemake.input.splits, load_config(snakemake.config, SCHEMA).datasets.values(), strict=True
    ):
        for line in write_plan(dataset, Path(splits).parent):
            print(f"{dataset.name}: {line}")
            print(f"{dataset.name}: {line}", file=log)
