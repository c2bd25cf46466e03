"""Small vector layers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import shapely


def write_vectors(
    path: Path, geometries: Sequence[Any], crs: str | None, layer: str | None = None, **attributes: Sequence[Any]
) -> str:
    """Write shapely geometries with attributes, or append them as another layer where the file exists."""
    wkb = np.array([shapely.to_wkb(geometry) for geometry in geometries], dtype=object)
    fields = [
        np.array(values, dtype=object if isinstance(values[0], str | None) else None) for values in attributes.values()
    ]
    pyogrio.raw.write(
        str(path), wkb, fields, list(attributes), geometry_type="Unknown", crs=crs, layer=layer, append=path.exists()
    )
    return str(path)
