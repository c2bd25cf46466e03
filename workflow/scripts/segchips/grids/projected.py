"""Projected CRSs: which can carry a grid, and the ground of boxes in them as lon/lat polygons."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pyproj
import shapely
from pyproj.exceptions import CRSError, ProjError

from segchips.arrays import Floats, Mask
from segchips.errors import InputError
from segchips.grids.systems import AUTHORITIES
from segchips.vectors.geometry import Geometries

MAX_BEYOND = 10.0
"""Degrees beyond a CRS's area of use up to which areas are cut into tiles."""
SEAM_GAP = 1e-9
"""Degrees that geometries keep from the seam of a projection, where its coordinates jump."""
_ADVICE = (
    "take a projected CRS such as EPSG:6933 (equal area, all lands), EPSG:3035 (Europe) or a national one, or 'dltile'"
)
_MERIDIANS = (
    "Longitude of natural origin",
    "Longitude of false origin",
    "Longitude of projection centre",
    "Longitude of origin",
)
_POLE_REACH = 1e-4
"""Degrees from a pole within which a ring's nearest vertex stands for the pole, where all meridians meet."""
_POLE_STEPS, _POLE_SURROUNDINGS = 64, 8.0
"""Chords, at least, that stand for each side of a box near a pole, and how many of its sides away that is."""


def projected_code(text: str) -> str:
    """Returns the code of a projected CRS, such as `EPSG:2056`, which tile keys hold.

    Args:
        text: A code, or any text that PROJ reads and that equals a CRS with a code.

    Raises:
        InputError: PROJ does not know the CRS, it is not projected, is not of the earth, or has no code.
    """
    shown = text if len(text) < 60 else f"{text[:57]}..."
    try:
        crs = pyproj.CRS(text)
    except CRSError as error:
        raise InputError(
            f"'{shown}' is unknown to PROJ; give the code of a projected CRS, such as EPSG:3035 or ESRI:102008"
        ) from error
    if crs.is_geographic or crs.is_geocentric:
        raise InputError(f"'{shown}' ({crs.name}) is geographic: its units are degrees, not lengths; {_ADVICE}")
    if not crs.is_projected or crs.is_compound:
        raise InputError(f"'{shown}' ({crs.name}) is not a projected CRS in two dimensions; {_ADVICE}")
    if any(axis.direction == "west" for axis in crs.axis_info):
        raise InputError(f"'{shown}' ({crs.name}) counts to the west, which would turn chips; {_ADVICE}")
    code = _code(crs)
    if code is None:
        raise InputError(
            f"'{shown}' ({crs.name}) has no EPSG or ESRI code, which tile keys need to tell the CRS; {_ADVICE}"
        )
    try:
        pyproj.Transformer.from_crs(code, 4326, always_xy=True)
    except ProjError as error:
        raise InputError(f"'{shown}' ({crs.name}) is not a CRS of the earth") from error
    return code


def _code(crs: pyproj.CRS) -> str | None:
    found = [crs.to_authority(authority) for authority in AUTHORITIES]
    for authority, number in filter(None, [crs.to_authority(min_confidence=100), *found]):
        code = f"{authority}:{number}"
        if authority in AUTHORITIES and number.isdecimal() and crs.equals(pyproj.CRS(code), ignore_axis_order=True):
            return code
    return None


