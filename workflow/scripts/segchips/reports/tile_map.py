"""The report's maps as SVG paths: tiles by split and state, and tiles by pixels in conflict."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from segchips.config.tiles import TilesConfig
from segchips.files import read_parquet
from segchips.reports.ledger import LedgerRow
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.geometry import Geometries, extract_polygons
from segchips.vectors.layers import read_layer

MAX_TOOLTIPS = 10_000
"""Maps of more tiles draw one path for each split and state, without a tooltip for each tile."""
METRES_PER_DEGREE = 111_195.0
"""Metres along one degree of a meridian."""
MAX_WIDTH, MAX_HEIGHT = 760.0, 460.0
"""The size in pixels that a map fits into."""
CONFLICT_LEVELS = (0.0, 0.01, 0.05, 0.2)
"""The shares of a tile's pixels in conflict above which each of `colours.CONFLICT_COLOURS` is used."""


def tile_map(rows: Sequence[LedgerRow], boxes: Mapping[str, Any], area: Geometries) -> dict[str, Any]:
    """Draw the boxes of tiles or chips in an equirectangular projection.

    Args:
        rows: The rows of the ledger to draw.
        boxes: Their boxes in lon/lat, by tile.
        area: The area of interest in lon/lat.

    Returns:
        Variables of the template: `shapes` (tooltip and path of each tile by split and state), `detail` (a factor for
        line widths), `area` (the path of the area's outline), and the frame as in `_MapView.frame`.
    """
    view = _MapView.around([boxes[row.tile] for row in rows])
    shapes: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for row, path in zip(rows, view.paths([boxes[row.tile] for row in rows]), strict=True):
        shapes[row.split, row.state].append((f"{row.tile}, {row.split}: {row.state}", path))
    if len(rows) > MAX_TOOLTIPS:
        joined = {key: "".join(path for _, path in members) for key, members in shapes.items()}
        shapes = {(split, state): [(f"{split}: {state}", path)] for (split, state), path in joined.items()}
    detail = min(1.0, math.sqrt(view.width * view.height / len(rows)) / 20)
    return {"shapes": shapes, "detail": detail, "area": view.outline_path(area), **view.frame()}


def conflict_map(conflicts: Mapping[str, int], manifest: Path, area: Geometries, size: int) -> dict[str, Any]:
    """Draw the tiles' core boxes by share of pixels in conflict.

    Args:
        conflicts: How many pixels are in conflict, by tile key.
        manifest: The tile manifest, which holds the boxes.
        area: The area of interest in lon/lat.
        size: Pixels along the side of a chip.

    Returns:
        Variables of the template: `shapes` (tooltip and path of each tile by level, None without conflicts), `area`
        (the path of the area's outline), and the frame as in `_MapView.frame`.
    """
    boxes = read_boxes(manifest)
    view = _MapView.around([boxes[tile] for tile in conflicts])
    shapes: dict[int | None, list[tuple[str, str]]] = {level: [] for level in (None, *range(len(CONFLICT_LEVELS)))}
    paths = view.paths([boxes[tile] for tile in conflicts])
    for (tile, pixels), path in zip(conflicts.items(), paths, strict=True):
        share = pixels / size**2
        level = sum(share > limit for limit in CONFLICT_LEVELS) - 1 if pixels else None
        shapes[level].append((f"{tile}: {pixels:,} pixels, {100 * share:.1f} %", path))
    for level in shapes if len(conflicts) > MAX_TOOLTIPS else [None]:
        shapes[level] = [("", "".join(path for _, path in shapes[level]))]
    return {"shapes": shapes, "area": view.outline_path(area), **view.frame()}


def read_boxes(manifest: Path) -> dict[str, Any]:
    """Read the tiles' core boxes in lon/lat, by tile key."""
    table = read_parquet(manifest, ["key", "geometry"])
    return dict(zip(table["key"].to_pylist(), shapely.from_wkb(table["geometry"].to_pylist()), strict=True))


def read_area(config: TilesConfig) -> Geometries:
    """Read the polygons of the area of interest in lon/lat; an empty array if the config has no `aoi`."""
    if config.aoi is None or config.keys is not None:
        return np.array([], object)
    return to_lonlat_geometries(read_layer(config.aoi, config.layer))


@dataclass(frozen=True)
class _MapView:
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
    def around(cls, boxes: Sequence[Any]) -> "_MapView":
        lonlat = shapely.get_coordinates(boxes)
        wrapped = bool(np.ptp(lonlat[:, 0]) > 180)
        if wrapped:
            lonlat = lonlat + np.where(lonlat[:, :1] < 0, [360.0, 0.0], 0.0)
        (west, south), (east, north) = lonlat.min(axis=0), lonlat.max(axis=0)
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
        return self.scale * self.longitude_factor * (self.east - self.west)

    @property
    def height(self) -> float:
        return self.scale * (self.north - self.south)

    def x(self, lon: Any) -> Any:
        return (lon - self.west) * self.scale * self.longitude_factor

    def y(self, lat: Any) -> Any:
        return (self.north - lat) * self.scale

    def paths(self, boxes: Sequence[Any]) -> list[str]:
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
