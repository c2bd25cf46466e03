"""Tiles on the pixels of scenes, and nearest pixels in a dozen CRSs."""

import re
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from rasterio.transform import Affine, from_bounds

from segchips.chips.imagery_grid import check_pixel_grid, find_pixel_grid
from segchips.chips.raster_reader import RasterReader
from segchips.errors import InputError
from segchips.grids.pixel_grid import PixelGrid
from segchips.grids.systems import ProjectedSystem
from segchips.grids.tile import Grid, Tile
from segchips.scenes.catalogue import open_catalogue
from segchips.scenes.model import Band
from segchips.tiles.manifest import read_manifest
from segchips.tiles.tiles import make_tiles
from support.catalogues import make_asset, make_item, write_catalogue
from support.datasets import make_dataset
from support.projected_grids import AREAS, projected_grid, to_crs
from support.rasters import OUTSIDE, nearest_by_loop, raster_outline
from support.vectors import write_vectors

CORNER = (2600000.05, 1200400.05)


LONLAT = {
    "EPSG:2193": (175.0, -39.0),
    "EPSG:3035": (8.0, 50.0),
    "EPSG:3067": (25.0, 61.0),
    "EPSG:2180": (19.0, 52.0),
    "EPSG:28992": (5.2, 52.1),
    "EPSG:25832": (9.1, 50.0),
}


def write_photo(
    path: Path, crs="EPSG:2056", transform=None, step=0.1, shift=(0.0, 0.0), shape: tuple[int, int] = (300, 400)
) -> Path:
    transform = transform or Affine(step, 0, CORNER[0] + shift[0], 0, -step, CORNER[1] + shift[1])
    data = np.random.default_rng(len(path.stem)).integers(1, 255, (1, *shape), dtype=np.uint8)
    profile = {"width": shape[1], "height": shape[0], "count": 1, "dtype": "uint8", "crs": crs, "transform": transform}
    with rasterio.open(path, "w", driver="GTiff", **profile) as file:
        file.write(data)
    return path


def photos(folder: Path, paths: list[Path], **tiles):
    items = [
        make_item(f"photo_{at}", "2024-05-01T10:00:00Z", {"grey": make_asset(path)}, raster_outline(path), "photos")
        for at, path in enumerate(paths)
    ]
    catalog = write_catalogue(folder / "catalog", items)
    area = write_vectors(folder / "area.gpkg", [shapely.box(2600000, 1200380, 2600060, 1200400)], "EPSG:2056")
    imagery = {"catalog": str(catalog), "products": [{"id": "photos", "bands": ["grey"]}]}
    imagery |= {"start": "2024-01-01", "end": "2024-12-31", "composite": "median"}
    return make_dataset(tiles={"size": 64, "pad": 2, "grid": "imagery", "aoi": area, **tiles}, imagery=imagery)


def find(dataset):
    return find_pixel_grid(dataset.imagery.first, np.array([shapely.box(7.43, 46.94, 7.46, 46.97)]))


def test_tiles_follow_the_pixels_that_scenes_share_and_chips_equal_windows(tmp_path):
    paths = [write_photo(tmp_path / "a.tif"), write_photo(tmp_path / "bb.tif", shift=(40.0, -7.3))]
    dataset = photos(tmp_path, paths)
    assert find(dataset) == PixelGrid("EPSG:2056", (0.05, 0.05), 0.1)
    lines = make_tiles(dataset, tmp_path / "tiles.parquet", lambda area: find_pixel_grid(dataset.imagery.first, area))
    tiles = [Tile.from_key(row.key) for row in read_manifest(tmp_path / "tiles.parquet")]
    assert lines[-1] == f"{len(tiles)} tiles" and len(tiles) > 40
    reader, equal = RasterReader(2), 0
    for tile in tiles:
        for path in paths:
            for resampling in ("nearest", "bilinear", "average"):
                pixels, valid = reader.read([Band(str(path), 1, None, 1, 0)], tile, resampling)
                with rasterio.open(path) as source:
                    column, row = ~source.transform * (tile.geotransform[0], tile.geotransform[3])
                    assert max(abs(column - round(column)), abs(row - round(row))) < 1e-4
                    window = rasterio.windows.Window(round(column), round(row), 64, 64)
                    expected = source.read(1, window=window, boundless=True, fill_value=0)
                assert (valid[0] == (expected != 0)).all() and (pixels[0][valid[0]] == expected[valid[0]]).all()
                equal += bool(valid.all())
    assert equal