@dataclass(frozen=True)
class ProjectedCrs:
    """A projected CRS and its conversion to longitudes and latitudes.

    Attributes:
        code: The CRS, such as `EPSG:2056`.
    """

    code: str

    @cached_property
    def crs(self) -> pyproj.CRS:
        """The CRS; InputError where PROJ does not know it."""
        try:
            return pyproj.CRS(self.code)
        except CRSError as error:
            raise InputError(f"{self.code} is unknown to PROJ") from error

    @cached_property
    def metres_per_unit(self) -> float:
        """Metres in a unit of the coordinates."""
        return float(self.crs.axis_info[0].unit_conversion_factor)

    @property
    def unit(self) -> str:
        """The unit of the coordinates, such as `metre` or `US survey foot`."""
        return str(self.crs.axis_info[0].unit_name)

    @cached_property
    def central_meridian(self) -> float:
        """The longitude opposite to the seam, where coordinates jump."""
        operation = self.crs.coordinate_operation
        values = {parameter.name: parameter for parameter in (operation.params if operation else ())}
        found = next((values[name] for name in _MERIDIANS if name in values), None)
        return 0.0 if found is None else float(np.degrees(float(found.value) * found.unit_conversion_factor))

    @cached_property
    def use_bounds(self) -> tuple[float, float, float, float] | None:
        """West, south, east and north in degrees of the area of use, east of 180 where it crosses the antimeridian."""
        area = self.crs.area_of_use
        if area is None:
            return None
        west, south, east, north = area.bounds
        return west, south, east + 360 if east < west else east, north

    def to_lonlat(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Converts coordinates (of any shape) to degrees; those that do not exist become infinite."""
        lon, lat = self._inverse.transform(x, y)
        return np.asarray(lon), np.asarray(lat)

    def from_lonlat(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Converts degrees (of any shape) to coordinates; those that do not exist become infinite."""
        x, y = self._forward.transform(lon, lat)
        return np.asarray(x), np.asarray(y)

    @cached_property
    def _inverse(self) -> pyproj.Transformer:
        return pyproj.Transformer.from_crs(self.crs, 4326, always_xy=True)

    @cached_property
    def _forward(self) -> pyproj.Transformer:
        return pyproj.Transformer.from_crs(4326, self.crs, always_xy=True)

    @cached_property
    def seam(self) -> tuple[float, float] | None:
        """West and east end of the world in a cylindrical projection; None where the seam is not a line of one x."""
        south, north = (self.use_bounds or (0, -80, 0, 80))[1::2]
        lat = np.linspace(south, north, 9)
        (west, _), (east, _) = (
            self.from_lonlat(np.full(9, self.central_meridian + side * (180 - SEAM_GAP)), lat) for side in (-1, 1)
        )
        world = float(np.median(east - west))
        straight = np.isfinite([west, east]).all() and max(np.ptp(west), np.ptp(east)) < 1e-6 * abs(world)
        return (float(west[0]), float(east[0])) if straight and world > 0 else None

    def beyond_use(self, lon: Floats, lat: Floats) -> Mask:
        """Returns which points (n), in degrees, lie more than `MAX_BEYOND` beyond the area of use, or do not exist."""
        missing = ~(np.isfinite(lon) & np.isfinite(lat))
        if self.use_bounds is None:
            return missing
        west, south, east, north = self.use_bounds
        with np.errstate(invalid="ignore"):
            across = (lon - west + MAX_BEYOND) % 360 > east - west + 2 * MAX_BEYOND
        return np.asarray(missing | across | (lat < south - MAX_BEYOND) | (lat > north + MAX_BEYOND))

    def outlines(self, bounds: Floats, steps: int) -> Geometries:
        """Converts boxes to lon/lat polygons.

        Args:
            bounds: West, south, east and north (n, 4) in units of the CRS.
            steps: Chords that stand for each side.

        Returns:
            Polygons (n), whose longitudes may exceed 180. What lies beyond the world is left out.
        """
        near_pole = np.logical_or(*self.over_poles(bounds, _POLE_SURROUNDINGS))
        if near_pole.any() and steps < _POLE_STEPS:
            result = np.empty(len(bounds), dtype=object)
            result[near_pole] = self.outlines(bounds[near_pole], _POLE_STEPS)
            result[~near_pole] = self.outlines(bounds[~near_pole], steps)
            return result
        lon, lat = self._ring(bounds, steps)
        whole = np.isfinite(lon).all(axis=1) & np.isfinite(lat).all(axis=1) & ~np.logical_or(*self.over_poles(bounds))
        lon[whole] = np.unwrap(lon[whole], period=360, axis=1)
        result = np.full(len(bounds), shapely.Polygon(), dtype=object)
        result[whole] = shapely.polygons(np.stack([lon[whole], lat[whole]], axis=-1))
        for index in np.flatnonzero(~whole):
            # The side is shortened by a millionth, so that a pole on it lies beside it.
            west, south, east, north = bounds[index]
            inner = bounds[[index]] + (east - west) * 1e-6 * np.array([1, 1, -1, -1])
            ring_lon, ring_lat = self._ring(inner, steps)
            result[index] = _polygon_of_ring(ring_lon[0], ring_lat[0])
        return result

    def _ring(self, bounds: Floats, steps: int) -> tuple[Floats, Floats]:
        ramp, ones, zeros = np.arange(steps) / steps, np.ones(steps), np.zeros(steps)
        across, up = np.concatenate([ramp, ones, 1 - ramp, zeros]), np.concatenate([zeros, ramp, ones, 1 - ramp])
        west, south, east, north = (side[:, None] for side in bounds.T)
        return self.to_lonlat(west * (1 - across) + east * across, south * (1 - up) + north * up)

    def over_poles(self, bounds: Floats, reach: float = 1e-6) -> tuple[Mask, Mask]:
        """Returns which boxes (n, 4) hold the south pole, and which the north pole, inside or on a side.

        Args:
            bounds: West, south, east and north in units of the CRS.
            reach: By how much boxes are enlarged on each side, as a part of their width.
        """
        west, south, east, north = bounds.T
        margin = (east - west) * reach
        masks = []
        for x, y in self._poles:
            across, up = (west - margin <= x) & (x <= east + margin), (south - margin <= y) & (y <= north + margin)
            masks.append(np.asarray(across & up))
        return masks[0], masks[1]

    @cached_property
    def _poles(self) -> list[tuple[float, float]]:
        """The south and the north pole; infinite where the projection does not have them."""
        x, y = self.from_lonlat(np.full(2, self.central_meridian), np.array([-90.0, 90.0]))
        return list(zip(x.tolist(), y.tolist(), strict=True))


def _polygon_of_ring(lon: Floats, lat: Floats) -> Any:
    """Returns the polygon in a ring around or beside a pole, or that partly lies beyond the world."""
    finite = np.isfinite(lon) & np.isfinite(lat)
    lon, lat = np.unwrap(lon[finite], period=360), lat[finite]
    if len(lon) < 3:
        return shapely.Polygon()
    turn = lon[0] + round((lon[-1] - lon[0]) / 360) * 360
    pole = np.copysign(90.0, lat.mean())
    if turn != lon[0]:
        lon, lat = np.append(lon, [turn, turn, lon[0]]), np.append(lat, [lat[0], pole, pole])
    elif np.abs(lat).max() > 90 - _POLE_REACH:
        at = int(np.argmax(np.abs(lat)))
        ends = [lon[at - 1], lon[(at + 1) % len(lon)]]
        lon = np.concatenate([lon[:at], ends, lon[at + 1 :]])
        lat = np.concatenate([lat[:at], [pole, pole], lat[at + 1 :]])
    elif np.abs(np.diff(lon)).max() > 90:
        at = int(np.argmax(np.abs(np.diff(lon)))) + 1
        lon = np.concatenate([lon[:at], lon[at - 1 : at + 1], lon[at:]])
        lat = np.concatenate([lat[:at], [pole, pole], lat[at:]])
    return shapely.make_valid(shapely.Polygon(np.column_stack([lon, lat])), method="structure", keep_collapsed=False)


@lru_cache(64)
def projected_crs(code: str) -> ProjectedCrs:
    """Returns the CRS of a code, cached."""
    return ProjectedCrs(code)
