"""Makes image chips without Snakemake."""

from pathlib import Path

import yaml

from segchips.chips.images import make_image
from segchips.config.loading import load_config
from segchips.grids.tile import Tile
from segchips.scenes.lock import read_locks
from segchips.scenes.resolve import resolve
from segchips.tiles.manifest import read_manifest
from segchips.tiles.tiles import make_tiles
from support.datasets import image_plan


def make_image_chips() -> None:
    """Make every image chip of config.yaml in the working directory, one after the other."""
    for name, dataset in load_config(yaml.safe_load(Path("config.yaml").read_text())).datasets.items():
        folder = Path("results") / name
        (folder / "images").mkdir(parents=True)
        make_tiles(dataset, folder / "tiles.parquet")
        tiles = [Tile.from_key(row.key) for row in read_manifest(folder / "tiles.parquet")]
        list(resolve(dataset, folder / "tiles.parquet", folder / "scenes.parquet", refresh=False))
        plan = image_plan(dataset, read_locks(folder / "scenes.parquet")[""])
        for tile in tiles:
            make_image(plan, tile, folder / "images" / tile.filename)
