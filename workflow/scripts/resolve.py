from pathlib import Path

from segchips.config.loading import load_config
from segchips.pipeline.job import reported
from segchips.scenes.resolve import resolve

with reported(snakemake.log[0]) as log:
    for lock, dataset in zip(snakemake.input, load_config(snakemake.config).datasets.values(), strict=True):
        for line in resolve(dataset, Path(lock).with_name("tiles.parquet"), Path(lock), refresh=True):
            print(f"{dataset.name}: {line}")
            print(f"{dataset.name}: {line}", file=log)
