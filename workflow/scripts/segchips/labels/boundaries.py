"""Boundaries of objects as a class of their own."""

import numpy as np
import numpy.typing as npt

from segchips.arrays import Mask

MARGIN = 1
"""Pixels around a tile that tell whether an object goes on there."""


def find_boundaries(objects: npt.NDArray[np.uint32]) -> Mask:
    """Find the pixels of objects that have another object, or none, on one of their four sides.

    Args:
        objects: The number of the object at each pixel, row x column, 0 where there is none, with a margin of `MARGIN`.

    Returns:
        Booleans, row x column, without the margin.
    """
    inner = objects[MARGIN:-MARGIN, MARGIN:-MARGIN]
    sides = objects[:-2, 1:-1], objects[2:, 1:-1], objects[1:-1, :-2], objects[1:-1, 2:]
    different = np.logical_or.reduce([side != inner for side in sides])
    found: Mask = (inner > 0) & different
    return found
