from pathlib import Path

from segchips.grid import Tile
from segchips.job import dataset_of, reported
from segchips.labels import Features, lock_labels, write_label_lock
from segchips.tiles import read_manifest

with reported(snakemake.log[0]) as log:
    features = Features(dataset_of(snakemake).labels)
    print("\n".join([f"{len(features)} features", *features.notes]), file=log)
    tiles = [Tile.from_key(row.key) for row in read_manifest(Path(snakemake.input.manifest))]
    write_label_lock(Path(snakemake.output[0]), lock_labels(features, tiles))
