"""The map of the page of `segchips look`: tiles with their states, and squares that stand for several tiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from segchips.arrays import Ints
from segchips.grids.indices import decode_indices, encode_indices
from segchips.grids.tile_array import TileArray, TileKeys
from segchips.reports.ledger import Ledger
from segchips.reports.redaction import redact_message
from segchips.reports.tile_boxes import TileBoxes
from segchips.reports.tile_map import MapView
from segchips.vectors.geometry import Geometries

UNITS = 1000
"""Steps of the page's coordinates along a pixel of the report's map."""
MAX_BLOCKS = 2000
"""The most blocks of tiles."""
_SPAN = 64
"""Tiles along a side of a block, unless there would be too many blocks."""
_MAX_REASONS = 400
"""Distinct reasons that a block of tiles holds."""


@dataclass(frozen=True)
class TileBlocks:
    """Parts of a dataset's tiles, each of neighbours.

    Attributes:
        span: Paths and rows of the grid along a side of a block.
        names: The zone or CRS as in keys, the path and the row of each block, both divided by the span.
        rows: The rows of the tiles of each block.
    """

    span: int
    names: list[str]
    rows: list[Ints]

    @classmethod
    def of(cls, keys: TileKeys) -> "TileBlocks":
        """The blocks of tiles, at least one."""
        tiles, span = TileArray.from_keys(keys), _SPAN
        while len(places := _places(tiles, span)[0]) > MAX_BLOCKS:
            span *= 2
        places, numbers = _places(tiles, span)
        order = np.argsort(numbers, kind="stable")
        field = tiles.grid.system.key_field
        names = [f"{field(zone)}:{path}:{row}" for zone, path, row in places.tolist()]
        return cls(span, names, np.split(order, np.cumsum(np.bincount(numbers))[:-1]))


def _places(tiles: TileArray, span: int) -> tuple[Ints, Ints]:
    """Zone, path and row (m, 3) of the blocks, and the block (n) of each tile."""
    codes = encode_indices(tiles.indices // (1, span, span))
    places, numbers = np.unique(codes, return_inverse=True)
    return decode_indices(places), numbers


def tile_data(
    rows: Ledger, boxes: TileBoxes, view: MapView, states: Sequence[str], splits: Sequence[str]
) -> dict[str, Any]:
    """Keys, corners, states, splits, reasons, valid shares and scenes of some tiles.

    Args:
        rows: Their rows of the ledger.
        boxes: Their boxes.
        view: The map.
        states: The states of the page, in the order of their numbers.
        splits: Its splits, likewise.

    Returns:
        Lists as JSON holds them. `quads` are the steps from each corner to that of the tile before, 8 for each part of
        a tile, which belongs to the tile that `owners` says.
    """
    quads, owners = _quads(boxes.shapes(), view)
    redacted = {reason: redact_message(reason) for reason in rows.column("reason").unique().to_pylist()}
    texts = [redacted[reason] for reason in rows.texts("reason")]
    reasons = {reason: number for number, reason in enumerate(list(dict.fromkeys(texts))[:_MAX_REASONS])}
    return {
        "keys": "\n".join(rows.texts("tile")),
        "owners": owners.tolist(),
        "quads": np.diff(quads, axis=0, prepend=0).ravel().tolist(),
        "state": [states.index(state) for state in rows.texts("state")],
        "split": [splits.index(split) for split in rows.texts("split")],
        "reasons": [*reasons, "see the log of the tile"],
        "reason": [reasons.get(text, len(reasons)) for text in texts],
        "valid": [-1 if share is None else round(share, 3) for share in rows.column("valid").to_pylist()],
        "scenes": rows.column("scenes").to_pylist(),
    }


def _quads(shapes: Geometries, view: MapView) -> tuple[Ints, Ints]:
    """The corners (m, 8) of boxes or their parts in steps of the map, and the box (m) of each."""
    parts, owners = shapely.get_parts(shapes, return_index=True)
    odd = shapely.get_num_coordinates(shapely.get_exterior_ring(parts)) != 5  # cut at 180 degrees
    parts[odd] = shapely.envelope(parts[odd])
    corners = shapely.get_coordinates(shapely.get_exterior_ring(parts)).reshape(len(parts), 5, 2)[:, :4]
    lon = corners[..., 0] + np.where(corners[..., 0] < 0, 360.0, 0.0) if view.wrapped else corners[..., 0]
    quads = np.stack([view.x(lon), view.y(corners[..., 1])], axis=-1) * UNITS
    return np.rint(quads).astype(np.int64).reshape(len(parts), 8), owners


def square_data(boxes: TileBoxes, view: MapView, states: Ints, splits: Ints) -> dict[str, Any]:
    """Squares of the map with the number of their tiles in each state and split.

    Args:
        boxes: The boxes of all tiles (n).
        view: The map.
        states: The number of the state of each tile (n).
        splits: The number of its split (n).

    Returns:
        `side` of the squares in steps; `x` and `y`, their columns and rows (m); `state` and `split`, numbers in threes:
        a square, a state or split, and how many of its tiles are in it.
    """
    squares = view.squares(boxes)
    sizes = np.diff(squares.starts, append=len(boxes))
    of_tile = np.empty(len(boxes), np.int64)
    of_tile[squares.order] = np.repeat(np.arange(len(sizes)), sizes)
    places = np.rint(squares.corners / squares.side).astype(np.int64)
    return {
        "side": squares.side * UNITS,
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
        "state": _counted(of_tile, states),
        "split": _counted(of_tile, splits),
    }


def _counted(squares: Ints, values: Ints) -> list[int]:
    """How many tiles each square has of each value, in threes."""
    several = int(values.max()) + 1
    pairs, counts = np.unique(squares * several + values, return_counts=True)
    threes: list[int] = np.column_stack([*np.divmod(pairs, several), counts]).ravel().tolist()
    return threes
