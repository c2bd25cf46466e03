from pathlib import Path

from segchips.chips.file_metadata import complete_from_files
from segchips.config.loading import load_config
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.digests import Digests
from segchips.pipeline.made_from import write_made_from
from segchips.pipeline.scripts import reported
from segchips.pipeline.steps.scenes import check_grid
from segchips.scenes.resolve import resolve

with reported(snakemake.log[0]) as log:
    results = Path(snakemake.input[0]).parents[1]  # where a module's prefix has moved them
    datasets = Datasets(load_config(snakemake.config | {"results": str(results)}))
    for lock, (name, dataset) in zip(snakemake.input, datasets.config.datasets.items(), strict=True):
        manifest = Path(lock).with_name("tiles.parquet")
        for line in resolve(dataset, manifest, Path(lock), refresh=True, complete=complete_from_files):
            print(f"{name}: {line}")
            print(f"{name}: {line}", file=log)
        check_grid(datasets, name, Path(lock))
        write_made_from(Digests(datasets).scenes(name), [lock])
