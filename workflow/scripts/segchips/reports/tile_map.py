"""The report's maps as SVG paths: tiles by split and state, and tiles by pixels in conflict."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from segchips.arrays import Floats, Ints
from segchips.config.tiles import TilesConfig
from segchips.grids.tile_array import ByTile
from segchips.reports.ledger import Ledger
from segchips.reports.tile_boxes import TileBoxes
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.geometry import Geometries, extract_polygons
from segchips.vectors.layers import read_layer

MAX_TILES = 10_000
"""Maps of more tiles draw squares that stand for several tiles, without a tooltip for each tile."""
MAX_SQUARES = 15_000
"""The most squares of a map."""
METRES_PER_DEGREE = 111_195.0
"""Metres along one degree of a meridian."""
MAX_WIDTH, MAX_HEIGHT = 760.0, 460.0
"""The size in pixels that a map fits into."""
CONFLICT_LEVELS = (0.0, 0.01, 0.05, 0.2)
"""The shares of a tile's pixels in conflict above which each of `colours.CONFLICT_COLOURS` is used."""


def tile_map(rows: Ledger, boxes: TileBoxes, area: Geometries) -> dict[str, Any]:
    """Draw the boxes of tiles or chips in an equirectangular projection.

    Args:
        rows: The rows of the ledger to draw.
        boxes: Their boxes, in the order of the rows.
        area: The area of interest in lon/lat.

    Returns:
        Variables of the template: `shapes` (tooltip and path of each tile by split and state, or of one square for
        several tiles), `squares` (how many squares there are, 0 where each tile is drawn), `detail` (a factor for line
        widths), `area` (the path of the area's outline), and the frame as in `MapView.frame`.
    """
    view, shapes = MapView.around(boxes), defaultdict[tuple[str, str], list[tuple[str, str]]](list)
    squares = None
    if len(rows) > MAX_TILES:
        squares = view.squares(boxes)
        rows = rows.where(squares.nearest)
        joined = defaultdict[tuple[str, str], list[str]](list)
        for row, path in zip(rows, squares.paths(), strict=True):
            joined[row.split, row.state].append(path)
        shapes |= {(split, state): [(f"{split}: {state}", "".join(paths))] for (split, state), paths in joined.items()}
    else:
        for row, path in zip(rows, view.paths(boxes.shapes()), strict=True):
            shapes[row.split, row.state].append((f"{row.tile}, {row.split}: {row.state}", path))
    detail = min(1.0, math.sqrt(view.width * view.height / len(rows)) / 20)
    about = {"shapes": shapes, "squares": len(rows) if squares else 0, "detail": detail}
    return {**about, "area": view.outline_path(area), **view.frame()}


def conflict_map(conflicts: ByTile[int], boxes: TileBoxes, area: Geometries, size: int) -> dict[str, Any]:
    """Draw the tiles' core boxes by share of pixels in conflict.

    Args:
        conflicts: How many pixels are in conflict, by tile key.
        boxes: The boxes of all tiles.
        area: The area of interest in lon/lat.
        size: Pixels along the side of a chip.

    Returns:
        Variables of the template: `shapes` (tooltip and path of each tile by level, None without conflicts; of many
        tiles squares with the highest level of their tiles), `squares` as in `tile_map`, `area` (the path of the area's
        outline), and the frame as in `MapView.frame`.
    """
    boxes = boxes.at(conflicts.tiles)
    view, pixels = MapView.around(boxes), conflicts.column.to_numpy()
    levels = np.where(pixels > 0, np.searchsorted(CONFLICT_LEVELS, pixels / size**2) - 1, -1)
    shapes: dict[int | None, list[tuple[str, str]]] = {level: [] for level in (None, *range(len(CONFLICT_LEVELS)))}
    squares = None
    if len(boxes) > MAX_TILES:
        squares = view.squares(boxes)
        highest = np.maximum.reduceat(levels[squares.order], squares.starts)
        drawn = zip(highest.tolist(), ["" for _ in highest], squares.paths(), strict=True)
    else:
        titles = [
            f"{tile}: {count:,} pixels, {100 * count / size**2:.1f} %"
            for tile, count in zip(conflicts, pixels.tolist(), strict=True)
        ]
        drawn = zip(levels.tolist(), titles, view.paths(boxes.shapes()), strict=True)
    for level, title, path in drawn:
        shapes[None if level < 0 else level].append((title, path))
    for level in shapes if squares else [None]:
        shapes[level] = [("", "".join(path for _, path in shapes[level]))]
    about = {"shapes": shapes, "squares": len(squares.starts) if squares else 0}
    return {**about, "area": view.outline_path(area), **view.frame()}


