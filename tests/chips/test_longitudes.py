"""Rasters whose longitudes are not those from -180 to 180, and tiles across 180 degrees, one pixel at a time."""

import math
from functools import cache

import numpy as np
import pyproj
import pytest
import rasterio
from rasterio.transform import Affine, from_origin

from segchips.errors import SceneError
from segchips.grids.tile import Grid, Tile
from support.raster_reading import read
from support.rasters import write_raster

GRID = Grid(16, 2, 10.0)


def tile_around(lon, lat, zone):
    """The tile of a UTM zone whose core holds a place, with a padded size of 16."""
    x, y = pyproj.Transformer.from_crs(4326, 32600 + zone, always_xy=True).transform(lon, lat)
    return Tile(GRID, zone, math.floor((x - 500000) / 120), math.floor(y / 120))


@cache
def centres(tile):
    """Longitude and latitude of each pixel centre, point by point."""
    to_lonlat = pyproj.Transformer.from_crs(tile.crs, 4326, always_xy=True)
    west, step, _, north, _, _ = tile.geotransform
    size = tile.grid.size
    return [
        [to_lonlat.transform(west + (column + 0.5) * step, north - (row + 0.5) * step) for column in range(size)]
        for row in range(size)
    ]


TILES = {
    "15 W": tile_around(-15.0001, 48.7501, 28),
    "east of 180": tile_around(-179.99, -17, 1),
    "west of 180": tile_around(179.99, -17, 60),
    "on 180, zone 1": tile_around(-179.99999, -17, 1),
    "on 180, zone 60": tile_around(179.99999, -17, 60),
    "on Greenwich": tile_around(0.0, 48.75, 31),
}


def test_tiles_on_180_reach_over_it():
    for name in ("on 180, zone 1", "on 180, zone 60"):
        assert {lon > 0 for row in centres(TILES[name]) for lon, _ in row} == {True, False}


@pytest.mark.parametrize("turns", [-1, 0, 1])
@pytest.mark.parametrize("name", TILES)
@pytest.mark.parametrize("shift", [0, 60])
def test_nearest_pixels_of_rasters_in_any_longitudes(tmp_path, name, turns, shift):
    tile, step = TILES[name], 0.00011
    (lon, lat), data = centres(tile)[8][8], np.random.default_rng(1).integers(1, 60000, (150, 150)).astype("uint16")
    west, north = lon % 360 + 360 * turns - (75.3 - shift) * step, lat + 75.4 * step
    path = write_raster(tmp_path / "a.tif", data, from_origin(west, north, step, step), "EPSG:4326")
    pixels, valid = read(path, tile)
    for row, column in np.ndindex(16, 16):
        lon, lat = centres(tile)[row][column]
        i = math.floor((north - lat) / step)
        hits = [j for turn in range(-3, 4) if 0 <= (j := math.floor((lon + 360 * turn - west) / step)) < 150]
        assert valid[0, row, column] == bool(hits)
        if hits:
            assert pixels[0, row, column] == data[i, hits[0]]
    assert valid.mean() > 0.2


@pytest.mark.parametrize("west", [-180.0, 0.0, -180.05, 180.0])
@pytest.mark.parametrize("name", TILES)
def test_nearest_pixels_of_rasters_around_the_earth(tmp_path, name, west):
    tile, step = TILES[name], 0.1
    data = np.arange(3600 * 4).reshape(4, 3600).astype("uint16")
    north = round(centres(tile)[8][8][1], 1) + 0.2
    path = write_raster(tmp_path / "a.tif", data, from_origin(west, north, step, step), "EPSG:4326")
    pixels, valid = read(path, tile)
    assert valid.all()
    for row, column in np.ndindex(16, 16):
        lon, lat = centres(tile)[row][column]
        i, j = math.floor((north - lat) / step), math.floor(((lon - west) % 360) / step)
        assert pixels[0, row, column] == data[i, j]


@pytest.mark.parametrize("turns", [-1, 0, 1])
@pytest.mark.parametrize("name", TILES)
@pytest.mark.parametrize("resampling", ["bilinear", "cubic", "average", "mode"])
def test_resampled_pixels_of_rasters_in_any_longitudes(tmp_path, name, turns, resampling):
    """Of a plane that rises by 1 for each pixel east and 2 south, bilinear resampling is exact."""
    tile, step = TILES[name], 0.0001
    lon, lat = centres(tile)[8][8]
    west, north = lon % 360 + 360 * turns - 75 * step, lat + 75 * step
    rows, columns = np.mgrid[0:150, 0:150]
    data = (2.0 * rows + columns).astype("float64")
    path = write_raster(tmp_path / "a.tif", data, from_origin(west, north, step, step), "EPSG:4326")
    pixels, valid = read(path, tile, resampling=resampling)
    assert valid.all()
    for row, column in np.ndindex(16, 16):
        lon, lat = centres(tile)[row][column]
        across = min(((lon + 360 * turn - west) / step for turn in range(-3, 4)), key=lambda place: abs(place - 75))
        exact = 2 * ((north - lat) / step - 0.5) + across - 0.5
        assert pixels[0, row, column] == pytest.approx(exact, abs={"mode": 4.5, "average": 1.6}.get(resampling, 0.4))


