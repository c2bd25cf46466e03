"""The tile manifest: which tiles an area holds, and each tile's split and shard.

The client library's `DLTile.from_shape` defines which tiles those are; tests hold this arithmetic to it. A tile belongs
when the lon/lat quadrilateral between the corners of its core box meets the area inside the tile's own six-degree zone.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from segchips.config import LabelsConfig, TFRecordsConfig, TilesConfig
from segchips.description import PLANNED, shard_of, split_of
from segchips.errors import ConfigError, InputError
from segchips.files import read_parquet, whole
from segchips.grid import FALSE_EASTING, Grid, Tile
from segchips.vectors import Geometries, Layer, polygon_parts, polygonal, read_layer, transform

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MAX_TILES = 5_000_000
POLE = 9_997_964.943
"""Metres along the central meridian from the equator to a pole, as the client library has it."""
HALF_ZONE = 334_000.0
BLOCK = 100_000.0
"""Metres: the search for tiles starts with blocks at least this large."""
OUTLINE_STEP = 5_000.0
ROUNDING = 1e-9
WGS84 = pyproj.CRS(4326)

_N = (1 / 298.257223563) / (2 - 1 / 298.257223563)
_RADIUS = 0.9996 * (6378137 / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64))


@dataclass(frozen=True)
class Planned:
    """A tile's split ("" for none), shard and state, and why it is dropped; tiles of one `unit` share their split."""

    key: str
    split: str
    shard: int
    state: str = PLANNED
    reason: str = ""
    unit: int = 0


def aoi_layers(tiles: TilesConfig, labels: LabelsConfig) -> list[Layer]:
    """The layers that say where tiles are: the AOI, else every label layer; none where the config lists keys."""
    if tiles.keys is not None:
        return []
    if tiles.aoi is not None:
        return [read_layer(tiles.aoi, tiles.layer)]
    return [read_layer(layer.path, layer.layer) for layer in labels.layers]


def tiles_of(config: TilesConfig, layers: Sequence[Layer]) -> list[Tile]:
    """The tiles the config lists, or those that the features of the layers meet; ordered as `enumerate_tiles`."""
    if config.keys is not None:
        return _in_order(keyed_tiles(config.keys, config.grid))
    return enumerate_tiles(np.concatenate([lonlat(layer) for layer in layers]), config.grid)


def lonlat(layer: Layer) -> Geometries:
    """The layer's geometries in lon/lat; those that cross the antimeridian or hold a pole stay whole."""
    moved = transform(layer.geometries, layer.crs, WGS84, layer)
    west, _, east, _ = shapely.total_bounds(moved)
    if max(-west, east) > 720:
        place = f"longitudes from {west:g} to {east:g}"
        raise InputError(f"{layer} has {place}: {layer.crs.name} cannot be its CRS; assign the right one")
    if moved is layer.geometries:
        return moved
    coordinates, owners = shapely.get_coordinates(moved, return_index=True)
    jumps = (np.abs(np.diff(coordinates[:, 0])) > 180) & (np.diff(owners) == 0)
    torn = np.unique(owners[1:][jumps])
    moved[torn] = [_mended(geometry) for geometry in moved[torn]]
    return moved


def enumerate_tiles(aoi: Any, grid: Grid) -> list[Tile]:
    """The tiles that meet the union of lon/lat geometries, ordered by zone, row north to south, path west to east.

    The geometries may overlap, be invalid, or leave -180..180; InputError where they hold no area or too many tiles.
    """
    if float(grid.key.split(":")[2]) != grid.resolution:
        raise ConfigError(f"tiles.resolution: {grid.resolution} has more than the six decimals that fit into tile keys")
    valid, _ = polygonal(np.atleast_1d(np.asarray(aoi, dtype=object)))
    parts, _ = polygon_parts(_within_globe(valid))
    if not parts.size:
        raise InputError("the area of interest is empty: it has no polygon between 90 degrees south and north")
    tiles: list[Tile] = []
    for zone, clipped in _by_zone(parts):
        found = _zone_tiles(clipped, zone, grid.core, MAX_TILES - len(tiles))
        tiles += [Tile(grid, zone, path, row) for path, row in found.tolist()]
    return _in_order(tiles)


def keyed_tiles(keys: Sequence[str] | str, grid: Grid) -> list[Tile]:
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


def footprints(tiles: Sequence[Tile]) -> Geometries:
    """The padded boxes of tiles of one grid as lon/lat polygons, curved edges followed, split at the antimeridian."""
    return _tile_outlines(tiles, tiles[0].grid.pad * tiles[0].grid.resolution)


