"""The versions of the software that made a dataset."""

import platform
from importlib import metadata

import numpy as np
import rasterio


def software_versions() -> dict[str, str]:
    """Versions by name: segchips ("source" where it is not installed), Python, and the libraries that shape results."""
    try:
        own = metadata.version("segchips")
    except metadata.PackageNotFoundError:
        own = "source"
    return {
        "segchips": own,
        "Python": platform.python_version(),
        "rasterio": rasterio.__version__,
        "GDAL": str(rasterio.__gdal_version__),
        "NumPy": np.__version__,
    }
