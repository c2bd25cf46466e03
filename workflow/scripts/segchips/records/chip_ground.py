"""The ground that chips made elsewhere cover, and which of them share it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from segchips.arrays import Array
from segchips.grids.tile import Tile
from segchips.tiles.blocks import DEGREE

_MIN_PIXELS = 1e-3
"""Overlaps of less than this share of a pixel are rounding errors."""


@dataclass(frozen=True)
class Ground:
    """Where a chip lies.

    Attributes:
        crs: The CRS.
        box: West, south, east and north, in units of the CRS.
        pixel_area: The area of a pixel, in squared units of the CRS.
        geotransform: The geotransform, as GDAL orders it.
    """

    crs: str
    box: tuple[float, float, float, float]
    pixel_area: float
    geotransform: tuple[float, ...]

    @classmethod
    def of(cls, crs: str, transform: Sequence[float], height: int, width: int) -> "Ground | None":
        """The ground of a chip by its CRS and geotransform; None without a CRS."""
        if not crs:
            return None
        west, across, skew_x, north, skew_y, down = transform
        corners = [
            (west + column * across + row * skew_x, north + column * skew_y + row * down)
            for column, row in product((0, width), (0, height))
        ]
        x, y = zip(*corners, strict=True)
        area = abs(across * down - skew_x * skew_y)
        return cls(crs, (min(x), min(y), max(x), max(y)), area, tuple(transform))


@dataclass(frozen=True)
class SharedGround:
    """Two chips of different splits that share ground.

    Attributes:
        first: The name of the first chip.
        second: The name of the second chip.
        splits: The splits of both.
        pixels: The shared area in pixels of the first chip.
    """

    first: str
    second: str
    splits: tuple[str, str]
    pixels: float


def chip_ground(name: str, identifier: str, height: int, width: int) -> Ground | None:
    """The ground of a chip by the identifier of its record; None if it has no location.

    Args:
        name: The name of the chip.
        identifier: A tile key, or `name|geotransform|crs`.
        height: Rows.
        width: Columns.
    """
    if "|" not in identifier:
        tile = Tile.from_name(name)
        return Ground.of(tile.crs, tile.geotransform, height, width)
    _, transform, crs = identifier.rsplit("|", 2)
    return Ground.of(crs, json.loads(transform), height, width)


def find_shared_ground(grounds: Mapping[str, Ground], splits: Mapping[str, str]) -> list[SharedGround]:
    """Find all pairs of chips of different splits that share ground.

    Args:
        grounds: The ground of chips.
        splits: The split of each of them.

    Returns:
        The pairs, sorted by name. Areas are those of the chips' bounds in the CRS that most chips have.
    """
    if len({splits[name] for name in grounds}) < 2:
        return []
    names = list(grounds)
    boxes, areas = _boxes_in_metres(grounds)
    of_chips = [splits[name] for name in names]
    shared = []
    for one, other, pixels in _close_pairs(boxes, areas, of_chips, 0):
        first, second = sorted((names[one], names[other]))
        shared.append(SharedGround(first, second, (splits[first], splits[second]), round(pixels, 3)))
    return sorted(shared, key=lambda pair: (pair.first, pair.second))


def close_chips(grounds: Mapping[str, Ground], splits: Mapping[str, str], guard: float) -> Iterator[tuple[str, str]]:
    """Yield pairs of chips of different splits that share ground or are nearer than the guard (metres)."""
    if grounds:
        names = list(grounds)
        for one, other, _ in _close_pairs(*_boxes_in_metres(grounds), [splits[name] for name in names], guard):
            yield names[one], names[other]


def describe_shared_ground(shared: Sequence[SharedGround]) -> str:
    """One sentence about chips of different splits that share ground."""
    first = shared[0]
    return (
        f"{len(shared)} pairs of chips of different splits overlap, such as {first.first} ({first.splits[0]}) and "
        f"{first.second} ({first.splits[1]}), which share {first.pixels:g} pixels; splitting.by: block separates splits"
    )


def median_side(grounds: Mapping[str, Ground]) -> float:
    """The median width of the chips in metres."""
    boxes, _ = _boxes_in_metres(grounds)
    return float(np.median(boxes[:, 2] - boxes[:, 0]))


def centres(grounds: Mapping[str, Ground]) -> tuple[Array, Array]:
    """Longitudes (n) and latitudes (n) of the chips' centres in degrees."""
    from rasterio.warp import transform

    centres = np.empty((len(grounds), 2))
    crs = np.array([ground.crs for ground in grounds.values()], dtype=object)
    boxes = np.array([ground.box for ground in grounds.values()])
    for one in set(crs.tolist()):
        x, y = ((boxes[crs == one, axis] + boxes[crs == one, axis + 2]) / 2 for axis in (0, 1))
        centres[crs == one] = np.column_stack(transform(one, "EPSG:4326", x, y))
    return centres[:, 0], centres[:, 1]


def _boxes_in_metres(grounds: Mapping[str, Ground]) -> tuple[Array, Array]:
    """The boxes (n, 4) in the CRS that most chips have, in metres, and the area of a pixel of each (n) in it."""
    from rasterio.crs import CRS
    from rasterio.warp import transform_bounds

    crs = [ground.crs for ground in grounds.values()]
    common = max(sorted(set(crs)), key=crs.count)
    boxes = np.array(
        [
            ground.box if ground.crs == common else transform_bounds(ground.crs, common, *ground.box)
            for ground in grounds.values()
        ]
    )
    own = np.array([ground.box for ground in grounds.values()])
    areas = np.array([ground.pixel_area for ground in grounds.values()]) * _area(boxes) / _area(own)
    system = CRS.from_user_input(common)
    if system.is_geographic:
        scale = DEGREE * np.array([np.cos(np.radians(boxes[:, 1::2].mean())), 1.0])
    else:
        scale = np.full(2, system.linear_units_factor[1])
    return boxes * np.tile(scale, 2), areas * scale.prod()


def _area(boxes: Array) -> Array:
    return np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), np.finfo(float).tiny)


def _close_pairs(boxes: Array, areas: Array, splits: Sequence[str], guard: float) -> Iterator[tuple[int, int, float]]:
    """Positions of chips of different splits that share ground or are nearer than the guard, and the shared pixels."""
    cell = float(np.max(boxes[:, 2:] - boxes[:, :2])) + guard
    cells: dict[tuple[int, int], list[int]] = {}
    for position, (column, row) in enumerate(np.floor(boxes[:, :2] / cell).astype(np.int64).tolist()):
        cells.setdefault((column, row), []).append(position)
    numbers = np.array([sorted(set(splits)).index(split) for split in splits])
    for (column, row), members in cells.items():
        near = [
            other
            for right, up in product((-1, 0, 1), (-1, 0, 1))
            for other in cells.get((column + right, row + up), ())
        ]
        others = np.array(near)
        for one in members:
            chosen = others[(others > one) & (numbers[others] != numbers[one])]
            low, high = np.maximum(boxes[one, :2], boxes[chosen, :2]), np.minimum(boxes[one, 2:], boxes[chosen, 2:])
            sides = high - low
            pixels = np.clip(sides, 0, None).prod(axis=1) / areas[one]
            gap = np.hypot(*np.clip(-sides, 0, None).T)
            close = (pixels > _MIN_PIXELS) | (gap < guard)
            yield from (
                (one, int(other), float(size)) for other, size in zip(chosen[close], pixels[close], strict=True)
            )
