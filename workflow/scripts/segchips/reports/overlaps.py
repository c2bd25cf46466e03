"""TODO: describe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyproj
import shapely

from segchips.arrays import Ints
from segchips.grids.tile import Tile
from segchips.grids.utm import adjacent_zones
from segchips.vectors.geometry import Geometries

# Less than this share of a pixel is rounding between two projections.
_NOTHING = 1e-3


@dataclass(frozen=True)
class OverlappingPair:
    """Two tiles of different splits whose padded footprints overlap, by so many pixels of theirs."""

    first: str
    second: str
    splits: tuple[str, str]
    pixels: float
    between_zones: bool


@dataclass(frozen=True)
class _Zone:
    """The tiles of one UTM zone: positions in the dataset, and padded boxes."""

    number: int
    crs: str
    members: Ints
    boxes: Geometries

    def moved(self, crs: str) -> Geometries:
        """The boxes in another zone's CRS, edges where they were on the ground to a fraction of a pixel."""
        project = pyproj.Transformer.from_crs(self.crs, crs, always_xy=True).transform
        width = np.max(np.subtract(*shapely.bounds(self.boxes[:1]).T[[2, 0]]))
        moved: Geometries = shapely.transform(shapely.segmentize(self.boxes, width / 16), project, interleaved=False)
        return moved


def find_overlaps(tiles: Sequence[Tile], splits: Sequence[str]) -> list[OverlappingPair]:
    """All pairs of tiles of different splits that share ground, with the area in pixels, exact within a zone."""
    zones = _zones(tiles)
    names = np.asarray(splits, dtype=object)
    found = []
    for zone, first, second, boxes in _neighbouring(zones):
        tree = shapely.STRtree(zone.boxes)
        theirs, ours = tree.query(boxes, predicate="intersects")
        pairs = np.column_stack([first.members[ours], second.members[theirs]])
        chosen = names[pairs[:, 0]] != names[pairs[:, 1]]
        if first is second:
            chosen &= pairs[:, 0] < pairs[:, 1]
        area = shapely.area(shapely.intersection(zone.boxes[ours[chosen]], boxes[theirs[chosen]]))
        pixels = area / tiles[0].grid.resolution ** 2
        for (one, other), count in zip(pairs[chosen].tolist(), pixels.tolist(), strict=True):
            if count > _NOTHING:
                keys, both = (tiles[one].key, tiles[other].key), (splits[one], splits[other])
                found.append(OverlappingPair(*keys, both, round(count, 3), first is not second))
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def min_distances(tiles: Sequence[Tile], splits: Sequence[str]) -> dict[tuple[str, str], float]:
    """Metres (UTM) between the padded footprints of each two splits; between far zones, geodesic between middles."""
    names, zones = np.asarray(splits, dtype=object), _zones(tiles)
    pairs = list(combinations(dict.fromkeys(sorted(splits)), 2))
    found = dict.fromkeys(pairs, np.inf)
    for zone, first, second, boxes in _neighbouring(zones):
        ours, theirs = names[first.members], names[second.members]
        for pair in pairs:
            for one, other in (pair, pair[::-1])[: 1 + (first is not second)]:
                found[pair] = min(found[pair], _nearest(zone.boxes[ours == one], boxes[theirs == other]))
    for pair in pairs:
        if found[pair] == np.inf:
            found[pair] = _far_apart(
                *([tile for tile, name in zip(tiles, splits, strict=True) if name == one] for one in pair)
            )
    return {pair: round(distance, 3) for pair, distance in found.items()}


def _zones(tiles: Sequence[Tile]) -> list[_Zone]:
    zones = np.array([tile.zone for tile in tiles])
    bounds = np.array([tile.bounds for tile in tiles]).reshape(-1, 4)
    by_zone = {int(zone): np.flatnonzero(zones == zone) for zone in np.unique(zones)}
    return [
        _Zone(zone, tiles[members[0]].crs, members, shapely.box(*bounds[members].T))
        for zone, members in by_zone.items()
    ]


def _neighbouring(zones: Sequence[_Zone]) -> Iterator[tuple[_Zone, _Zone, _Zone, Geometries]]:
    """Each zone with itself, and each two that lie side by side, with the second's boxes in the first's CRS."""
    for zone in zones:
        yield zone, zone, zone, zone.boxes
    for first, second in combinations(zones, 2):
        if second.number in adjacent_zones(first.number):
            yield first, first, second, second.moved(first.crs)


def _nearest(ours: Geometries, theirs: Geometries) -> float:
    if not len(ours) or not len(theirs):
        return float(np.inf)
    few, many = sorted((ours, theirs), key=len)
    _, distances = shapely.STRtree(many).query_nearest(few, return_distance=True, all_matches=False)
    return float(distances.min())


def _far_apart(ours: Sequence[Tile], theirs: Sequence[Tile]) -> float:
    one, other = (shapely.points(np.array([_middle(tile) for tile in side])) for side in (ours, theirs))
    which, nearest = shapely.STRtree(one).query_nearest(other, all_matches=False)
    places = shapely.get_coordinates(one[nearest]), shapely.get_coordinates(other[which])
    _, _, metres = pyproj.Geod(ellps="WGS84").inv(*places[0].T, *places[1].T)
    return float(np.min(metres))


def _middle(tile: Tile) -> tuple[float, float]:
    west, south, east, north = tile.core_bounds
    project = pyproj.Transformer.from_crs(tile.crs, 4326, always_xy=True).transform
    lon, lat = project((west + east) / 2, (south + north) / 2)
    return lon, lat
