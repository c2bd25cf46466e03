"""When the sample's scenes are acquired, from which orbit, and under which sun and clouds."""

import math
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import shapely
import shapely.affinity
from numpy.random import Generator

from segchips.arrays import Mask
from segchips.sample.frames import GROUND_EPSG, NEIGHBOUR_EPSG, PIXEL_SIZE, WGS84_EPSG, Frame, project

SWATH_ANGLE = math.radians(14)  # a descending orbit's edge, from north towards east


class Orbit(NamedTuple):
    """An orbit: CRS of its scenes, swath edge as a share of the frame's width, and visible side (1 east, -1 west)."""

    epsg: int
    edge: float
    side: int


class Acquisition(NamedTuple):
    """One acquisition: orbit, time, cloud fraction, and height and width of the clouds in metres."""

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
        """The scene id, such as sample_20230705T101029_r022."""
        return f"sample_{self.acquired:%Y%m%dT%H%M%S}_{self.orbit}"


ORBITS = {"r022": Orbit(GROUND_EPSG, 0.32, 1), "r065": Orbit(NEIGHBOUR_EPSG, 0.68, -1)}
ACQUISITIONS = (
    Acquisition("r065", datetime(2023, 2, 8, 10, 21, 49, tzinfo=UTC), 0.12, 250, 1200),
    Acquisition("r022", datetime(2023, 2, 15, 10, 11, 29, tzinfo=UTC), 0.02, 250, 900),
    Acquisition("r022", datetime(2023, 4, 26, 10, 10, 21, tzinfo=UTC), 0.24, 600, 900),
    Acquisition("r065", datetime(2023, 4, 29, 10, 20, 31, tzinfo=UTC), 0.03, 600, 700),
    Acquisition("r022", datetime(2023, 6, 5, 10, 10, 31, tzinfo=UTC), 0.10, 800, 700),
    Acquisition("r065", datetime(2023, 6, 8, 10, 20, 29, tzinfo=UTC), 0.96, 800, 1600),
    Acquisition("r065", datetime(2023, 6, 28, 10, 20, 31, tzinfo=UTC), 0.10, 800, 800),
    Acquisition("r022", datetime(2023, 7, 5, 10, 10, 29, tzinfo=UTC), 0.24, 900, 1100),
    Acquisition("r065", datetime(2023, 8, 7, 10, 20, 29, tzinfo=UTC), 0.34, 800, 900),
    Acquisition("r022", datetime(2023, 8, 24, 10, 10, 31, tzinfo=UTC), 0.05, 700, 700),
    Acquisition("r022", datetime(2023, 10, 13, 10, 10, 21, tzinfo=UTC), 0.08, 400, 900),
    Acquisition("r065", datetime(2023, 10, 16, 10, 20, 21, tzinfo=UTC), 0.02, 400, 700),
)


def visible_swath(scene: Acquisition, frame: Frame, rng: Generator) -> tuple[shapely.Polygon, Mask]:
    """Returns the visible part of the frame: its outline in metres, and a mask of the pixels entirely inside."""
    _, share, side = ORBITS[scene.orbit]
    edge = frame.width * PIXEL_SIZE * (share - 0.5 + rng.uniform(-0.03, 0.03))
    far = (frame.width + frame.height) * PIXEL_SIZE
    lean = far * math.tan(SWATH_ANGLE)
    near = np.array([(edge - lean, -far), (edge + lean, far)])
    strip = shapely.Polygon([*near, *(near[::-1] + (side * 4 * far, 0))])
    centre = frame.box.centroid
    x, y = frame.centres
    depth = side * ((x - edge) * math.cos(SWATH_ANGLE) - y * math.sin(SWATH_ANGLE))
    outline = shapely.intersection(frame.box, shapely.affinity.translate(strip, centre.x, centre.y))
    return outline, depth > PIXEL_SIZE * math.sqrt(0.5)


def sun_position(scene: Acquisition, footprint: shapely.Polygon) -> tuple[float, float]:
    """Returns the sun's azimuth and elevation in degrees."""
    lon, lat = project(footprint.centroid, ORBITS[scene.orbit].epsg, WGS84_EPSG).coords[0]
    solar_time = scene.acquired.hour + scene.acquired.minute / 60 + lon / 15 - 12
    latitude, hour_angle = math.radians(lat), math.radians(15 * solar_time)
    declination = math.radians(23.44) * math.sin(2 * math.pi * (scene.day + 284) / 365)
    elevation = math.asin(
        math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(declination) * math.cos(hour_angle)
    )
    azimuth = math.atan2(
        math.sin(hour_angle), math.cos(hour_angle) * math.sin(latitude) - math.tan(declination) * math.cos(latitude)
    )
    return math.degrees(azimuth) + 180, math.degrees(elevation)


def shadow_offset(height: float, azimuth: float, elevation: float) -> tuple[int, int]:
    """Returns the rows and columns from a cloud to its shadow; `height` in metres, angles in degrees."""
    length, angle = height / math.tan(math.radians(elevation)) / PIXEL_SIZE, math.radians(azimuth)
    return round(length * math.cos(angle)), round(-length * math.sin(angle))
