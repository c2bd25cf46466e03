"""Makes image chips without Snakemake."""

from pathlib import Path

import yaml

from segchips.chips.image_plan import ImagePlan
from segchips.chips.images import make_image
from segchips.config.loading import SCHEMA, load_config
from segchips.scenes.lock import read_lock
from segchips.scenes.resolve import resolve
from segchips.tiles.area import aoi_layers, find_tiles
from segchips.tiles.manifest import write_manifest


def make_image_chips() -> None:
    """Make every image chip of config.yaml in the working directory, one after the other."""
    for name, dataset in load_config(yaml.safe_load(Path("config.yaml").read_text()), SCHEMA).datasets.items():
        folder = Path("results") / name
        (folder / "images").mkdir(parents=True)
        tiles = find_tiles(dataset.tiles, aoi_layers(dataset.tiles, dataset.labels))
        write_manifest(folder / "tiles.parquet", tiles, dataset.tfrecords)
        list(resolve(dataset, folder / "tiles.parquet", folder / "scenes.parquet", anew=False))
        plan = ImagePlan(dataset, read_lock(folder / "scenes.parquet"))
        for tile in tiles:
            make_image(plan, tile, folder / "images" / f"{tile.name}.tif")
