"""The rasters of the sample's scenes: extent, CRS, and encoding as GeoTIFF."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
import shapely
import shapely.affinity
from rasterio.io import MemoryFile
from rasterio.warp import transform

from segchips.arrays import Floats, Ints
from segchips.grids.tile import Bounds, Grid, Tile

PIXEL_SIZE = 10.0
SOUTH_WEST_TILE = Tile(Grid(size=64, pad=2, resolution=PIXEL_SIZE), zone=33, path=-334, row=8903)
GROUND_EPSG, NEIGHBOUR_EPSG, WGS84_EPSG = 32633, 32632, 4326
CLEAR, CLOUD, SHADOW, OUTSIDE_SWATH = 0, 1, 2, 255  # values of the cloud mask

MARGIN = 150.0  # metres by which the scenes extend beyond the tiles
COUNT_STEP = 8  # difference between two stored values that the sensor distinguishes


def project(geometry: Any, source: int, target: int) -> Any:
    """Transforms geometries between EPSG codes, with a vertex at least every 2 km."""

    def move(xy: Floats) -> Floats:
        return np.column_stack(transform(f"EPSG:{source}", f"EPSG:{target}", xy[:, 0], xy[:, 1]))

    return shapely.transform(shapely.segmentize(geometry, 2000), move)


@dataclass(frozen=True)
class Frame:
    """A north-up raster of 10 m pixels; `west` and `north` in metres."""

    epsg: int
    west: float
    north: float
    width: int
    height: int

    @classmethod
    def around(cls, epsg: int, bounds: Bounds) -> "Frame":
        """Returns the smallest frame on multiples of 10 m that contains the bounds."""
        west, south = (math.floor(value / PIXEL_SIZE) for value in bounds[:2])
        east, north = (math.ceil(value / PIXEL_SIZE) for value in bounds[2:])
        return cls(epsg, west * PIXEL_SIZE, north * PIXEL_SIZE, east - west, north - south)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def affine(self) -> rasterio.Affine:
        """The geotransform."""
        return rasterio.Affine(PIXEL_SIZE, 0.0, self.west, 0.0, -PIXEL_SIZE, self.north)

    @property
    def box(self) -> shapely.Polygon:
        """The outline in metres."""
        return shapely.box(
            self.west, self.north - self.height * PIXEL_SIZE, self.west + self.width * PIXEL_SIZE, self.north
        )

    @property
    def centres(self) -> tuple[Floats, Floats]:
        """Pixel centres in metres east and north of the frame's middle, as a row and a column."""
        x = (np.arange(self.width, dtype="f4") + 0.5 - self.width / 2) * PIXEL_SIZE
        y = (self.height / 2 - np.arange(self.height, dtype="f4") - 0.5) * PIXEL_SIZE
        return x[None, :], y[:, None]


def encode_cog(pixels: Ints, band: str, nodata: int, frame: Frame) -> bytes:
    """Returns one band as the bytes of a Cloud-Optimized GeoTIFF."""
    profile = {
        "driver": "COG",
        "width": frame.width,
        "height": frame.height,
        "count": 1,
        "dtype": pixels.dtype,
        "crs": f"EPSG:{frame.epsg}",
        "transform": frame.affine,
        "nodata": nodata,
        "compress": "DEFLATE",
        "level": 4,
        "predictor": "YES",
        "num_threads": "ALL_CPUS",
        "blocksize": 512,
        "overview_resampling": "nearest",
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(pixels, 1)
            dataset.set_band_description(1, band)
        return bytes(memory.read())
