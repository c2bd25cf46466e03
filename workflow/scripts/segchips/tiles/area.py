"""Which tiles the config asks for: those of an AOI, of the label layers, or of a list of keys."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely

from segchips.config.layers import LabelTargets
from segchips.config.tiles import TilesConfig
from segchips.errors import InputError
from segchips.grids.centres import indices_around
from segchips.grids.cover import cover_area
from segchips.grids.ground import check_location, projection_of
from segchips.grids.indices import in_grid_order, tile_indices
from segchips.grids.pixel_grid import PixelGrid
from segchips.grids.planar_cover import planar_tiles
from segchips.grids.sparse_neighbours import pairs_among
from segchips.grids.tile import Grid, Tile
from segchips.grids.tile_array import TileArray
from segchips.tiles.label_rasters import raster_extents, raster_files
from segchips.tiles.manifest import read_parquet_columns
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.geometry import Geometries, polygon_parts
from segchips.vectors.layers import VectorLayer, read_layer
from segchips.vectors.points import PointLayer, read_points

_SHOWN = 5

_THICKNESS, _METRES_PER_DEGREE = 1e-9, 1e5
"""Degrees around points and lines, which make areas of them."""


def aoi_layers(tiles: TilesConfig, labels: LabelTargets) -> list[VectorLayer]:
    """Reads the layers that tiles must meet.

    Returns:
        The AOI, or every label layer where there is no AOI, or nothing where the config lists tile keys or points.

    Raises:
        InputError: A layer cannot be read.
    """
    if tiles.keys is not None or tiles.centers is not None:
        return []
    if tiles.aoi is not None:
        return [read_layer(tiles.aoi, tiles.layer)]
    return [
        raster_extents(layer.path, layer.asset)
        if raster_files(layer.path, layer.asset)
        else read_layer(layer.path, layer.layer, options=layer.options)
        for layer in labels.layers
    ]


def find_tiles(config: TilesConfig, layers: Sequence[VectorLayer], pixels: PixelGrid | None = None) -> TileArray:
    """Returns the tiles that the config lists, those around its points, or those that meet a feature.

    A layer in the CRS of the grid is compared with the tiles as it is; others move to longitudes and latitudes.

    Args:
        config: The grid, and the keys or points where it names them.
        layers: The layers from `aoi_layers`.
        pixels: The pixel grid of the scenes, for grid `imagery`.

    Returns:
        Distinct tiles, ordered as by `in_grid_order`.

    Raises:
        InputError: The keys or points cannot be used, or the features have no area, lie beyond the grid's CRS or meet
            too many tiles.
    """
    grid = config.tile_grid(pixels)
    if config.keys is not None:
        tiles = read_tile_keys(config.keys, grid)
        return TileArray(tiles[0].grid, in_grid_order(tile_indices(tiles)))
    if config.centers is not None:
        return tiles_around(read_points(config.centers, config.layer), grid)
    projection = projection_of(grid)
    if projection and all(layer.crs.equals(projection.crs, ignore_axis_order=True) for layer in layers):
        shapes = _with_area(np.concatenate([layer.geometries for layer in layers]), _THICKNESS * _METRES_PER_DEGREE)
        return planar_tiles(polygon_parts(shapes)[0], grid)
    return cover_area(_with_area(np.concatenate([to_lonlat_geometries(layer) for layer in layers]), _THICKNESS), grid)


def _with_area(shapes: Geometries, thickness: float) -> Geometries:
    """Geometries (n) whose points and lines are made areas."""
    thin = shapely.get_dimensions(shapes) < 2
    shapes = shapes.copy()
    shapes[thin] = shapely.buffer(shapes[thin], thickness, quad_segs=1)
    return shapes


def tiles_around(points: PointLayer, grid: Grid) -> TileArray:
    """Returns the distinct tiles around points, ordered as by `in_grid_order`.

    Args:
        points: The points.
        grid: A grid whose tiles begin at any pixel.

    Raises:
        InputError: A point lies where the grid has no tiles.
    """
    indices = np.unique(indices_around(points.xy, points.crs, points.fids, grid, points), axis=0)
    return TileArray(grid, in_grid_order(indices))


def describe_points(points: PointLayer, grid: Grid) -> list[str]:
    """Returns lines about features without point, points that have the tile of another, and tiles that overlap."""
    indices = indices_around(points.xy, points.crs, points.fids, grid, points)
    distinct, first = np.unique(indices, axis=0, return_index=True)
    lines = [f"{points}: {points.empty} features without point left out"] if points.empty else []
    if len(distinct) < len(indices):
        repeated = np.delete(points.fids, first)
        more = ", ..." if len(repeated) > _SHOWN else ""
        lines.append(
            f"{points}: {len(repeated)} points have the same tile as a point before them and add none: "
            f"FID {', '.join(map(str, repeated[:_SHOWN].tolist()))}{more}"
        )
    overlapping = np.unique(np.concatenate([np.empty(0, np.int64), *(at for at, _ in pairs_among(distinct, grid, 0))]))
    if overlapping.size:
        lines.append(f"{points}: {len(overlapping)} of {len(distinct)} tiles share ground with another")
    return lines


def read_tile_keys(keys: Sequence[str] | str, grid: Grid | None) -> list[Tile]:
    """Returns the distinct tiles of a list of keys, in its order.

    Args:
        keys: Tile keys or chip names, or a file of them: one in each line, or the column `key` of a CSV or Parquet
            file.
        grid: The grid of the config, whose stride may be that of the keys; None where it is not known yet, so that
            keys are compared with the first.

    Raises:
        InputError: A key is not valid, belongs to another grid or lies outside its CRS; there is no key; or the file
            cannot be read.
    """
    listed = _file_keys(keys) if isinstance(keys, str) else keys
    source = f"'{keys}': " if isinstance(keys, str) else "tiles.keys: "
    tiles: dict[Tile, None] = {}
    for key in listed:
        try:
            tile = Tile.from_name(key)
            first = next(iter(tiles), tile).grid
            _check_grid(tile, first if grid is None else grid if grid.stride else replace(grid, stride=first.stride))
            check_location(tile)
        except InputError as error:
            raise InputError(f"{source}{error}") from error
        tiles[tile] = None
    if not tiles:
        raise InputError(f"{source}there is no tile key; give at least one, or an aoi")
    return list(tiles)


def _check_grid(tile: Tile, grid: Grid) -> None:
    if tile.grid != grid:
        of_key, of_config = (str(one) for one in (tile.grid, grid))
        if tile.grid.system == grid.system:
            of_key, of_config = (text.removesuffix(f", grid {grid.system}") for text in (of_key, of_config))
        raise InputError(f"tile key '{tile.key}' has {of_key} (size counts padding), but the config has {of_config}")


def _file_keys(path: str) -> list[str]:
    if Path(path).suffix.lower() == ".parquet":
        return list(read_parquet_columns(path, ["key"])[0])
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"'{path}' cannot be read ({reason}); name a file of tile keys, one a line, or a CSV"
        ) from error
    if Path(path).suffix.lower() != ".csv":
        return [line for line in text.splitlines() if line.strip()]
    rows = csv.DictReader(text.splitlines())
    if "key" not in (rows.fieldnames or ()):
        raise InputError(f"'{path}' has no column 'key'; it has {', '.join(rows.fieldnames or ())}")
    return [row["key"] for row in rows if row["key"]]
