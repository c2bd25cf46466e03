"""The tiles step: writes the tile manifest of a dataset."""

from pathlib import Path

from segchips.config.model import Dataset
from segchips.tiles.area import aoi_layers, find_tiles
from segchips.tiles.manifest import write_manifest
from segchips.tiles.split_assignment import split_by_location


def make_tiles(dataset: Dataset, path: Path) -> list[str]:
    """Writes the tile manifest: all tiles of a dataset with their shards, and the splits that follow from location.

    Args:
        dataset: The dataset.
        path: The manifest to write, GeoParquet.

    Returns:
        Lines for the log: what was repaired in each vector layer, and the number of tiles.

    Raises:
        InputError: The AOI, the label layers, the keys or the regions cannot be used.
    """
    layers = aoi_layers(dataset.tiles, dataset.labels)
    tiles = find_tiles(dataset.tiles, layers)
    write_manifest(path, split_by_location(tiles, dataset.splitting, dataset.tfrecords.shards))
    repairs = [
        f"{layer}: {layer.repaired} invalid polygons repaired, {layer.dropped} features without polygon left out"
        for layer in layers
    ]
    return [*repairs, f"{len(tiles)} tiles"]