def test_tiles_follow_files_whose_bands_the_config_does_not_name(tmp_path):
    write_photo(tmp_path / "a.tif")
    write_photo(tmp_path / "odd.tif", step=0.2)
    area = write_vectors(tmp_path / "area.gpkg", [shapely.box(2600000, 1200380, 2600060, 1200400)], "EPSG:2056")
    imagery = {"source": "files", "path": str(tmp_path), "products": [{"id": "photos"}], "exclude": ["odd.tif"]}
    dataset = make_dataset(tiles={"size": 64, "pad": 2, "grid": "imagery", "aoi": area}, imagery=imagery)
    assert find(dataset) == PixelGrid("EPSG:2056", (0.05, 0.05), 0.1)


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"step": 0.2}, "scene 'photo_2' \\(odd.tif\\) has pixels of 0.2"),
        ({"shift": (0.03, 0.0)}, "scene 'photo_2' \\(odd.tif\\) lies 0.3 pixels off the others"),
        ({"crs": "EPSG:21781", "shift": (-2e6, -1e6)}, "scene 'photo_2' \\(odd.tif\\) has the CRS EPSG:21781"),
        ({"transform": Affine(0.1, 0.01, 2600000, 0.01, -0.1, 1200400)}, "\\(odd.tif\\) is rotated"),
        ({"transform": Affine(0.1, 0, 2600000, 0, -0.2, 1200400)}, "\\(odd.tif\\) has pixels of 0.1 x 0.2"),
        (
            {"crs": "EPSG:4326", "transform": Affine(1e-6, 0, 7.44, 0, -1e-6, 46.955)},
            "\\(odd.tif\\) has the geographic CRS 'WGS 84'",
        ),
    ],
)
def test_a_scene_off_the_common_grid_is_named(tmp_path, odd, message):
    paths = [write_photo(tmp_path / f"{name}.tif") for name in "ab"] + [write_photo(tmp_path / "odd.tif", **odd)]
    dataset = photos(tmp_path, paths)
    with pytest.raises(InputError, match=message) as told:
        find(dataset)
    assert "photo_0" not in str(told.value) and "\n" not in str(told.value)
    scenes = open_catalogue(dataset.imagery.first).search(np.array([shapely.box(7.4, 46.9, 7.5, 47)]))
    grid = Grid(64, 2, 0.1, None, ProjectedSystem("EPSG:2056", (0.05, 0.05)))
    with pytest.raises(InputError, match=message):
        check_pixel_grid(dataset.imagery.first, scenes, grid)
    check_pixel_grid(dataset.imagery.first, [scene for scene in scenes if scene.id != "photo_2"], grid)


def test_numbers_that_writers_divided_become_plain_and_do_not_outvote_the_others(tmp_path):
    paths = []
    for at, (east, north) in enumerate([(0.05, 0.05), (13.15, 20.25), (7.95, 3.35), (31.25, 11.45)]):
        west, top, side = round(2600000 + east, 2), round(1200400 - north, 2), 91 + 8 * at
        transform = from_bounds(west, round(top - side * 0.1, 2), round(west + side * 0.1, 2), top, side, side)
        paths.append(write_photo(tmp_path / f"{'x' * at}.tif", transform=transform, shape=(side, side)))
    paths += [write_photo(tmp_path / f"odd{at}.tif", shift=(0.08, 0.0)) for at in range(2)]
    with pytest.raises(InputError) as told:
        find(photos(tmp_path, paths))
    named = re.findall(r"photo_(\d)", str(told.value))
    assert sorted(named) == ["4", "5"]
    assert find(photos(tmp_path / "even", paths[:4])) == PixelGrid("EPSG:2056", (0.05, 0.05), 0.1)


