"""Rasters that are damaged or do not fit the others of their product."""

import random

import numpy as np
import pytest
import rasterio

from segchips.chips.raster_reader import RasterReader
from segchips.errors import SceneError
from segchips.scenes.model import Band
from support.catalogues import make_asset, make_item
from support.rasters import nearest_by_loop, transform_over
from support.wrong_catalogues import NODATA, SEED, TILE, make, outline, pixels, scene_file, slow

# Rasters that are damaged, or unlike their siblings.

LAYOUTS = {
    "COG": {"driver": "COG"},
    "tiled": {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"},
    "strips": {"blockysize": 3, "interleave": "band"},
    "tags last": {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "lzw"},
}


def damaged_layout(path, layout, data):
    """A raster of 48 x 48 pixels, whose tags come last where the layout says so."""
    profile = {"driver": "GTiff"} | LAYOUTS[layout]
    shape = {"count": 1, "height": 48, "width": 48, "dtype": "uint16", "crs": TILE.crs, "nodata": None}
    with rasterio.open(path, "w", transform=transform_over(TILE, (48, 48), 10), **shape | profile) as file:
        if layout != "tags last":
            file.nodata = NODATA
        file.write(data, 1)
    if layout == "tags last":
        with rasterio.open(path, "r+") as file:
            file.update_tags(note="n" * 300)
            file.nodata = NODATA
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_raster_cut_off_anywhere_is_named_or_whole(tmp_path, layout):
    """At 60 places drawn at random and at each of the last 40 bytes."""
    path = damaged_layout(tmp_path / "whole.tif", layout, pixels(SEED, shape=(48, 48)))
    content = path.read_bytes()
    right = slow([path])
    draws = random.Random(SEED)
    cuts = sorted({draws.randrange(len(content)) for _ in range(60)} | set(range(len(content) - 40, len(content))))
    outcomes = {"named": 0, "whole": 0}
    for cut in cuts:
        part = tmp_path / f"cut{cut}.tif"
        part.write_bytes(content[:cut])
        try:
            got, valid = RasterReader(4).read([Band(str(part), 1, None, 1.0, 0.0)], TILE, "nearest")
        except SceneError as error:
            assert part.name in str(error) and "\n" not in str(error)
            outcomes["named"] += 1
        else:
            np.testing.assert_array_equal(np.where(valid, got, NODATA)[0], right, err_msg=f"cut at {cut}")
            outcomes["whole"] += 1
    assert outcomes["named"] > 20


def test_siblings_in_another_crs_give_the_pixels_under_the_tile(tmp_path):
    holes = pixels(3)
    holes[6:18, 6:18] = NODATA
    first = scene_file(tmp_path / "a.tif", holes)
    second = scene_file(tmp_path / "b.tif", pixels(4, shape=(40, 40)), crs="EPSG:3857", step=15)
    items = [
        make_item(path.stem, f"2017-07-0{day}T10:00:00Z", {"B1": make_asset(path)}, outline(path))
        for day, path in enumerate((first, second), 1)
    ]
    chip, ids, _ = make(tmp_path, items)
    np.testing.assert_array_equal(chip, slow([first, second]))
    assert ids == ["a", "b"]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_sibling_of_another_dtype_is_named(tmp_path, dtype):
    first = scene_file(tmp_path / "a.tif", pixels(3))
    second = scene_file(tmp_path / "b.tif", np.ones((24, 24), dtype), nodata=None)
    items = [
        make_item(path.stem, f"2017-07-0{day}T10:00:00Z", {"B1": make_asset(path)}, outline(path))
        for day, path in enumerate((first, second), 1)
    ]
    with pytest.raises(SceneError, match="'b' of product 's2' holds"):
        make(tmp_path, items)


def test_a_file_of_fewer_bands_than_the_catalogue_lists_is_named(tmp_path):
    two = {"bands": [{"name": "one"}, {"name": "two"}]}
    first = scene_file(tmp_path / "a.tif", np.stack([pixels(3), pixels(4)]))
    second = scene_file(tmp_path / "b.tif", pixels(5))
    items = [
        make_item(path.stem, f"2017-07-0{day}T10:00:00Z", {"B1": make_asset(path, **two)}, outline(path))
        for day, path in enumerate((first, second), 1)
    ]
    with pytest.raises(SceneError, match=r"b\.tif: has 1 bands, but its catalogue lists band 2"):
        make(tmp_path, items, products=[{"id": "s2", "bands": ["one", "two"]}])


@pytest.mark.parametrize("nodata", [None, -9999.0, float("nan")])
@pytest.mark.parametrize("kind", ["closest", "median", "mean"])
def test_what_is_not_finite_is_no_value(tmp_path, kind, nodata):
    rng = np.random.default_rng(SEED)
    paths = []
    for number in range(3):
        data = rng.integers(-500, 500, (24, 24)).astype("float32")
        for strange in (np.nan, np.inf, -np.inf):
            data[rng.random(data.shape) < 0.2] = strange
        paths.append(scene_file(tmp_path / f"{number}.tif", data, nodata=nodata))
    items = [
        make_item(path.stem, f"2017-07-0{day}T10:00:00Z", {"B1": make_asset(path)}, outline(path))
        for day, path in enumerate(paths, 1)
    ]
    chip, _, _ = make(tmp_path, items, composite=kind)
    layers = [nearest_by_loop(path, TILE)[0] for path in paths]
    for row, column in np.ndindex(chip.shape):
        values = [float(layer[row][column]) for layer in layers if np.isfinite(layer[row][column])]
        right = {"closest": lambda v: v[0], "median": np.median, "mean": np.mean}[kind](values) if values else nodata
        right = np.nan if right is None else right
        assert chip[row, column] == pytest.approx(right, rel=1e-6, nan_ok=True)
