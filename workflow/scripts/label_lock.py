import shutil
from pathlib import Path

from segchips.files import whole
from segchips.grid import Tile
from segchips.job import dataset_of, reported
from segchips.labels import Features, lock_labels, share_labels, write_label_lock
from segchips.tiles import read_manifest

with reported(snakemake.log[0]) as log:
    lock, owner = Path(snakemake.output[0]), snakemake.params.owner
    share_labels(lock.parent / "labels", lock.parent.parent / owner / "labels")
    if owner != snakemake.wildcards.dataset:
        print(f"the labels are those of {owner}", file=log)
        with whole(lock) as part:
            shutil.copyfile(snakemake.input.layers[0], part)
    else:
        features = Features(dataset_of(snakemake).labels)
        print("\n".join([f"{len(features)} features", *features.notes]), file=log)
        tiles = [Tile.from_key(row.key) for row in read_manifest(Path(snakemake.input.manifest))]
        write_label_lock(lock, lock_labels(features, tiles))
