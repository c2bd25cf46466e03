"""TODO: describe."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segchips.config.model import LabelsConfig, TilesConfig
from segchips.errors import InputError
from segchips.grids.tile import FALSE_EASTING, Grid, Tile
from segchips.grids.utm import HALF_ZONE, POLE
from segchips.tiles.cover import cover_area, in_grid_order
from segchips.tiles.manifest import read_parquet_columns
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.layers import VectorLayer, read_layer


def aoi_layers(tiles: TilesConfig, labels: LabelsConfig) -> list[VectorLayer]:
    """The layers that say where tiles are: the AOI, else every label layer; none where the config lists keys."""
    if tiles.keys is not None:
        return []
    if tiles.aoi is not None:
        return [read_layer(tiles.aoi, tiles.layer)]
    return [read_layer(layer.path, layer.layer) for layer in labels.layers]


def find_tiles(config: TilesConfig, layers: Sequence[VectorLayer]) -> list[Tile]:
    """The tiles the config lists, or those that the features of the layers meet; ordered as `enumerate_tiles`."""
    if config.keys is not None:
        return in_grid_order(read_tile_keys(config.keys, config.grid))
    return cover_area(np.concatenate([to_lonlat_geometries(layer) for layer in layers]), config.grid)


def read_tile_keys(keys: Sequence[str] | str, grid: Grid) -> list[Tile]:
    """The distinct tiles of listed keys, or of a file: a key per line, or the `key` column of a CSV or Parquet file."""
    listed = _file_keys(keys) if isinstance(keys, str) else keys
    source = f"'{keys}': " if isinstance(keys, str) else "tiles.keys: "
    tiles: dict[Tile, None] = {}
    for key in listed:
        try:
            tile = Tile.from_name(key)
        except InputError as error:
            raise InputError(f"{source}{error}") from error
        _check_place(tile, grid, source)
        tiles[tile] = None
    if not tiles:
        raise InputError(f"{source}there is no tile key; give at least one, or an aoi")
    return list(tiles)


def _check_place(tile: Tile, grid: Grid, source: str) -> None:
    """InputError where a tile is of another grid than the config's, or too far from its zone for UTM to be right."""
    if tile.grid.key != grid.key:
        has, asked = (f"size {g.size}, pad {g.pad}, resolution {g.resolution}" for g in (tile.grid, grid))
        raise InputError(f"{source}tile key '{tile.key}' has {has} (size counts padding), but the config has {asked}")
    west, south, east, north = tile.core_bounds
    far = 3 * HALF_ZONE
    if south >= POLE or north <= -POLE or west >= FALSE_EASTING + far or east <= FALSE_EASTING - far:
        raise InputError(f"{source}tile key '{tile.key}' lies outside UTM zone {tile.zone}")


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
