"""Outlines of rasters as `segchips catalog` writes them: across 180 degrees, around poles, and off the earth."""

import numpy as np
import pyproj
import pystac
import pytest
import rasterio
import shapely
from rasterio.transform import Affine, from_origin

from segchips.commands.raster_catalogue import write_catalogue
from segchips.errors import InputError
from support.rasters import write_raster

SINUSOIDAL = "+proj=sinu +R=6371007.181"
MODIS_TILE = 1111950.519667


def outline(folder, transform, crs, shape=(30, 30)):
    write_raster(folder / "in" / "a_20230630.tif", np.ones(shape, "uint8"), transform, crs)
    (item,) = write_catalogue(folder / "in", folder / "out" / "catalog.json", "p")
    pystac.Item.from_dict(item.to_dict())
    geometry = shapely.geometry.shape(item.geometry)
    assert geometry.is_valid and list(geometry.bounds) == item.bbox
    return geometry


@pytest.mark.parametrize(
    ("transform", "crs"),
    [
        (from_origin(180400, 8118150, 10, 10), "EPSG:32701"),
        (from_origin(820000, 8118150, 10, 10), "EPSG:32760"),
        (from_origin(179.99, -17, 0.001, 0.001), "EPSG:4326"),
        (from_origin(-180.01, -17, 0.001, 0.001), "EPSG:4326"),
        (from_origin(539.99, -17, 0.001, 0.001), "EPSG:4326"),
    ],
)
def test_outlines_across_180_degrees_are_cut_there(tmp_path, transform, crs):
    parts = shapely.get_parts(outline(tmp_path, transform, crs))
    assert sorted(part.centroid.x > 0 for part in parts) == [False, True] or crs == "EPSG:32760"
    assert all(part.bounds[2] - part.bounds[0] < 0.1 for part in parts)


def test_outlines_in_longitudes_from_0_to_360(tmp_path):
    west, south, east, north = outline(tmp_path, from_origin(344.99, 48.77, 0.001, 0.001), "EPSG:4326").bounds
    assert np.allclose((west, south, east, north), (-15.01, 48.74, -14.98, 48.77))


@pytest.mark.parametrize(("crs", "sign"), [("EPSG:3031", -1), ("EPSG:3413", 1)])
def test_outlines_around_a_pole_hold_it(tmp_path, crs, sign):
    geometry = outline(tmp_path, Affine(10000, 0, -150000, 0, -10000, 150000), crs)
    for lon in range(-179, 180, 7):
        assert geometry.covers(shapely.Point(lon, sign * 89.9))
        assert not geometry.covers(shapely.Point(lon, sign * 87.0))


@pytest.mark.parametrize(
    ("transform", "crs"),
    [
        (from_origin(-2400000, 2500000, 150000, 90000), "EPSG:3338"),
        (from_origin(-9000000, 9000000, 600000, 600000), "EPSG:6931"),
        (Affine(60000, 20000, -900000, 20000, -60000, 900000), "EPSG:3031"),
        (from_origin(1700000, 4200000, 15000, 15000), "EPSG:3460"),
        (from_origin(-20037508.34, 20037508.34, 1335833.9, 1335833.9), "EPSG:3857"),
        (from_origin(20000000, 1000, 10000, 10000), "EPSG:3857"),
        (from_origin(-20015109.354 + 34 * MODIS_TILE, 10007554.677 - 5 * MODIS_TILE, 37065, 37065), SINUSOIDAL),
        (from_origin(-5500000, 5500000, 366667, 366667), "+proj=geos +h=35785831 +lon_0=140 +ellps=WGS84"),
    ],
)
def test_outlines_hold_every_pixel_of_the_raster(tmp_path, transform, crs):
    geometry = outline(tmp_path, transform, crs).buffer(0.7)
    to_lonlat = pyproj.Transformer.from_crs(rasterio.crs.CRS.from_user_input(crs).to_wkt(), 4326, always_xy=True)
    found = 0
    for row, column in np.ndindex(30, 30):
        lon, lat = to_lonlat.transform(*(transform @ (column + 0.5, row + 0.5)))
        if np.isfinite(lon):
            found += 1
            assert geometry.covers(shapely.Point(lon, lat)), (lon, lat)
    assert found > 500


@pytest.mark.parametrize(
    ("crs", "words"),
    [('LOCAL_CS["site",UNIT["metre",1]]', "has the CRS 'site'"), ("+proj=eqc +R=3396190", "has the CRS 'unknown'")],
)
def test_rasters_that_are_not_on_the_earth_are_named(tmp_path, crs, words):
    with pytest.raises(InputError, match=rf"a_20230630\.tif' {words}"):
        outline(tmp_path, from_origin(5e5, 5e6, 10, 10), crs)
