"""Squares of neighbouring tiles: they need the same parts of scenes, so they follow each other in the same process."""

import re

_SIDE = 4
"""Tiles along a square."""
_NAME = re.compile(r"(.*)#(-?\d+)#(-?\d+)(?:\.tif)?")


def square_of(name: str) -> tuple[str, int, int]:
    """Return the square that a tile is in, as a hashable value.

    Args:
        name: The stem of the tile's chip files, or any path that ends with it or with the name of such a file.
    """
    grid, column, row = _parts(name)
    return grid, column // _SIDE, row // _SIDE


def order_of(path: str) -> tuple[str | int, ...]:
    """Return the place of a file among others: chips of a folder square by square, others by name."""
    if not _NAME.fullmatch(path):
        return (path,)
    grid, column, row = _parts(path)
    large, small = _SIDE * _SIDE, _SIDE
    return grid, column // large, row // large, column // small, row // small, column, row


def _parts(name: str) -> tuple[str, int, int]:
    match = _NAME.fullmatch(name)
    if not match:
        raise ValueError(f"{name} is no name of a chip")
    return match[1], int(match[2]), int(match[3])