def outlines(tiles: Sequence[Tile]) -> Geometries:
    """The core boxes of tiles of one grid as lon/lat polygons, curved edges followed, split at the antimeridian."""
    return _tile_outlines(tiles, pad=0.0)


def places_of(tiles: Sequence[Tile]) -> Ints:
    """Zone, path and row (n, 3) of tiles."""
    return np.array([(tile.zone, tile.path, tile.row) for tile in tiles], np.int64).reshape(-1, 3)


def write_manifest(
    path: str | Path, tiles: Sequence[Tile], tfrecords: TFRecordsConfig, rows: Sequence[Planned] = ()
) -> None:
    """Write the manifest as GeoParquet 1.1: key, split, shard, state and the core box in lon/lat.

    Where there are no rows, each tile's split follows from its key.
    """
    import pyarrow as pa

    keys = [tile.key for tile in tiles]
    rows = rows or [Planned(key, split_of(key, tfrecords.splits), shard_of(key, tfrecords.shards)) for key in keys]
    columns = {
        "key": pa.array(keys, pa.string()),
        "split": pa.array([row.split for row in rows], pa.string()),
        "shard": pa.array([row.shard for row in rows], pa.int32()),
        "state": pa.array([row.state for row in rows], pa.string()),
    }
    write_geoparquet(path, columns, outlines(tiles))


def write_geoparquet(
    path: str | Path, columns: Mapping[str, Any], geometry: Geometries, about: Mapping[str, str] | None = None
) -> None:
    """Write columns (lists or Arrow arrays) and lon/lat geometries as GeoParquet 1.1; `about` is further metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({**columns, "geometry": pa.array(shapely.to_wkb(geometry, byte_order=1), pa.binary())})
    table = table.replace_schema_metadata({"geo": json.dumps(_geo_metadata(geometry)), **(about or {})})
    with whole(path) as part:
        pq.write_table(table, part, compression="zstd")


def read_manifest(path: str | Path) -> list[Planned]:
    """The manifest's rows in its order; InputError where the file is none."""
    rows = _parquet_columns(path, ["key", "split", "shard", "state"])
    return [Planned(*row) for row in zip(*rows, strict=True)]


def _in_order(tiles: list[Tile]) -> list[Tile]:
    return sorted(tiles, key=lambda tile: (tile.zone, -tile.row, tile.path))


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
        return list(_parquet_columns(path, ["key"])[0])
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


def _parquet_columns(path: str | Path, names: list[str]) -> list[list[Any]]:
    import pyarrow as pa

    try:
        table = read_parquet(path, names)
        return [table[name].to_pylist() for name in names]
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(f"'{path}' cannot be read as a Parquet file with the columns {', '.join(names)}") from error


