"""The array types of the library, each declared once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""Numbers of any dtype."""
Pixels = NDArray[Any]
"""Pixel values of any dtype: band, row, column unless a function says otherwise."""
Mask = NDArray[np.bool_]
"""True where the value at the same place is valid or selected."""
MaskedPixels = tuple[Pixels, Mask]
"""Pixels, and a mask of the same shape that is True where they are valid."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
