"""Overlaps and distances between the tiles of different splits, measured on the tiles' padded footprints."""

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyproj
import shapely

from segchips.arrays import Floats, Ints, Mask
from segchips.grids.ground import metres_per_unit, projection_of
from segchips.grids.indices import core_bounds, padded_bounds
from segchips.grids.tile import Grid, Tile
from segchips.grids.tile_array import TileArray
from segchips.grids.utm import adjacent_zones
from segchips.vectors.geometry import Geometries

# Overlaps of less than this share of a pixel are rounding errors of two projections.
_MIN_PIXELS = 1e-3
# Each edge is cut into this many segments before it is reprojected to another zone.
_EDGE_SEGMENTS = 16
_AROUND = np.array([-1, -1, 1, 1])
_BATCH = 50_000
"""Tiles whose neighbours are in memory at once."""


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


class Overlaps(Sequence[OverlappingPair]):
    """Many pairs, sorted by their keys, which are made when they are asked for.

    Args:
        tiles: All tiles.
        splits: The names of the splits.
        numbers: The number of each tile's split among these (n).
        positions: Two tiles of each pair (m, 2).
        pixels: The area of each overlap (m), with three decimals.
        between_zones: Which pairs (m) lie in different zones.
    """

    def __init__(
        self,
        tiles: TileArray,
        splits: Sequence[str],
        numbers: Ints,
        positions: Ints,
        pixels: Floats,
        between_zones: Mask,
    ) -> None:
        rank = np.empty(len(tiles), np.int64)
        rank[pc.sort_indices(tiles.keys.column).to_numpy()] = np.arange(len(tiles))
        order = np.lexsort((rank[positions[:, 1]], rank[positions[:, 0]]))
        self._tiles, self._splits, self._numbers = tiles, splits, numbers
        self._positions, self.pixels, self.between_zones = positions[order], pixels[order], between_zones[order]

    def total_pixels(self, chosen: Mask | slice = slice(None)) -> float:
        """The pixels of all pairs, or of some."""
        return int(np.rint(self.pixels[chosen] * 1000).astype(np.int64).sum()) / 1000

    def by_splits(self) -> dict[tuple[str, str], Mask]:
        """Which pairs (m) are between two splits, by their names."""
        numbers = self._numbers[self._positions]
        found = {}
        for one, other in combinations(range(len(self._splits)), 2):
            of_both = (np.minimum(*numbers.T) == one) & (np.maximum(*numbers.T) == other)
            if of_both.any():
                first, second = sorted((self._splits[one], self._splits[other]))
                found[first, second] = of_both
        return dict(sorted(found.items(), key=lambda item: "-".join(item[0])))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.pixels)

    @overload
    def __getitem__(self, index: int) -> OverlappingPair: ...
    @overload
    def __getitem__(self, index: slice) -> list[OverlappingPair]: ...
    def __getitem__(self, index: int | slice) -> OverlappingPair | list[OverlappingPair]:
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        row = range(len(self))[index]
        first, second = self._positions[row].tolist()
        splits = self._splits[self._numbers[first]], self._splits[self._numbers[second]]
        keys = self._tiles[first].key, self._tiles[second].key
        return OverlappingPair(*keys, splits, float(self.pixels[row]), bool(self.between_zones[row]))


@dataclass(frozen=True)
class _Zone:
    """The tiles of one CRS: their UTM zone, positions in the dataset, and bounds with padding (n, 4)."""

    number: int
    crs: str
    positions: Ints
    bounds: Floats

    @cached_property
    def boxes(self) -> Geometries:
        """The bounds as polygons (n), which take ten times the memory."""
        return np.asarray(shapely.box(*self.bounds.T))

    @property
    def width(self) -> float:
        """The side of a box."""
        return float(self.bounds[0, 2] - self.bounds[0, 0])


