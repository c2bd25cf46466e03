"""Overlaps and distances between the tiles of different splits, measured on the tiles' padded footprints."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pyproj
import shapely

from segchips.arrays import Ints
from segchips.grids.ground import metres_per_unit, projection_of
from segchips.grids.tile import Tile
from segchips.grids.utm import adjacent_zones
from segchips.vectors.geometry import Geometries

# Overlaps of less than this share of a pixel are rounding errors of two projections.
_MIN_PIXELS = 1e-3
# Each edge is cut into this many segments before it is reprojected to another zone.
_EDGE_SEGMENTS = 16


@dataclass(frozen=True)
class OverlappingPair:
    """Two tiles of different splits whose padded footprints overlap.

    Attributes:
        first: The key of the first tile in the ledger's order.
        second: The key of the second tile.
        splits: The splits of both.
        pixels: The area of the overlap in pixels.
        between_zones: Whether the tiles lie in different UTM zones, or at both ends of the world.
    """

    first: str
    second: str
    splits: tuple[str, str]
    pixels: float
    between_zones: bool


@dataclass(frozen=True)
class _Zone:
    """The tiles of one CRS: their UTM zone, positions in the dataset, and padded boxes."""

    number: int
    crs: str
    positions: Ints
    boxes: Geometries

    def boxes_in(self, crs: str) -> Geometries:
        """The boxes in another zone's CRS, edges accurate to a fraction of a pixel."""
        project = pyproj.Transformer.from_crs(self.crs, crs, always_xy=True).transform
        width = np.max(np.subtract(*shapely.bounds(self.boxes[:1]).T[[2, 0]]))
        dense = shapely.segmentize(self.boxes, width / _EDGE_SEGMENTS)
        reprojected: Geometries = shapely.transform(dense, project, interleaved=False)
        return reprojected


def find_overlaps(tiles: Sequence[Tile], splits: Sequence[str]) -> list[OverlappingPair]:
    """Find all pairs of tiles of different splits that overlap.

    Args:
        tiles: Tiles of one grid.
        splits: The split of each tile.

    Returns:
        The pairs, sorted by their keys. Areas are exact within a CRS, and measured in the lower zone between two.
    """
    zones = _zones(tiles)
    names = np.asarray(splits, dtype=object)
    overlaps = []
    for first, second, second_boxes in _zone_pairs(zones, tiles[:1]):
        in_second, in_first = shapely.STRtree(first.boxes).query(second_boxes, predicate="intersects")
        pairs = np.column_stack([first.positions[in_first], second.positions[in_second]])
        chosen = names[pairs[:, 0]] != names[pairs[:, 1]]
        if first is second:
            chosen &= pairs[:, 0] < pairs[:, 1]
        area = shapely.area(shapely.intersection(first.boxes[in_first[chosen]], second_boxes[in_second[chosen]]))
        pixels = area / tiles[0].grid.resolution ** 2
        for (one, other), count in zip(pairs[chosen].tolist(), pixels.tolist(), strict=True):
            if count > _MIN_PIXELS:
                keys, both = (tiles[one].key, tiles[other].key), (splits[one], splits[other])
                overlaps.append(OverlappingPair(*keys, both, round(count, 3), first is not second))
    return sorted(overlaps, key=lambda pair: (pair.first, pair.second))


def min_distances(tiles: Sequence[Tile], splits: Sequence[str]) -> dict[tuple[str, str], float]:
    """Find the least distance between the tiles of each pair of splits.

    Args:
        tiles: Tiles of one grid.
        splits: The split of each tile.

    Returns:
        Metres by pair of splits: between footprints, in the tiles' CRS, where tiles lie in one CRS or neighbouring
        zones, else between the centres of tiles, along the ellipsoid.
    """
    names, zones = np.asarray(splits, dtype=object), _zones(tiles)
    pairs = list(combinations(dict.fromkeys(sorted(splits)), 2))
    distances, unit = dict.fromkeys(pairs, np.inf), metres_per_unit(tiles[0].grid) if tiles else 1.0
    for first, second, second_boxes in _zone_pairs(zones, tiles[:1]):
        first_names, second_names = names[first.positions], names[second.positions]
        for pair in pairs:
            for one, other in (pair, pair[::-1])[: 1 + (first is not second)]:
                boxes, others = first.boxes[first_names == one], second_boxes[second_names == other]
                distance = unit * _planar_distance(boxes, others)
                distances[pair] = min(distances[pair], distance)
    for pair in pairs:
        if distances[pair] == np.inf:
            members = ([tile for tile, name in zip(tiles, splits, strict=True) if name == one] for one in pair)
            distances[pair] = _geodesic_distance(*members)
    return {pair: round(distance, 3) for pair, distance in distances.items()}


def _zones(tiles: Sequence[Tile]) -> list[_Zone]:
    zones = np.array([tile.zone for tile in tiles])
    bounds = np.array([tile.bounds for tile in tiles]).reshape(-1, 4)
    positions_by_zone = {int(zone): np.flatnonzero(zones == zone) for zone in np.unique(zones)}
    return [
        _Zone(zone, tiles[positions[0]].crs, positions, shapely.box(*bounds[positions].T))
        for zone, positions in positions_by_zone.items()
    ]


def _zone_pairs(zones: Sequence[_Zone], example: Sequence[Tile]) -> Iterator[tuple[_Zone, _Zone, Geometries]]:
    """Each zone with itself, and each pair of neighbouring zones, with the second's boxes in the first's CRS.

    A CRS whose world ends at one x comes once more, with its boxes moved by the width of the world.
    """
    projection = projection_of(example[0].grid) if example else None
    if projection and projection.seam:
        world = projection.seam[1] - projection.seam[0]
        for zone in zones:
            yield zone, replace(zone), shapely.transform(zone.boxes, lambda points: points + [world, 0.0])
    for zone in zones:
        yield zone, zone, zone.boxes
    for first, second in combinations(zones, 2):
        if second.number in adjacent_zones(first.number):
            yield first, second, second.boxes_in(first.crs)


def _planar_distance(boxes: Geometries, others: Geometries) -> float:
    if not len(boxes) or not len(others):
        return float(np.inf)
    few, many = sorted((boxes, others), key=len)
    _, distances = shapely.STRtree(many).query_nearest(few, return_distance=True, all_matches=False)
    return float(distances.min())


def _geodesic_distance(tiles: Sequence[Tile], others: Sequence[Tile]) -> float:
    points, other_points = (shapely.points(np.array([_centre(tile) for tile in side])) for side in (tiles, others))
    which, nearest = shapely.STRtree(points).query_nearest(other_points, all_matches=False)
    starts, ends = shapely.get_coordinates(points[nearest]), shapely.get_coordinates(other_points[which])
    _, _, metres = pyproj.Geod(ellps="WGS84").inv(*starts.T, *ends.T)
    return float(np.min(metres))


def _centre(tile: Tile) -> tuple[float, float]:
    west, south, east, north = tile.core_bounds
    project = pyproj.Transformer.from_crs(tile.crs, 4326, always_xy=True).transform
    lon, lat = project((west + east) / 2, (south + north) / 2)
    return lon, lat
