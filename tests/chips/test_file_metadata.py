"""What only files declare: scale, offset and number of bands, pinned with the scenes."""

import numpy as np
import pytest
import rasterio

from segchips.chips.file_metadata import complete_from_files
from segchips.errors import SceneError
from segchips.scenes.lock import read_locks, write_locks
from support.datasets import image_plan, make_dataset
from support.scene_series import Chip, SceneSeries, flat, make_image
from support.wrong_catalogues import TILE


def completed_plan(series, **imagery):
    """The plan of the scenes after the step that pins them, through the lock file."""
    series.plan(**imagery)
    path = series.folder / "scenes.parquet"
    dataset = make_dataset(imagery={"catalog": str(series.folder / "catalog.json"), **imagery})
    lock = complete_from_files(dataset.imagery.first, read_locks(path)[""])
    write_locks(path, {"": lock})
    assert read_locks(path)[""].scenes == lock.scenes
    return image_plan(dataset, lock)


def chip(series, **imagery):
    path = series.folder / "chip.tif"
    make_image(completed_plan(series, **imagery), TILE, path)
    return Chip(path)


def declare(series, name, scale, offset, key="B1"):
    with rasterio.open(series.paths["s2", name, key], "r+") as file:
        file.scales, file.offsets = [scale] * file.count, [offset] * file.count


def test_scale_and_offset_of_files_count_where_the_catalogue_is_silent(tmp_path):
    """Values of 0.4 and of 0.2, stored with two scales: their mean is 0.3."""
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": flat(4000)})
    series.add("b", "2017-07-02T10:00:00Z", {"B1": flat(3000)})
    declare(series, "a", 0.0001, 0.0)
    declare(series, "b", 0.0001, -0.1)
    made = chip(series, composite="mean")
    physical = made.pixels[0] * made.scales[0] + made.offsets[0]
    np.testing.assert_allclose(physical, 0.3, atol=1e-4)


def test_what_the_catalogue_says_comes_before_what_the_file_says(tmp_path):
    series = SceneSeries(tmp_path)
    declared = {"B1": {"raster:bands": [{"scale": 0.5, "offset": 0}]}}
    series.add("a", "2017-07-01T10:00:00Z", {"B1": flat(4000)}, declared=declared)
    declare(series, "a", 0.0001, 7.0)
    made = chip(series)
    assert (made.scales[0], made.offsets[0]) == (0.5, 0.0)


@pytest.mark.parametrize("declared", [{}, {"raster:bands": [{"data_type": "uint8", "scale": 1, "offset": 0}]}])
@pytest.mark.parametrize(("bands", "expected"), [(["rgb"], [0, 1, 2]), (["rgb:2"], [1]), (["rgb:3", "rgb:1"], [2, 0])])
def test_bands_are_counted_in_the_file_where_the_catalogue_lists_none(tmp_path, bands, expected, declared):
    series = SceneSeries(tmp_path)
    data = np.stack([flat(value, "uint8") for value in (10, 20, 30)])
    series.add("a", "2017-07-01T10:00:00Z", {"rgb": data}, declared={"rgb": declared})
    made = chip(series, products=[{"id": "s2", "bands": bands}])
    assert [int(plane.min()) for plane in made.pixels] == [[10, 20, 30][number] for number in expected]
    assert list(made.names) == (["rgb:1", "rgb:2", "rgb:3"] if bands == ["rgb"] else bands)


def test_a_file_that_cannot_be_read_when_scenes_are_pinned_is_never_taken_for_unscaled(tmp_path):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": flat(4000)})
    path = series.paths["s2", "a", "B1"]
    content = path.read_bytes()
    path.write_bytes(b"")
    plan = completed_plan(series)
    path.write_bytes(content)
    declare(series, "a", 0.0001, -0.1)
    with pytest.raises(SceneError, match=r"a-B1\.tif: declares scale 0\.0001 and offset -0\.1, .*snakemake resolve"):
        make_image(plan, TILE, tmp_path / "chip.tif")