@pytest.mark.parametrize(
    ("code", "written"),
    [(code, pyproj.CRS(code).to_wkt("WKT1_ESRI")) for code in LONLAT]
    + [("EPSG:28992", "EPSG:7415"), ("EPSG:25832", "EPSG:25832+7837")],
)
def test_a_crs_in_the_words_of_arcgis_or_with_heights_is_the_one_with_the_code(tmp_path, code, written):
    x, y = to_crs(code).transform(*LONLAT[code])
    path = write_photo(tmp_path / "a.tif", written, Affine(0.5, 0, round(x) + 0.25, 0, -0.5, round(y)))
    dataset = photos(tmp_path, [path])
    lon, lat = LONLAT[code]
    grid = find_pixel_grid(
        dataset.imagery.first, np.array([shapely.box(lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01)])
    )
    assert grid == PixelGrid(code, (0.25, 0.0), 0.5)
    tile = Tile(Grid(64, 2, 0.5, None, grid.system), 0, round(x) // 30 + 3, round(y) // 30 - 3)
    pixels, valid = RasterReader(2).read([Band(str(path), 1, None, 1, 0)], tile, "bilinear")
    with rasterio.open(path) as source:
        column, row = (round(value) for value in ~source.transform * (tile.geotransform[0], tile.geotransform[3]))
        expected = source.read(1)[row : row + 64, column : column + 64]
    assert valid.all() and expected.shape == (64, 64) and (pixels[0] == expected).all()


def test_the_resolution_is_a_whole_multiple_of_the_pixels(tmp_path):
    dataset = photos(tmp_path, [write_photo(tmp_path / "a.tif")], resolution=0.25)
    with pytest.raises(InputError, match="tiles.resolution: 0.25 is not a whole multiple of the scenes' pixels"):
        dataset.tiles.tile_grid(find(dataset))
    coarse = photos(tmp_path, [tmp_path / "a.tif"], resolution=0.3)
    assert coarse.tiles.tile_grid(find(coarse)).resolution == pytest.approx(0.3)


def test_pixel_corners_of_web_mercator_tiles_stay_where_they_are():
    step = 40075016.68557849 / 2**26
    grid = PixelGrid.through("EPSG:3857", (-20037508.342789244 + 1234567 * step, 20037508.342789244 - 77 * step), step)
    tile = Tile(Grid(256, 0, step, None, grid.system), 0, 12345, -3)
    again = Tile.from_key(tile.key)
    assert again == tile and again.grid.resolution == step
    offset = (again.geotransform[0] + 20037508.342789244) / step
    assert abs(offset - round(offset)) < 1e-3


@pytest.mark.parametrize("code", sorted(AREAS))
@pytest.mark.parametrize("source_crs", ["own", "EPSG:4326"])
def test_nearest_pixels_are_those_of_a_slow_computation(tmp_path, code, source_crs):
    west, south, east, north = AREAS[code]
    x, y = to_crs(code).transform(min((west + east) / 2, 179.9) + 0.01, (south + north) / 2 + 0.01)
    grid = projected_grid(code, 24, 2, 30.0)
    tile = Tile(grid, 0, int(x // grid.core), int(y // grid.core))
    left, bottom, right, top = tile.bounds
    crs = code if source_crs == "own" else source_crs
    corners = pyproj.Transformer.from_crs(code, crs, always_xy=True).transform(
        [left, right, left, right], [top, top, bottom, bottom]
    )
    w, e, s, n = min(corners[0]), max(corners[0]), min(corners[1]), max(corners[1])
    data = np.arange(1, 61 * 53 + 1, dtype=np.uint16).reshape(1, 61, 53)
    transform = Affine((e - w) * 0.9 / 53, 0, w + (e - w) * 0.04, 0, -(n - s) / 61, n)
    profile = {"width": 53, "height": 61, "count": 1, "dtype": "uint16", "crs": crs, "transform": transform}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **profile) as file:
        file.write(data)
    pixels, valid = RasterReader(1).read([Band(str(tmp_path / "a.tif"), 1, None, 1, 0)], tile, "nearest")
    expected = np.array(nearest_by_loop(tmp_path / "a.tif", tile), dtype=object)[0]
    covered = np.array([[value is not OUTSIDE and value != OUTSIDE for value in row] for row in expected])
    assert (valid[0] == covered).all() and covered.any()
    assert (pixels[0][covered] == expected[covered].astype(np.uint16)).all()
