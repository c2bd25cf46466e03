"""Tiles, and datasets from configs of few keys."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyproj
import shapely

from segchips.chips.image_plan import ImagePlan
from segchips.config.layers import ImageLayers, LabelTargets
from segchips.config.loading import load_config
from segchips.config.model import Dataset
from segchips.grids.tile import Grid, Tile
from segchips.scenes.pinning import SceneLock

Block = dict[str, Any] | None


def make_dataset(
    tiles: Block = None,
    imagery: Block = None,
    labels: Block = None,
    tfrecords: Block = None,
    splitting: Block = None,
    select: Block = None,
) -> Dataset:
    """A dataset from the keys that matter to a test; the required others have defaults."""
    usual = {
        "products": [{"id": "s2", "bands": ["B1"]}],
        "start": "2017-01-01",
        "end": "2017-12-31",
        "reference_date": "2017-06-30",
    }
    places = {"catalog": "catalog.json", "path": "labels.gpkg"}
    imagery, labels = usual | (imagery or {}), dict(labels or {})
    catalog, path = imagery.pop("catalog", places["catalog"]), labels.pop("path", places["path"])
    others = {"tfrecords": tfrecords or {}, "splitting": splitting or {}, "select": select or {}}
    blocks = {"tiles": tiles or {}, "imagery": imagery, "labels": labels, **others}
    imagery["catalog"], labels["path"] = places.values()
    # most tests differ in nothing but places, and loading takes long
    if repr(blocks) not in _datasets:
        _datasets[repr(blocks)] = load_config({"datasets": {"d": blocks}}).datasets["d"]
    dataset = _datasets[repr(blocks)]
    images = {
        name: replace(layer, catalog=catalog) if layer.catalog == places["catalog"] else layer
        for name, layer in dataset.imagery.layers.items()
    }
    targets = {}
    for name, target in dataset.labels.targets.items():
        layers = [replace(layer, path=path) if layer.path == places["path"] else layer for layer in target.layers]
        targets[name] = replace(target, layers=tuple(layers))
    return replace(dataset, imagery=ImageLayers(images), labels=LabelTargets(targets))


_datasets: dict[str, Dataset] = {}


def parse_utc(text: str) -> datetime:
    """An RFC 3339 time in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def tile_outline(tile: Tile) -> shapely.Polygon:
    """A tile's padded box in lon/lat."""
    lonlat = pyproj.Transformer.from_crs(tile.crs, 4326, always_xy=True)
    west, south, east, north = tile.bounds
    ring = [(west, south), (east, south), (east, north), (west, north)]
    return shapely.Polygon(list(lonlat.itransform(ring)))


def tile_at(
    size: int = 16, pad: int = 2, resolution: float = 10.0, zone: int = 33, east: int = 0, north: int = 0
) -> Tile:
    """The tile at 14 degrees east, 46 degrees north, or so many tiles east and north of it."""
    grid = Grid(size, pad, resolution)
    return Tile(grid, zone, math.floor(-77_000 / grid.core) + east, math.floor(5_094_000 / grid.core) + north)


def image_plan(dataset: Dataset, lock: SceneLock, layer: str = "") -> ImagePlan:
    """The plan of a layer of a dataset, by default of the only one."""
    config = dataset.imagery.layers[layer]
    return ImagePlan(config, lock, code_version="", config_key=f"datasets.{dataset.name}.imagery")
