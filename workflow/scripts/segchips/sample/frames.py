"""TODO: describe."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import rasterio
import shapely
import shapely.affinity
from numpy.random import Generator
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.io import MemoryFile
from rasterio.warp import reproject, transform

from segchips.arrays import Floats, Ints, Mask
from segchips.grids.tile import Bounds, Grid, Tile
from segchips.sample.landscape import BANDS, Landscape, Polygons

PIXEL = 10.0
SOUTH_WEST = Tile(Grid(size=64, pad=2, resolution=PIXEL), zone=33, path=-334, row=8903)
GROUND, NEIGHBOUR, LONLAT = 32633, 32632, 4326
CLEAR, CLOUD, SHADOW, UNSEEN = 0, 1, 2, 255  # values of the cloud mask

MARGIN = 150.0  # metres that the scenes reach beyond the tiles
SWATH = math.radians(14)  # a descending orbit's edge, from north towards east
HAZE = (0.012, 0.006, 0.003, 0.001)
DARKENING = (0.50, 0.56, 0.60, 0.64)
NOISE = 0.0004
STEP = 8  # counts that the sensor tells apart


class Orbit(NamedTuple):
    """Scenes of one orbit: CRS, swath edge as a share of the frame's width, and the side seen: east 1, west -1."""

    epsg: int
    edge: float
    side: int


class Scene(NamedTuple):
    """One acquisition: orbit, time, the share of it that is cloud, and the clouds' height and width in metres."""

    orbit: str
    acquired: datetime
    cloud: float
    height: float
    width: float

    @property
    def day(self) -> int:
        """The day of the year."""
        return self.acquired.timetuple().tm_yday

    @property
    def id(self) -> str:
        """Such as sample_20230705T101029_r022."""
        return f"sample_{self.acquired:%Y%m%dT%H%M%S}_{self.orbit}"


ORBITS = {"r022": Orbit(GROUND, 0.32, 1), "r065": Orbit(NEIGHBOUR, 0.68, -1)}
SCENES = (
    Scene("r065", datetime(2023, 2, 8, 10, 21, 49, tzinfo=UTC), 0.12, 250, 1200),
    Scene("r022", datetime(2023, 2, 15, 10, 11, 29, tzinfo=UTC), 0.02, 250, 900),
    Scene("r022", datetime(2023, 4, 26, 10, 10, 21, tzinfo=UTC), 0.24, 600, 900),
    Scene("r065", datetime(2023, 4, 29, 10, 20, 31, tzinfo=UTC), 0.03, 600, 700),
    Scene("r022", datetime(2023, 6, 5, 10, 10, 31, tzinfo=UTC), 0.10, 800, 700),
    Scene("r065", datetime(2023, 6, 8, 10, 20, 29, tzinfo=UTC), 0.96, 800, 1600),
    Scene("r065", datetime(2023, 6, 28, 10, 20, 31, tzinfo=UTC), 0.10, 800, 800),
    Scene("r022", datetime(2023, 7, 5, 10, 10, 29, tzinfo=UTC), 0.24, 900, 1100),
    Scene("r065", datetime(2023, 8, 7, 10, 20, 29, tzinfo=UTC), 0.34, 800, 900),
    Scene("r022", datetime(2023, 8, 24, 10, 10, 31, tzinfo=UTC), 0.05, 700, 700),
    Scene("r022", datetime(2023, 10, 13, 10, 10, 21, tzinfo=UTC), 0.08, 400, 900),
    Scene("r065", datetime(2023, 10, 16, 10, 20, 21, tzinfo=UTC), 0.02, 400, 700),
)


def project(geometry: Any, source: int, target: int) -> Any:
    """Geometries moved between EPSG codes, with a vertex at least every 2 km."""

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
        """The smallest frame on whole multiples of 10 m that holds the bounds."""
        west, south = (math.floor(value / PIXEL) for value in bounds[:2])
        east, north = (math.ceil(value / PIXEL) for value in bounds[2:])
        return cls(epsg, west * PIXEL, north * PIXEL, east - west, north - south)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def affine(self) -> rasterio.Affine:
        """Pixel to metres."""
        return rasterio.Affine(PIXEL, 0.0, self.west, 0.0, -PIXEL, self.north)

    @property
    def box(self) -> shapely.Polygon:
        """The outline in metres."""
        return shapely.box(self.west, self.north - self.height * PIXEL, self.west + self.width * PIXEL, self.north)

    @property
    def centres(self) -> tuple[Floats, Floats]:
        """Pixel centres in metres east and north of the frame's middle, as a row and a column."""
        x = (np.arange(self.width, dtype="f4") + 0.5 - self.width / 2) * PIXEL
        y = (self.height / 2 - np.arange(self.height, dtype="f4") - 0.5) * PIXEL
        return x[None, :], y[:, None]


@dataclass(frozen=True)
class View:
    """The landscape on one frame: the polygon seen in every pixel, and the texture that multiplies its spectrum."""

    frame: Frame
    polygon: Ints
    texture: Floats


def compute_view(landscape: Landscape, texture: Floats, ground: Frame, frame: Frame) -> View:
    """The ground as one frame sees it."""
    moved = np.ones(frame.shape, "f4")
    reproject(
        texture,
        moved,
        src_transform=ground.affine,
        src_crs=f"EPSG:{ground.epsg}",
        dst_transform=frame.affine,
        dst_crs=f"EPSG:{frame.epsg}",
        resampling=Resampling.bilinear,
    )
    return View(frame, paint(project(landscape.polygons, ground.epsg, frame.epsg), frame), moved)


