from pathlib import Path

from segchips.job import dataset_of, reported, shard_indices
from segchips.shards import write_info

with reported(snakemake.log[0]):
    dataset = dataset_of(snakemake)
    folder = Path(snakemake.output[0]).parent
    indices = {split: [folder / name for name in names] for split, names in shard_indices(dataset).items()}
    image, label = Path(snakemake.input.image[0]), Path(snakemake.input.label[0])
    write_info(folder, dataset.name, dataset.tfrecords, indices, image, label, dataset.labels.background)
