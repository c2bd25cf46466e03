"""The soak's inputs: scenes of the sample, heights and a class raster; and a config with every kind of layer."""

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
from rasterio.features import rasterize

from segchips.sample.sample import write_sample
from support.projects import sample_config
from support.rasters import write_raster

STEP, WEST, SOUTH = 10, 240.0, 240.0
"""Metres of a pixel of the rasters, and how far they lie within the area's western and southern edge."""

TWO = [["2023-02-01", "2023-02-28"], ["2023-06-01", "2023-06-30"]]
THREE = [*TWO, ["2023-08-01", "2023-08-31"]]
"""Periods of a time series."""
LABELS = "resources/sample/labels.gpkg"
CLASSES = {"water": 1, "forest": 2, "field": 3, "built": 4, "road": 5}
LAYERS: dict[str, Any] = {
    "s2": {"periods": TWO},
    "mean": {"composite": "mean", "resolution": 20},
    "dem": {"source": "files", "path": "resources/dem", "products": [{"id": "dem", "bands": ["1"]}], "optional": True},
}
TARGETS: dict[str, Any] = {
    "cover": {"path": LABELS, "attribute": "class", "classes": CLASSES, "unknown": 254},
    "landuse": {"path": "resources/landuse/*.tif", "classes": {"1-4": 1, 5: 2}, "resampling": "mode", "unknown": 254},
    "height": {"path": "resources/dem/*.tif", "kind": "continuous", "resampling": "average"},
    "objects": {"path": LABELS, "kind": "instances"},
}


def write_ground(folder: Path) -> None:
    """Writes the sample, two neighbouring rasters of heights, and two of classes, into `resources`."""
    write_sample(folder / "resources/sample", columns=5, rows=3)
    features = geopandas.read_file(folder / LABELS).to_crs(32633)
    west, south, east, north = features.total_bounds
    height, width = int((north - south) / STEP) - 40, int((east - west) / STEP) - 40
    transform = rasterio.transform.from_origin(west + WEST, north, STEP, STEP)
    burned = zip(features.geometry, features["class"].map(CLASSES), strict=True)
    classes = rasterize(burned, (height, width), fill=0, transform=transform, dtype="uint8")
    heights = np.add.outer(np.arange(height), np.sin(np.arange(width))).astype("float32")
    for name, left, right in (("a", 0, width // 2), ("b", width // 2, width)):
        part = transform @ rasterio.Affine.translation(left, 0)
        for kind, data, nodata in (("dem", heights, -1), ("landuse", classes, 0)):
            write_raster(folder / f"resources/{kind}/{name}.tif", data[:, left:right], part, "EPSG:32633", nodata)


def starting_config(catalogue: str) -> dict[str, Any]:
    """The sample in portions, with layers of all kinds whose scenes the catalogue has, and four targets."""
    config = sample_config() | {"tiles_per_job": 4}
    defaults = config["defaults"]
    defaults["imagery"] |= {"catalog": catalogue, "patience": 20, "layers": LAYERS}
    defaults["imagery"]["products"] = [{"id": "sample-l2a", "bands": ["B04", "B08"]}]
    defaults["labels"] = {"targets": TARGETS}
    return config
