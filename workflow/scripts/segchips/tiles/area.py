"""TODO: describe."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segchips.config.model import LabelsConfig, TilesConfig
from segchips.errors import InputError
from segchips.grids.cover import cover_area, in_grid_order
from segchips.grids.tile import Grid, Tile
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