def read_area(config: TilesConfig) -> Geometries:
    """Read the polygons of the area of interest in lon/lat; an empty array if the config has no `aoi`."""
    if config.aoi is None or config.keys is not None:
        return np.array([], object)
    return to_lonlat_geometries(read_layer(config.aoi, config.layer))


@dataclass(frozen=True)
class MapView:
    """An equirectangular projection from lon/lat to pixels of a map, true to scale at its middle latitude.

    Attributes:
        west, south, east, north: The limits of the map in degrees.
        wrapped: Whether the map crosses the antimeridian, so that western longitudes are shifted by 360 degrees.
    """

    west: float
    south: float
    east: float
    north: float
    wrapped: bool

    @classmethod
    def around(cls, boxes: TileBoxes) -> "MapView":
        """The view that shows all boxes, with a margin."""
        ends = []
        for batch in boxes.batches():
            lon, lat = shapely.get_coordinates(batch).T
            ends.append([(side.min(), side.max()) for side in (lon, lat, np.where(lon < 0, lon + 360, lon))])
        limits = np.array(ends)
        (west, south, wrapped_west), (east, north, wrapped_east) = (
            limits[..., 0].min(axis=0),
            limits[..., 1].max(axis=0),
        )
        wrapped = bool(east - west > 180)
        if wrapped:
            west, east = wrapped_west, wrapped_east
        margin = 0.03 * max(east - west, north - south)
        return cls(west - margin, south - margin, east + margin, north + margin, wrapped)

    @property
    def longitude_factor(self) -> float:
        """Metres of a degree of longitude over metres of a degree of latitude."""
        return math.cos(math.radians((self.south + self.north) / 2))

    @property
    def scale(self) -> float:
        """Pixels per degree of latitude."""
        return min(
            MAX_WIDTH / (self.longitude_factor * (self.east - self.west)), MAX_HEIGHT / (self.north - self.south)
        )

    @property
    def width(self) -> float:
        """The width of the map in pixels."""
        return self.scale * self.longitude_factor * (self.east - self.west)

    @property
    def height(self) -> float:
        """The height of the map in pixels."""
        return self.scale * (self.north - self.south)

    def x(self, lon: Any) -> Any:
        """Pixels from the left; of a wrapped map for longitudes from 0."""
        return (lon - self.west) * self.scale * self.longitude_factor

    def y(self, lat: Any) -> Any:
        """Pixels from the top."""
        return (self.north - lat) * self.scale

    def squares(self, boxes: TileBoxes) -> "Squares":
        """Group the boxes by squares of the map that hold their middles."""
        lon, lat = boxes.middles().T
        x, y = self.x(np.where(lon < 0, lon + 360, lon) if self.wrapped else lon), self.y(lat)
        side = math.sqrt(self.width * self.height / MAX_SQUARES)
        columns, rows = np.floor(x / side).astype(np.int64), np.floor(y / side).astype(np.int64)
        distance = np.hypot(x - (columns + 0.5) * side, y - (rows + 0.5) * side)
        order = np.lexsort((distance, columns, rows))
        changes = (np.diff(columns[order], prepend=-1) != 0) | (np.diff(rows[order], prepend=-1) != 0)
        starts = np.flatnonzero(changes)
        corners = np.column_stack([columns, rows])[order[starts]] * side
        return Squares(order, starts, corners, side)

    def paths(self, boxes: Geometries) -> list[str]:
        """The path of each box, which may have parts on both sides of the antimeridian."""
        parts, owners = shapely.get_parts(boxes, return_index=True)
        corners, rings = shapely.get_coordinates(shapely.get_exterior_ring(parts), return_index=True)
        lon, lat = corners.T
        x, y = self.x(lon + np.where(lon < 0, 360.0, 0.0) if self.wrapped else lon).tolist(), self.y(lat).tolist()
        ends = np.cumsum(np.bincount(rings, minlength=len(parts))).tolist()
        paths = [""] * len(boxes)
        for owner, start, end in zip(owners.tolist(), [0, *ends], ends, strict=False):
            paths[owner] += _polyline(x[start : end - 1], y[start : end - 1]) + "Z"
        return paths

    def outline_path(self, area: Geometries) -> str:
        """The path of the outline of the polygons' union within the map, without details smaller than a pixel."""
        copies = [
            shapely.transform(area, lambda points, shift=shift: points + (shift, 0)) for shift in (-360.0, 0.0, 360.0)
        ]
        surroundings = self.west - 1, self.south - 1, self.east + 1, self.north + 1
        nearby, _ = extract_polygons(shapely.clip_by_rect(np.concatenate(copies), *surroundings))
        outline = shapely.boundary(shapely.union_all(nearby, grid_size=0.25 / self.scale))
        limits = shapely.box(self.west, self.south, self.east, self.north)
        inside = shapely.intersection(shapely.simplify(outline, 0.5 / self.scale), limits)
        parts = [shapely.get_coordinates(line).T for line in shapely.get_parts(shapely.line_merge(inside))]
        return "".join(_polyline(self.x(lon).tolist(), self.y(lat).tolist()) for lon, lat in parts)

    def frame(self) -> dict[str, Any]:
        """Width and height in pixels, position and label of ticks, and length and label of the scale bar."""
        metres = METRES_PER_DEGREE / self.scale
        bar = _round_down(self.width * metres / 4)
        label = f"{bar / 1000:g} km" if bar >= 1000 else f"{bar:g} m"
        lons, lats = _ticks(self.west, self.east, 5), _ticks(self.south, self.north, 5)
        return {
            "width": self.width,
            "height": self.height,
            "xticks": [(self.x(lon), _degree_label((lon + 180) % 360 - 180, step, "EW")) for lon, step in lons],
            "yticks": [(self.y(lat), _degree_label(lat, step, "NS")) for lat, step in lats],
            "bar": (bar / metres, label),
        }


