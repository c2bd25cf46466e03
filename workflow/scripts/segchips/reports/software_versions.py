"""TODO: describe."""

import platform
from importlib import metadata

import numpy as np
import rasterio

# Where the dataset comes from.


def software_versions() -> dict[str, str]:
    """The versions of what made the page."""
    try:
        own = metadata.version("segchips")
    except metadata.PackageNotFoundError:
        own = "source"
    own_and_python = {"segchips": own, "Python": platform.python_version()}
    return own_and_python | {
        "rasterio": rasterio.__version__,
        "GDAL": str(rasterio.__gdal_version__),
        "NumPy": np.__version__,
    }
