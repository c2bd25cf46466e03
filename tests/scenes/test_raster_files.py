"""Raster files as a layer: which files, in which order, which bands, and what counts as a change."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio

from segchips.chips.image_plan import ImagePlan
from segchips.chips.images import make_image
from segchips.errors import ConfigError, InputError
from segchips.grids.outlines import footprints
from segchips.scenes.pinning import pin_scenes
from segchips.scenes.query import SceneQuery
from segchips.scenes.raster_files import RasterFiles, file_states, find_files
from support.datasets import make_dataset, tile_at
from support.rasters import nearest_by_loop, transform_over, write_raster

TILE = tile_at()


def layer_of(path, **keys):
    """A layer of files."""
    imagery = {"source": "files", "path": str(path), "products": [{"id": "o"}], **keys}
    return make_dataset(imagery=imagery).imagery.first


def plan_of(path, **keys):
    """The plan of a layer of files."""
    layer, outlines = layer_of(path, **keys), footprints([TILE])
    lock = pin_scenes(SceneQuery.of(layer), RasterFiles(layer).search(outlines), [TILE.key], outlines)
    return ImagePlan(layer, lock, "", "datasets.d.imagery")


def write(path, seed, shape=(3, 16, 16), shift=0, names=(), **options):
    """Write a raster of random values, from 1, that begins so many metres east of the tile."""
    pixels = np.random.default_rng(seed).integers(1, 200, shape).astype("uint8")
    transform = transform_over(TILE, shape[1:], step=10, shift=(shift, 0))
    write_raster(path, pixels, transform, TILE.crs, **options)
    if names:
        with rasterio.open(path, "r+") as file:
            file.descriptions = names
    return path


def chip_of(plan, path):
    make_image(plan, TILE, path)
    with rasterio.open(path) as chip:
        return chip.read(), chip.descriptions, chip.read_masks(1), chip.tags()


def test_one_file_gives_all_bands_by_description_or_number(tmp_path):
    path = write(tmp_path / "ortho.tif", 1, names=("red", "green", "blue"))
    pixels, bands, _, tags = chip_of(plan_of(path), tmp_path / "chip.tif")
    np.testing.assert_array_equal(pixels, nearest_by_loop(path, TILE, (1, 2, 3)))
    assert bands == ("red", "green", "blue") and "acquired" not in tags["SCENES"]
    other = write(tmp_path / "plain.tif", 1)
    assert chip_of(plan_of(other), tmp_path / "chip.tif")[1] == ("1", "2", "3")


def test_a_scale_of_zero_says_nothing(tmp_path):
    path = write(tmp_path / "a.tif", 1)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.0, 0.5, 0.0), (0.0, 2.0, float("nan"))
    bands = RasterFiles(layer_of(path)).search(footprints([TILE]))[0].assets["file"]
    assert [band.scaling for _, band in bands] == [(1.0, 0.0), (0.5, 2.0), (1.0, 0.0)]


def test_an_alpha_band_is_a_mask_and_no_band_unless_it_is_named(tmp_path):
    path = tmp_path / "ortho.tif"
    write(path, 1, (4, 16, 16), photometric="rgb", alpha="yes")
    with rasterio.open(path, "r+") as file:
        opaque = np.tri(16, dtype="uint8") * 255
        file.write(opaque, 4)
    pixels, bands, mask, _ = chip_of(plan_of(path), tmp_path / "chip.tif")
    assert bands == ("1", "2", "3")
    np.testing.assert_array_equal(mask, opaque)
    np.testing.assert_array_equal(pixels, np.where(opaque, nearest_by_loop(path, TILE, (1, 2, 3)), 0))
    named = plan_of(path, products=[{"id": "o", "bands": ["4", "1"]}])
    assert chip_of(named, tmp_path / "chip.tif")[1] == ("4", "1")
    write(path, 2, (1, 16, 16))
    assert chip_of(plan_of(path), tmp_path / "chip.tif")[1] == ("1",)


@pytest.mark.parametrize("bands", [["blue", "red"], [3, 1], ["3", "red"]])
def test_bands_by_number_or_description(tmp_path, bands):
    path = write(tmp_path / "ortho.tif", 1, names=("red", "green", "blue"))
    pixels, *_ = chip_of(plan_of(path, products=[{"id": "o", "bands": bands}]), tmp_path / "chip.tif")
    np.testing.assert_array_equal(pixels, nearest_by_loop(path, TILE, (3, 1)))


def test_the_first_file_by_name_wins_where_files_overlap(tmp_path):
    west, east = (
        write(tmp_path / "f" / "b.tif", 1, (1, 16, 10)),
        write(tmp_path / "f" / "sub" / "a.tif", 2, (1, 16, 16)),
    )
    write(tmp_path / "f" / ".hidden.tif", 3)
    pixels, _, mask, tags = chip_of(plan_of(tmp_path / "f"), tmp_path / "chip.tif")
    first, second = (nearest_by_loop(path, TILE, (1,))[0] for path in (west, east))
    expected = [
        [one if isinstance(one, int | np.integer) else other for one, other in zip(*rows, strict=True)]
        for rows in zip(first, second, strict=True)
    ]
    np.testing.assert_array_equal(pixels[0], expected)
    assert expected != first and expected != second
    assert mask.all() and tags["SCENES"].index("b.tif") < tags["SCENES"].index("sub/a.tif")


def test_places_of_files(tmp_path):
    for name in ("b.tif", "a.tif", "c.jp2.txt", ".x.tif"):
        (tmp_path / name).write_bytes(b"")
    assert find_files(str(tmp_path)) == [f"{tmp_path}/a.tif", f"{tmp_path}/b.tif"]
    assert find_files(f"{tmp_path}/*b.tif") == find_files(f"{tmp_path}/b.tif") == [f"{tmp_path}/b.tif"]
    for wrong in ("none.tif", "none/*.tif"):
        with pytest.raises(InputError, match="holds no raster file; name a raster, a folder of rasters, or a pattern"):
            find_files(f"{tmp_path}/{wrong}")


def test_what_is_no_raster_and_a_band_that_is_not_there_are_named(tmp_path):
    (tmp_path / "text.tif").write_text("no")
    with pytest.raises(InputError, match=r"text.tif' cannot be read as a raster"):
        RasterFiles(layer_of(tmp_path / "text.tif")).search(footprints([TILE]))
    path = write(tmp_path / "ortho.tif", 1, names=("red", "green", "blue"))
    for band in ("nir", "4", "0"):
        with pytest.raises(InputError, match=rf"ortho.tif' has no band '{band}'"):
            RasterFiles(layer_of(path)).check("o", [band], None, None)
    with pytest.raises(ConfigError, match=r"imagery.path: missing; source 'files' needs a raster"):
        make_dataset(imagery={"source": "files"})


def test_content_and_not_age_changes_the_chips_digest(tmp_path):
    path = write(tmp_path / "ortho.tif", 1)
    before, state = plan_of(path).digest(TILE.key), file_states(layer_of(path))
    path.touch()
    assert plan_of(path).digest(TILE.key) == before and file_states(layer_of(path)) != state
    with rasterio.open(path, "r+") as file:
        file.write(file.read() + 1)
    assert plan_of(path).digest(TILE.key) != before


def test_keys_of_catalogues_beside_a_layer_of_files_do_not_matter(tmp_path):
    keys = {"max_cloud": 0.1, "periods": {"every": "1 month"}, "cloud_mask": {"asset": "scl", "clear": [4]}}
    layer = layer_of(tmp_path, **keys)
    assert layer == replace(layer_of(tmp_path), requests=layer.requests)
    assert not layer.is_series and layer.cloud_mask is None and layer.start is None