@dataclass(frozen=True)
class Squares:
    """Squares of a map, each for the tiles with their middle in it.

    Attributes:
        order: The tiles (n), square by square; of each square first the tile that is nearest to its middle.
        starts: Where each square (m) starts in `order`.
        corners: The upper left corner of each square (m, 2) in pixels of the map.
        side: The side of a square.
    """

    order: Ints
    starts: Ints
    corners: Floats
    side: float

    @property
    def nearest(self) -> Ints:
        """The tile nearest to the middle of each square (m)."""
        return self.order[self.starts]

    def paths(self) -> list[str]:
        """The path of each square."""
        side = f"{self.side:.2f}"
        return [f"M{x:.1f} {y:.1f}h{side}v{side}h-{side}z" for x, y in self.corners.tolist()]


def _polyline(x: Sequence[float], y: Sequence[float]) -> str:
    return "M" + "L".join(f"{column:.2f} {row:.2f}" for column, row in zip(x, y, strict=True))


def _round_down(value: float) -> float:
    """The largest of 1, 2, 5, 10, 20, ... that does not exceed the value."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= value * (1 + 1e-9))


def _ticks(low: float, high: float, count: int) -> list[tuple[float, float]]:
    step = _round_down((high - low) / count * 2)
    return [(number * step, step) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _degree_label(value: float, step: float, sides: str) -> str:
    digits = max(0, -math.floor(math.log10(step)))
    return f"{abs(value):.{digits}f}° {sides[value < 0]}" if round(value, digits) else f"{0:.{digits}f}°"