@dataclass(frozen=True)
class _ZonePair:
    """The tiles of two zones, or twice those of one, in the plane of the first.

    Attributes:
        first: The first zone.
        second: The second.
        project: From the second zone's plane to the first's; None where they are the same.
        turn: How far the second's tiles are moved to the east.
    """

    first: _Zone
    second: _Zone
    project: Callable[[Any, Any], tuple[Any, Any]] | None = None
    turn: float = 0.0

    @property
    def is_one(self) -> bool:
        """Whether both are the same, in the same place."""
        return self.project is None and not self.turn

    def second_boxes(self, rows: Ints | slice) -> Geometries:
        """Boxes of the second zone, edges accurate to a fraction of a pixel."""
        boxes: Geometries = self.second.boxes[rows]
        if self.project:
            dense = shapely.segmentize(boxes, self.second.width / _EDGE_SEGMENTS)
            boxes = shapely.transform(dense, self.project, interleaved=False)
        return shapely.transform(boxes, lambda points: points + [self.turn, 0.0]) if self.turn else boxes

    def second_middles(self) -> Floats:
        """The middles (n, 2) of the second zone's boxes."""
        x, y = self.second.bounds.reshape(-1, 2, 2).mean(axis=1).T
        x, y = self.project(x, y) if self.project else (x, y)
        return np.column_stack([x + self.turn, y])

    def near_rows(self) -> Ints:
        """The rows of the second zone's boxes that may overlap one of the first's, where these are two zones."""
        low, high = self.first.bounds.min(axis=0), self.first.bounds.max(axis=0)
        west, south, east, north = np.append(low[:2], high[2:]) + 2 * self.first.width * _AROUND
        x, y = self.second_middles().T
        return np.flatnonzero((x > west) & (x < east) & (y > south) & (y < north))


