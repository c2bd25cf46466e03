"""A class raster over real ground in several CRSs: the pixel under each centre, found one by one by PROJ."""

from pathlib import Path

import geopandas
import numpy as np
import pyproj
import pytest
import rasterio
from pydantic import TypeAdapter
from rasterio.features import rasterize
from rasterio.transform import from_origin

from segchips.config.labels import LabelsConfig
from segchips.config.tiles import TilesConfig
from segchips.labels.features import LabelFeatures
from segchips.tiles.area import find_tiles
from segchips.vectors.layers import read_layer

UNKNOWN = 254


def write_class_raster(layer: geopandas.GeoDataFrame, crs: str, step: float, path: Path) -> None:
    """Rasterise the layer's classes in a CRS, where it does not reach 0, which is nodata."""
    there = layer.to_crs(crs)
    west, south, east, north = there.total_bounds
    shape = int((north - south) / step), int((east - west) / step)
    transform = from_origin(west, north, step, step)
    pixels = rasterize(
        zip(there.geometry, there["LULC_ID"] + 1, strict=True), shape, transform=transform, dtype="uint8"
    )
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": crs, "transform": transform, "nodata": 0}
    with rasterio.open(path, "w", height=shape[0], width=shape[1], **profile) as file:
        file.write(pixels, 1)


@pytest.mark.parametrize(
    ("crs", "step"), [("EPSG:32633", 10), ("EPSG:4326", 1e-4), ("EPSG:3035", 10), ("EPSG:3857", 14)]
)
def test_each_pixel_is_the_one_under_its_centre(real_data: Path, tmp_path: Path, crs: str, step: float) -> None:
    path = tmp_path / "landuse.tif"
    write_class_raster(geopandas.read_file(real_data / "labels.gpkg"), crs, step, path)
    labels = TypeAdapter(LabelsConfig).validate_python({"path": str(path), "unknown": UNKNOWN})
    features = LabelFeatures(labels)
    tiles = find_tiles(TilesConfig(32, 2, 10.0, str(real_data / "aoi.gpkg")), [read_layer(str(real_data / "aoi.gpkg"))])
    with rasterio.open(path) as source:
        pixels, transform = source.read(1), source.transform
    seen = set()
    for tile in tiles[:: len(tiles) // 4]:
        project = pyproj.Transformer.from_crs(tile.crs, crs, always_xy=True).transform
        west, metres, _, north, _, _ = tile.geotransform
        expected = np.full((32, 32), UNKNOWN)
        for row, column in np.ndindex(32, 32):
            x, y = project(west + (column + 0.5) * metres, north - (row + 0.5) * metres)
            left, top = (int(np.floor(place)) for place in ~transform @ (x, y))
            if 0 <= top < pixels.shape[0] and 0 <= left < pixels.shape[1] and pixels[top, left]:
                expected[row, column] = pixels[top, left]
        np.testing.assert_array_equal(features.burn(tile, []), expected)
        seen |= set(np.unique(expected).tolist())
    assert len(seen - {UNKNOWN}) > 2
