from pathlib import Path

from segchips.config.loading import load_config
from segchips.pipeline.scripts import reported
from segchips.reports.plan import write_plan

with reported(snakemake.log[0]) as log:
    for splits, dataset in zip(snakemake.input.splits, load_config(snakemake.config).datasets.values(), strict=True):
        for line in write_plan(dataset, Path(splits).parent):
            print(f"{dataset.name}: {line}")
            print(f"{dataset.name}: {line}", file=log)