def find_overlaps(tiles: Sequence[Tile], splits: Sequence[str] | pa.Array) -> Overlaps:
    """Find all pairs of tiles of different splits that overlap.

    Args:
        tiles: Tiles of one grid, at least one.
        splits: The split of each tile.

    Returns:
        The pairs, sorted by their keys. Areas are exact within a CRS, and measured in the lower zone between two.
    """
    array = TileArray.of(tiles)
    names, numbers = _numbered(splits)
    found = [(np.empty((0, 2), np.int64), np.empty(0), np.empty(0, bool))]
    for both in _zone_pairs(_zones(array), array.grid):
        for rows, others, area in _overlaps_of_one(both.first) if both.is_one else _overlaps_of_two(both):
            pairs = np.column_stack([both.first.positions[rows], both.second.positions[others]])
            pixels = np.asarray(area / array.grid.resolution**2)
            overlap = (numbers[pairs[:, 0]] != numbers[pairs[:, 1]]) & (pixels > _MIN_PIXELS)
            between = np.full(int(overlap.sum()), not both.is_one)
            found.append((pairs[overlap], pixels[overlap].round(3), between))
    return Overlaps(array, names, numbers, *(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _numbered(names: Sequence[str] | pa.Array) -> tuple[list[str], Ints]:
    """The distinct names, and the number of each (n) among them."""
    encoded = (names if isinstance(names, pa.Array) else pa.array(names, pa.string())).dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def _overlaps_of_two(both: _ZonePair) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Parts of the pairs of boxes of two zones that meet: their rows in the first and second, and the shared area."""
    tree, near = shapely.STRtree(both.first.boxes), both.near_rows()
    for rows in np.split(near, range(_BATCH, len(near), _BATCH)):
        batch = both.second_boxes(rows)
        in_second, in_first = tree.query(batch, predicate="intersects")
        area = shapely.area(shapely.intersection(both.first.boxes[in_first], batch[in_second]))
        yield in_first, rows[in_second], np.asarray(area)


def _overlaps_of_one(zone: _Zone) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Parts of the pairs of boxes of a zone that may meet, each pair once: the lower row, the higher, and shared area.

    The plane is cut into cells as wide as a box, so that boxes which meet begin in one cell or in two side by side.
    """
    corners = zone.bounds[:, :2]
    across, up = np.floor((corners - corners.min(axis=0)) / zone.width).astype(np.int64).T
    cells = across << 32 | up + 1
    order = np.argsort(cells, kind="stable")
    ordered = cells[order]
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        for right, above in ((0, 0), (0, 1), (1, -1), (1, 0), (1, 1)):
            wanted = cells[rows] + (right << 32) + above
            first = np.searchsorted(ordered, wanted)
            counts = np.searchsorted(ordered, wanted, side="right") - first
            some = np.repeat(rows, counts)
            places = np.arange(len(some)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
            others = order[places]
            if not (right or above):
                once = some < others
                some, others = some[once], others[once]
            apart = np.abs(corners[some] - corners[others])
            yield np.minimum(some, others), np.maximum(some, others), np.maximum(zone.width - apart, 0).prod(axis=1)


def min_distances(
    tiles: Sequence[Tile], splits: Sequence[str] | pa.Array, overlapping: Container[tuple[str, str]] = ()
) -> dict[tuple[str, str], float]:
    """Find the least distance between the tiles of each pair of splits.

    Args:
        tiles: Tiles of one grid, at least one.
        splits: The split of each tile.
        overlapping: Pairs of splits that are known to overlap, each sorted by name.

    Returns:
        Metres by pair of splits: between footprints, in the tiles' CRS, where tiles lie in one CRS or neighbouring
        zones, else between the centres of tiles, along the ellipsoid.
    """
    array = TileArray.of(tiles)
    names, numbers = _numbered(splits)
    pairs = list(combinations(sorted(names), 2))
    distances, unit = {pair: 0 if pair in overlapping else np.inf for pair in pairs}, metres_per_unit(array.grid)
    for both in _zone_pairs(_zones(array), array.grid):
        first_numbers, second_numbers = numbers[both.first.positions], numbers[both.second.positions]
        for pair in pairs:
            for one, other in (pair, pair[::-1])[: 2 - both.is_one]:
                ours = np.flatnonzero(first_numbers == names.index(one))
                others = np.flatnonzero(second_numbers == names.index(other))
                if distances[pair] and len(ours) and len(others):
                    distances[pair] = min(distances[pair], unit * _planar_distance(both, ours, others))
    for pair in pairs:
        if distances[pair] == np.inf:
            members = (array.indices[numbers == names.index(one)] for one in pair)
            distances[pair] = _geodesic_distance(*(_centres(indices, array.grid) for indices in members))
    return {pair: round(distance, 3) for pair, distance in distances.items()}


def _zones(tiles: TileArray) -> list[_Zone]:
    zones, bounds = tiles.indices[:, 0], padded_bounds(tiles.indices, tiles.grid)
    positions_by_zone = {zone: np.flatnonzero(zones == zone) for zone in np.unique(zones).tolist()}
    return [
        _Zone(zone, tiles.grid.crs(zone), positions, bounds[positions]) for zone, positions in positions_by_zone.items()
    ]


def _zone_pairs(zones: Sequence[_Zone], grid: Grid) -> Iterator[_ZonePair]:
    """Each zone with itself, and each pair of neighbouring zones.

    A CRS whose world ends at one x comes once more, with its boxes moved by the width of the world.
    """
    projection = projection_of(grid)
    if projection and projection.seam:
        world = projection.seam[1] - projection.seam[0]
        yield from (_ZonePair(zone, zone, turn=world) for zone in zones)
    yield from (_ZonePair(zone, zone) for zone in zones)
    for first, second in combinations(zones, 2):
        if second.number in adjacent_zones(first.number):
            project = pyproj.Transformer.from_crs(second.crs, first.crs, always_xy=True).transform
            yield _ZonePair(first, second, project)


def _planar_distance(both: _ZonePair, ours: Ints, others: Ints) -> float:
    """The least distance between some boxes of the first zone and some of the second."""
    boxes = both.first.boxes[ours]
    if not both.is_one:  # the boxes of the second zone are dense: only those that may be nearest are made
        points = shapely.points(both.second_middles()[others])
        _, away = shapely.STRtree(boxes).query_nearest(points, return_distance=True, all_matches=False)
        others = others[away <= away.min() + 2 * both.first.width]
    few, many = sorted((boxes, both.second_boxes(others)), key=len)
    _, distances = shapely.STRtree(many).query_nearest(few, return_distance=True, all_matches=False)
    return float(distances.min())


def _geodesic_distance(points: Geometries, others: Geometries) -> float:
    which, nearest = shapely.STRtree(points).query_nearest(others, all_matches=False)
    starts, ends = shapely.get_coordinates(points[nearest]), shapely.get_coordinates(others[which])
    _, _, metres = pyproj.Geod(ellps="WGS84").inv(*starts.T, *ends.T)
    return float(np.min(metres))


def _centres(indices: Ints, grid: Grid) -> Geometries:
    """The middles of tiles (n, 3) in lon/lat."""
    lonlat = np.empty((len(indices), 2))
    west, south, east, north = core_bounds(indices, grid).T
    for zone in np.unique(indices[:, 0]).tolist():
        at = indices[:, 0] == zone
        project = pyproj.Transformer.from_crs(grid.crs(zone), 4326, always_xy=True).transform
        lonlat[at] = np.column_stack(project((west[at] + east[at]) / 2, (south[at] + north[at]) / 2))
    points: Geometries = shapely.points(lonlat)
    return points