def _geo_metadata(geometry: Geometries) -> dict[str, Any]:
    column = {
        "encoding": "WKB",
        "geometry_types": sorted({polygon.geom_type for polygon in geometry}),
        "crs": WGS84.to_json_dict(),
        "bbox": shapely.total_bounds(geometry).tolist(),
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def to_lonlat(easting: Floats, northing: Floats, zone: int | Ints) -> tuple[Any, Any]:
    """The client library's inverse UTM, bit for bit, except that longitudes go on beyond 180."""
    b1 = 1 / 2 * _N - 2 / 3 * _N**2 + 37 / 96 * _N**3
    b2 = 1 / 48 * _N**2 + 1 / 15 * _N**3
    b3 = 17 / 480 * _N**3
    d1 = 2 * _N - 2 / 3 * _N**2 - 2 * _N**3
    d2 = 7 / 3 * _N**2 - 8 / 5 * _N**3
    d3 = 56 / 15 * _N**3
    y, x = northing / _RADIUS, (easting - FALSE_EASTING) / _RADIUS
    yp = y - (
        b1 * np.sin(2 * y) * np.cosh(2 * x) + b2 * np.sin(4 * y) * np.cosh(4 * x) + b3 * np.sin(6 * y) * np.cosh(6 * x)
    )
    xp = x - (
        b1 * np.cos(2 * y) * np.sinh(2 * x) + b2 * np.cos(4 * y) * np.sinh(4 * x) + b3 * np.cos(6 * y) * np.sinh(6 * x)
    )
    chi = np.arcsin(np.sin(yp) / np.cosh(xp))
    lat = np.rad2deg(chi + d1 * np.sin(2 * chi) + d2 * np.sin(4 * chi) + d3 * np.sin(6 * chi))
    lon = 6.0 * zone - 183.0 + np.rad2deg(np.arctan(np.sinh(xp) / np.cos(yp)))
    return (lon + 180.0) - 180.0, lat


def _outlines(bounds: Floats, zone: int | Ints, steps: int) -> Geometries:
    """UTM boxes (n, 4) as lon/lat polygons of `steps` chords a side; one that reaches over a pole becomes a cap."""
    ramp = np.arange(steps) / steps
    ones, zeros = np.ones(steps), np.zeros(steps)
    across, up = np.concatenate([ramp, ones, 1 - ramp, zeros]), np.concatenate([zeros, ramp, ones, 1 - ramp])
    west, south, east, north = (side[:, None] for side in bounds.T)
    zones = np.reshape(zone, (-1, 1))
    lon, lat = to_lonlat(west * (1 - across) + east * across, south * (1 - up) + north * up, zones)
    outlines: Geometries = shapely.polygons(np.stack([lon, lat], axis=-1))
    middle = np.broadcast_to(6.0 * zones - 183.0, (len(bounds), 1))[:, 0]
    over_north, over_south = _over_poles(bounds)
    for over, edge, pole in ((over_north, lat.min(axis=1), 90.0), (over_south, lat.max(axis=1), -90.0)):
        outlines[over] = shapely.box(middle[over] - 180, edge[over], middle[over] + 180, pole)
    return outlines


def _over_poles(bounds: Floats) -> tuple[Mask, Mask]:
    return bounds[:, 3] > POLE, bounds[:, 1] < -POLE


def _tile_outlines(tiles: Sequence[Tile], pad: float) -> Geometries:
    """The core boxes of tiles of one grid, `pad` metres added on each side, as lon/lat polygons within the globe."""
    core = tiles[0].grid.core
    places = places_of(tiles)
    bounds = utm_bounds(places[:, 1:], 1, core) + [-pad, -pad, pad, pad]
    return _within_globe(_outlines(bounds, places[:, 0], int(np.ceil((core + 2 * pad) / OUTLINE_STEP))))


def _within_globe(geometries: Geometries) -> Geometries:
    """Geometries with longitudes wrapped into -180..180, split there, and latitudes clipped to -90..90."""
    bounds = shapely.bounds(geometries)
    outside = ((bounds < [-180, -90, -180, -90]) | (bounds > [180, 90, 180, 90])).any(axis=1)
    if not outside.any():
        return geometries
    west, east = bounds[outside, 0].min(), bounds[outside, 2].max()
    turns = np.arange(np.floor((west + 180) / 360), np.floor((east + 180) / 360) + 1) * 360
    pieces = []
    for turn in turns:
        piece = shapely.intersection(geometries[outside], shapely.box(turn - 180, -90, turn + 180, 90))
        pieces.append(shapely.transform(piece, lambda lonlat, turn=turn: lonlat - [turn, 0.0]))
    result = geometries.copy()
    result[outside] = shapely.union_all(np.stack(pieces), axis=0)
    return result


def _mended(geometry: Any) -> Any:
    """A polygon whose rings jump between -180 and 180, rebuilt from rings that go on."""
    polygons = []
    for polygon in shapely.get_parts(geometry):
        shell, *holes = (_within_globe(np.array([_ring_area(ring)]))[0] for ring in shapely.get_rings(polygon))
        polygons.append(shapely.difference(shell, shapely.union_all(holes)))
    return shapely.union_all(polygons)


def _ring_area(ring: Any) -> Any:
    coordinates = shapely.get_coordinates(ring)
    lon = np.unwrap(coordinates[:, 0], period=360)
    lat = coordinates[:, 1]
    if abs(lon[-1] - lon[0]) > 180:
        pole = np.copysign(90.0, lat.mean())
        lon, lat = np.append(lon, [lon[-1], lon[0]]), np.append(lat, [pole, pole])
    return shapely.make_valid(shapely.Polygon(np.column_stack([lon, lat])), method="structure", keep_collapsed=False)


def _by_zone(parts: Geometries) -> Iterator[tuple[int, Geometries]]:
    """Each UTM zone's polygons, clipped to its six degrees; a polygon that only touches them has none there."""
    bounds = shapely.bounds(parts)
    for zone in range(1, 61):
        west, east = 6 * zone - 186.0, 6 * zone - 180.0
        inside = (bounds[:, 0] >= west) & (bounds[:, 2] <= east)
        crossing = (bounds[:, 0] < east) & (bounds[:, 2] > west) & ~inside
        clipped, _ = polygon_parts(shapely.intersection(parts[crossing], shapely.box(west, -90, east, 90)))
        if inside.any() or clipped.size:
            yield zone, np.concatenate([parts[inside], clipped])


def _zone_tiles(parts: Geometries, zone: int, core: float, limit: int) -> Ints:
    """Path and row (n, 2) of the zone's tiles that meet polygons inside it, by halving blocks down to tiles.

    No block reaches over the equator or the central meridian, and on either side lon and lat are monotonic in easting
    and northing: the lon/lat box around a block's corners holds all of it.
    """
    shapely.prepare(parts)
    tree = shapely.STRtree(parts)
    level = max(0, int(np.ceil(np.log2(BLOCK / core))))
    blocks = _all_blocks(core * 2**level)
    found, count = [], 0
    for span in 2 ** np.arange(level, 0, -1):
        meets, full = _meet(_block_boxes(blocks, zone, int(span), core), parts, tree)
        count += int(full.sum()) * int(span) ** 2
        if count + 4 * int(meets.sum()) > limit:
            raise InputError(
                f"the area of interest holds more than {MAX_TILES:,} tiles of {core:g} m; "
                "take a smaller area or larger tiles"
            )
        found.append(_split(blocks[full], int(span)))
        blocks = _split(blocks[meets & ~full], 2)
    return np.concatenate([*found, blocks[_tiles_meet(blocks, zone, core, parts, tree)]])


def _all_blocks(size: float) -> Ints:
    """Column and row (n, 2) of all squares of `size` metres of a zone."""
    columns, rows = int(np.ceil(HALF_ZONE / size)), int(np.ceil(POLE / size))
    return np.stack(np.meshgrid(np.arange(-columns, columns), np.arange(-rows, rows)), axis=-1).reshape(-1, 2)


def _split(blocks: Ints, into: int) -> Ints:
    """Column and row of the squares when each block becomes `into` x `into`."""
    inner = np.stack(np.meshgrid(np.arange(into), np.arange(into)), axis=-1).reshape(1, -1, 2)
    return (blocks[:, None, :] * into + inner).reshape(-1, 2)


def utm_bounds(blocks: Ints, span: int, core: float) -> Floats:
    """West, south, east, north (n, 4) in metres of blocks of `span` x `span` tiles, by column and row (n, 2)."""
    low, high = blocks * span * core, (blocks + 1) * span * core
    return np.concatenate([low, high], axis=1) + [FALSE_EASTING, 0, FALSE_EASTING, 0]


def _block_boxes(blocks: Ints, zone: int, span: int, core: float) -> Geometries:
    """The lon/lat boxes that hold blocks of `span` x `span` tiles."""
    bounds = shapely.bounds(_outlines(utm_bounds(blocks, span, core), zone, steps=1))
    boxes: Geometries = shapely.box(*(bounds + [-ROUNDING, -ROUNDING, ROUNDING, ROUNDING]).T)
    return boxes


def _meet(boxes: Geometries, parts: Geometries, tree: shapely.STRtree) -> tuple[Mask, Mask]:
    """Which boxes meet a part, and which of them lie inside one; most parts need no look at their vertices."""
    box, part = tree.query(boxes)
    outer, inner = shapely.bounds(boxes)[box], shapely.bounds(parts)[part]
    meets = _holds(outer, inner)
    meets[~meets] = shapely.intersects(parts[part[~meets]], boxes[box[~meets]])
    full = meets & _holds(inner, outer)
    full[full] = shapely.contains_properly(parts[part[full]], boxes[box[full]])
    return _marked(box[meets], len(boxes)), _marked(box[full], len(boxes))


def _tiles_meet(tiles: Ints, zone: int, core: float, parts: Geometries, tree: shapely.STRtree) -> Mask:
    """Which tiles' core boxes meet a part; beyond a pole there is no tile."""
    bounds = utm_bounds(tiles, 1, core)
    outlines = _outlines(bounds, zone, steps=1)
    tile, part = tree.query(outlines)
    meets = _marked(tile[shapely.intersects(parts[part], outlines[tile])], len(tiles))
    west, south, east, north = bounds.T
    beside_pole = np.logical_or(*_over_poles(bounds)) & ((west > FALSE_EASTING) | (east < FALSE_EASTING))
    on_globe: Mask = ~beside_pole & (south < POLE) & (north > -POLE)
    return meets & on_globe


def _holds(outer: Floats, inner: Floats) -> Mask:
    return np.asarray((outer[:, :2] <= inner[:, :2]).all(axis=1) & (outer[:, 2:] >= inner[:, 2:]).all(axis=1))


def _marked(indices: Ints, count: int) -> Mask:
    marks = np.zeros(count, dtype=bool)
    marks[indices] = True
    return marks
