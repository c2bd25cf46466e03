from pathlib import Path

from segchips.job import dataset_of, reported
from segchips.shards import write_shard

with reported(snakemake.log[0]):
    dataset = dataset_of(snakemake)
    shard = Path(snakemake.output.shard)
    write_shard(
        shard,
        Path(snakemake.output.index),
        snakemake.params.tiles,
        shard.parents[1] / "images",
        shard.parents[1] / "labels",
        snakemake.wildcards.split,
        dataset.tfrecords,
        dataset.imagery.min_valid,
    )
