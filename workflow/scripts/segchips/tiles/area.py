"""Which tiles the config asks for: those of an AOI, of the label layers, or of a list of keys."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely

from segchips.config.layers import LabelTargets
from segchips.config.tiles import TilesConfig
from segchips.errors import InputError
from segchips.grids.cover import cover_area, in_grid_order
from segchips.grids.tile import Grid, Tile
from segchips.tiles.label_rasters import raster_extents, raster_files
from segchips.tiles.manifest import read_parquet_columns
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.layers import VectorLayer, read_layer

_THICKNESS = 1e-9
"""Degrees around points and lines, which make areas of them."""


def aoi_layers(tiles: TilesConfig, labels: LabelTargets) -> list[VectorLayer]:
    """Reads the layers that tiles must meet.

    Returns:
        The AOI, or every label layer where there is no AOI, or nothing where the config lists tile keys.

    Raises:
        InputError: A layer cannot be read.
    """
    if tiles.keys is not None:
        return []
    if tiles.aoi is not None:
        return [read_layer(tiles.aoi, tiles.layer)]
    return [
        raster_extents(layer.path)
        if raster_files(layer.path)
        else read_layer(layer.path, layer.layer, options=layer.options)
        for layer in labels.layers
    ]


def find_tiles(config: TilesConfig, layers: Sequence[VectorLayer]) -> list[Tile]:
    """Returns the tiles that the config lists, or those that meet a feature, ordered as by `in_grid_order`.

    Args:
        config: The grid, and the keys where it lists them.
        layers: The layers from `aoi_layers`.

    Raises:
        InputError: The keys cannot be used, or the features have no area or too many tiles.
    """
    if config.keys is not None:
        return in_grid_order(read_tile_keys(config.keys, config.grid))
    shapes = np.concatenate([to_lonlat_geometries(layer) for layer in layers])
    thin = shapely.get_dimensions(shapes) < 2
    shapes[thin] = shapely.buffer(shapes[thin], _THICKNESS, quad_segs=1)
    return cover_area(shapes, config.grid)


def read_tile_keys(keys: Sequence[str] | str, grid: Grid) -> list[Tile]:
    """Returns the distinct tiles of a list of keys, in its order.

    Args:
        keys: Tile keys or chip names, or a file of them: one in each line, or the column `key` of a CSV or Parquet
            file.
        grid: The grid of the config.

    Raises:
        InputError: A key is not valid, belongs to another grid or lies outside its UTM zone; there is no key; or the
            file cannot be read.
    """
    listed = _file_keys(keys) if isinstance(keys, str) else keys
    source = f"'{keys}': " if isinstance(keys, str) else "tiles.keys: "
    tiles: dict[Tile, None] = {}
    for key in listed:
        try:
            tile = Tile.from_name(key)
            _check_grid(tile, grid)
            tile.check_location()
        except InputError as error:
            raise InputError(f"{source}{error}") from error
        tiles[tile] = None
    if not tiles:
        raise InputError(f"{source}there is no tile key; give at least one, or an aoi")
    return list(tiles)


def _check_grid(tile: Tile, grid: Grid) -> None:
    if tile.grid.key != grid.key:
        of_key, of_config = (f"size {g.size}, pad {g.pad}, resolution {g.resolution}" for g in (tile.grid, grid))
        raise InputError(f"tile key '{tile.key}' has {of_key} (size counts padding), but the config has {of_config}")


def _file_keys(path: str) -> list[str]:
    if Path(path).suffix.lower() == ".parquet":
        return list(read_parquet_columns(path, ["key"])[0])
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' cannot be read as a list of tile keys: {error}") from error
    if Path(path).suffix.lower() != ".csv":
        return [line for line in text.splitlines() if line.strip()]
    rows = csv.DictReader(text.splitlines())
    if "key" not in (rows.fieldnames or ()):
        raise InputError(f"'{path}' has no column 'key'; it has {', '.join(rows.fieldnames or ())}")
    return [row["key"] for row in rows if row["key"]]