@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_web_mercator_beyond_180(tmp_path, resampling):
    tile, step = TILES["on 180, zone 1"], 12.0
    x, y = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(180.0, centres(tile)[8][8][1])
    rows, columns = np.mgrid[0:150, 0:150]
    data = (2.0 * rows + columns).astype("float64")
    path = write_raster(
        tmp_path / "a.tif", data, from_origin(x - 75.3 * step, y + 75.4 * step, step, step), "EPSG:3857"
    )
    pixels, valid = read(path, tile, resampling=resampling)
    for row, column in np.ndindex(16, 16):
        lon, lat = centres(tile)[row][column]
        east, up = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(lon, lat)
        across, down = 75.3 + ((east - x + 2e7) % (2 * math.pi * 6378137) - 2e7) / step, 75.4 - (up - y) / step
        if resampling == "nearest":
            assert valid[0, row, column] and pixels[0, row, column] == data[math.floor(down), math.floor(across)]
        elif lon > 0:  # GDAL knows no turns of this CRS
            assert pixels[0, row, column] == pytest.approx(2 * (down - 0.5) + across - 0.5, abs=0.4)


@pytest.mark.parametrize("crs", ["EPSG:3031", "EPSG:3413", "EPSG:3995", "EPSG:32761", "EPSG:5041"])
@pytest.mark.parametrize("south_up", [False, True])
def test_polar_rasters(tmp_path, crs, south_up):
    south = crs in ("EPSG:3031", "EPSG:32761")
    tile = tile_around(-133.0, -79 if south else 79, 8)
    project = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    x, y = project.transform(*centres(tile)[8][8])
    data = np.random.default_rng(1).integers(1, 60000, (60, 60)).astype("uint16")
    grid = Affine.translation(x, y) @ Affine.scale(11, 11 if south_up else -11) @ Affine.translation(-30.3, -30.4)
    path = write_raster(tmp_path / "a.tif", data, grid, crs)
    pixels, valid = read(path, tile)
    assert valid.all()
    for row, column in np.ndindex(16, 16):
        across, down = ~grid @ project.transform(*centres(tile)[row][column])
        assert pixels[0, row, column] == data[math.floor(down), math.floor(across)]


@pytest.mark.parametrize(
    ("crs", "words"),
    [
        ('LOCAL_CS["site",UNIT["metre",1]]', "has the CRS 'site'"),
        ("+proj=eqc +R=3396190", "has the CRS 'unknown' of a body with a radius of 3396.19 km"),
        ("ESRI:104905", "has the CRS 'GCS_Mars_2000'"),
        (None, "has no georeference: no CRS"),
    ],
)
def test_rasters_that_are_not_on_the_earth_are_named(tmp_path, crs, words):
    path = write_raster(tmp_path / "a.tif", np.ones((9, 9), "uint8"), from_origin(5e5, 5.4e6, 10, 10), crs)
    with pytest.raises(SceneError, match=rf"a\.tif: {words}.*gdal_edit"):
        read(path)


def test_complex_pixels_control_points_and_rpcs_are_named(tmp_path):
    grid = from_origin(5e5, 5.4e6, 10, 10)
    path = write_raster(tmp_path / "a.tif", np.ones((9, 9), "complex64"), grid, "EPSG:32633")
    with pytest.raises(SceneError, match=r"a\.tif: band 1 holds complex pixels \(complex64\)"):
        read(path)
    point = rasterio.control.GroundControlPoint(1, 1, 15, 48)
    profile = {"width": 9, "height": 9, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "b.tif", "w", driver="GTiff", gcps=[point] * 4, crs="EPSG:4326", **profile):
        pass
    with pytest.raises(SceneError, match=r"b\.tif: has ground control points .*gdalwarp -t_srs"):
        read(tmp_path / "b.tif")
    ones = [1.0] + [0.0] * 19
    rpc = rasterio.rpc.RPC(0, 1, 48, 1, ones, ones, 0, 1, 15, 1, ones, ones, 0, 1)
    with rasterio.open(tmp_path / "c.tif", "w", driver="GTiff", rpcs=rpc, **profile):
        pass
    with pytest.raises(SceneError, match=r"c\.tif: has rational polynomial coefficients .*gdalwarp -rpc"):
        read(tmp_path / "c.tif")