def paint(polygons: Polygons, frame: Frame) -> Ints:
    """The last polygon over every pixel's centre."""
    shapes = zip(polygons, range(len(polygons)), strict=True)
    return np.asarray(rasterize(shapes, out_shape=frame.shape, transform=frame.affine, dtype="int32"))


def roughness(landscape: Landscape, ground: Frame, rng: Generator) -> Floats:
    """Crowns and stands, mottled soil and furrows along each field, around 1."""
    x, y = ground.centres
    polygon = paint(landscape.polygons, ground)
    across = landscape.across().astype("f4")
    phase = (across[:, 0][polygon] * x + across[:, 1][polygon] * y) * (2 * math.pi / 36)
    fine, coarse, furrow = (landscape.each(name).astype("f4")[polygon] for name in ("fine", "coarse", "furrow"))
    hills = fine * noise(ground.shape, 20, 2, rng) + coarse * noise(ground.shape, 150, 4, rng)
    return np.asarray(1 + hills + furrow * np.sin(phase))


def noise(shape: tuple[int, int], width: float, slope: float, rng: Generator) -> Floats:
    """Periodic random hills `width` metres wide, of zero mean and unit deviation; a lower slope is rougher."""
    y, x = np.fft.fftfreq(shape[0], PIXEL)[:, None], np.fft.rfftfreq(shape[1], PIXEL)[None, :]
    strength = (1 + (x**2 + y**2) * width**2).astype("f4") ** (-slope / 2)
    strength[0, 0] = 0
    hills = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape, "f4")) * strength, shape)
    return np.asarray(hills / hills.std(), dtype="f4")


def swath(scene: Scene, frame: Frame, rng: Generator) -> tuple[shapely.Polygon, Mask]:
    """The part of the frame that the orbit sees: its outline in metres, and the pixels wholly inside."""
    _, share, side = ORBITS[scene.orbit]
    edge = frame.width * PIXEL * (share - 0.5 + rng.uniform(-0.03, 0.03))
    far = (frame.width + frame.height) * PIXEL
    lean = far * math.tan(SWATH)
    near = np.array([(edge - lean, -far), (edge + lean, far)])
    strip = shapely.Polygon([*near, *(near[::-1] + (side * 4 * far, 0))])
    centre = frame.box.centroid
    x, y = frame.centres
    depth = side * ((x - edge) * math.cos(SWATH) - y * math.sin(SWATH))
    outline = shapely.intersection(frame.box, shapely.affinity.translate(strip, centre.x, centre.y))
    return outline, depth > PIXEL * math.sqrt(0.5)


def sun_position(scene: Scene, footprint: shapely.Polygon) -> tuple[float, float]:
    """The sun's azimuth and elevation in degrees."""
    lon, lat = project(footprint.centroid, ORBITS[scene.orbit].epsg, LONLAT).coords[0]
    hours = scene.acquired.hour + scene.acquired.minute / 60 + lon / 15 - 12
    phi, turn = math.radians(lat), math.radians(15 * hours)
    tilt = math.radians(23.44) * math.sin(2 * math.pi * (scene.day + 284) / 365)
    elevation = math.asin(math.sin(phi) * math.sin(tilt) + math.cos(phi) * math.cos(tilt) * math.cos(turn))
    azimuth = math.atan2(math.sin(turn), math.cos(turn) * math.sin(phi) - math.tan(tilt) * math.cos(phi))
    return math.degrees(azimuth) + 180, math.degrees(elevation)


def shadow_offset(height: float, azimuth: float, elevation: float) -> tuple[int, int]:
    """Rows and columns from a cloud to its shadow."""
    length, angle = height / math.tan(math.radians(elevation)) / PIXEL, math.radians(azimuth)
    return round(length * math.cos(angle)), round(-length * math.sin(angle))


def expose(
    scene: Scene, view: View, landscape: Landscape, sky: Floats, shade: Floats, rng: Generator
) -> Iterable[Floats]:
    """Reflectance band by band: ground, shadows, haze, clouds lit from the sun's side, sensor noise."""
    spectra, haze = landscape.reflectance(scene.day), rng.uniform(0.3, 1.2)
    opacity, darkness = (np.clip(field / 0.3, 0, 1) for field in (sky, shade))
    cloud = np.clip(0.5 + 0.25 * np.clip(sky, 0, 1) + sky - np.roll(sky, (-2, -2), axis=(0, 1)), 0.35, 0.95)
    for band in range(len(BANDS)):
        ground = blur(spectra[:, band][view.polygon] * view.texture)
        lit = ground * (1 - DARKENING[band] * darkness) + haze * HAZE[band]
        yield lit + opacity * (cloud - lit) + NOISE * rng.standard_normal(view.frame.shape, "f4")


def blur(image: Floats) -> Floats:
    """The sensor's point spread: a little of each pixel reaches its neighbours."""
    wide = np.pad(image, 1, mode="edge")
    tall = 0.74 * wide[1:-1] + 0.13 * (wide[:-2] + wide[2:])
    return np.asarray(0.74 * tall[:, 1:-1] + 0.13 * (tall[:, :-2] + tall[:, 2:]))


def encode(pixels: Ints, band: str, nodata: int, frame: Frame) -> bytes:
    """One band as a Cloud-Optimized GeoTIFF."""
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
