"""The tiles step: writes the tile manifest of a dataset."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyproj
import shapely

from segchips.config.model import Dataset
from segchips.config.tiles import IMAGERY, TilesConfig
from segchips.grids.ground import projection_of
from segchips.grids.outlines import footprints
from segchips.grids.pixel_grid import PixelGrid
from segchips.grids.tile import Grid
from segchips.tiles.area import aoi_layers, describe_points, find_tiles, read_tile_keys
from segchips.tiles.manifest import write_manifest
from segchips.tiles.split_assignment import split_by_location
from segchips.vectors.antimeridian import WGS84, to_lonlat_geometries
from segchips.vectors.geometry import Geometries
from segchips.vectors.layers import VectorLayer
from segchips.vectors.longitudes import within_globe
from segchips.vectors.points import read_points

_POINT_REACH = 1e-6
"""Degrees around points within which scenes are searched for their pixel grid."""

FindPixels = Callable[[Geometries], PixelGrid]
"""Returns the pixel grid of the scenes that meet lon/lat polygons."""


def make_tiles(dataset: Dataset, path: Path, find_pixels: FindPixels | None = None) -> list[str]:
    """Writes the tile manifest: all tiles of a dataset with their shards, and the splits that follow from location.

    Args:
        dataset: The dataset.
        path: The manifest to write, GeoParquet.
        find_pixels: Finds the pixel grid of the scenes, for grid `imagery`.

    Returns:
        Lines for the log: what was repaired in each vector layer, the grid, and the number of tiles.

    Raises:
        InputError: The AOI, the label layers, the keys, the points or the regions cannot be used, or the scenes have no
            common pixel grid.
    """
    config = dataset.tiles
    layers = aoi_layers(config, dataset.labels)
    pixels = find_pixels(_search_area(config, layers)) if find_pixels and config.grid == IMAGERY else None
    tiles = find_tiles(config, layers, pixels)
    write_manifest(path, split_by_location(tiles, dataset.splitting, dataset.tfrecords.shards))
    repairs = [layer.repairs() for layer in layers]
    grid = tiles[0].grid
    notes = describe_points(read_points(config.centers, config.layer), grid) if config.centers else []
    return [*repairs, *notes, *_grid_notes(grid), f"{len(tiles)} tiles"]


def _search_area(config: TilesConfig, layers: Sequence[VectorLayer]) -> Geometries:
    """The lon/lat polygons of the area, before its tiles are known."""
    if config.keys is not None:
        return footprints(read_tile_keys(config.keys, None))
    if config.centers is not None:
        points = read_points(config.centers, config.layer)
        lon, lat = pyproj.Transformer.from_crs(points.crs, WGS84, always_xy=True).transform(*points.xy.T)
        box = np.column_stack([lon, lat, lon, lat]) + _POINT_REACH * np.array([-1, -1, 1, 1])
        return within_globe(shapely.box(*box.T))
    return within_globe(np.concatenate([to_lonlat_geometries(layer) for layer in layers]))


def _grid_notes(grid: Grid) -> list[str]:
    """What a user has to know of a grid in a projected CRS: its unit, and where lengths are not those of the ground."""
    projection = projection_of(grid)
    if projection is None:
        return []
    lines = [f"grid {grid.system}: pixels of {grid.resolution:g} {projection.unit} ({projection.crs.name})"]
    if projection.code in ("EPSG:3857", "EPSG:3395", "EPSG:3785"):
        lines.append(
            f"{projection.code}: its metres are those of the ground at the equator alone; "
            "at latitude 60 a pixel is half as wide, and so are guard distances"
        )
    return lines
