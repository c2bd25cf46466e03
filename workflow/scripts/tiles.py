from dataclasses import replace
from pathlib import Path

from segchips.job import dataset_of, reported
from segchips.placing import place
from segchips.tiles import aoi_layers, tiles_of, write_manifest

with reported(snakemake.log[0]) as log:
    dataset = dataset_of(snakemake)
    layers = aoi_layers(dataset.tiles, dataset.labels)
    for layer in layers:
        print(
            f"{layer}: {layer.repaired} invalid polygons repaired, {layer.dropped} features without polygon left out",
            file=log,
        )
    tiles = tiles_of(dataset.tiles, layers)
    alone = replace(dataset.splitting, cover=False)
    rows, _ = place(tiles, alone, dataset.tfrecords.shards, [()] * len(tiles), {})
    write_manifest(Path(snakemake.output[0]), tiles, dataset.tfrecords, rows)
    print(f"{len(tiles)} tiles", file=log)
