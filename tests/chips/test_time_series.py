"""Time series: each step is the composite of its own scenes, taken over from a former chip where it is the same."""

import json

import numpy as np
import pytest
import rasterio

from segchips.chips.images import make_image
from support.range_server import RangeServer
from support.scene_series import TILE, SceneSeries

DAYS = ["2017-01-10", "2017-01-20", "2017-03-05", "2017-03-25", "2017-05-02"]
PERIODS = [["2017-01-01", "2017-01-31"], ["2017-02-01", "2017-02-28"], ["2017-03-01", "2017-03-31"]]
MAY = ["2017-05-01", "2017-05-31"]


@pytest.fixture
def series(tmp_path):
    """Scenes of five days with random pixels, of which a part is nodata (0)."""
    folder, rng = SceneSeries(tmp_path / "scenes"), np.random.default_rng(1)
    for day in DAYS:
        bands = {}
        for key in ("B1", "B2"):
            bands[key] = rng.integers(1, 9000, (16, 16)).astype("uint16")
            bands[key][rng.random((16, 16)) < 0.3] = 0
        folder.add(day, f"{day}T10:00:00Z", bands, nodata=0)
    return folder


PRODUCTS = [{"id": "s2", "bands": ["B1", "B2"]}]


def make(folder, path, **imagery):
    """Make a chip as the workflow does; its pixels (step, band, row, column), tags, band names and nodata value."""
    plan = folder.plan(products=PRODUCTS, reference_date=imagery.pop("reference_date", None), **imagery)
    make_image(plan, TILE, path, made_from=plan.digest(TILE.key))
    with rasterio.open(path) as chip:
        return chip.read().reshape(-1, 2, 16, 16), chip.tags(), chip.descriptions, chip.nodata


def first_valid(folder, days):
    """The first value that is not 0 in the order of the days, value by value."""
    result = np.zeros((2, 16, 16), "uint16")
    for band, key in enumerate(("B1", "B2")):
        planes = [np.array(folder.expected(day, key)) for day in days]
        for place in np.ndindex(16, 16):
            result[(band, *place)] = next((plane[place] for plane in planes if plane[place]), 0)
    return result


def test_each_step_is_the_composite_of_its_period_and_may_be_empty(series, tmp_path):
    pixels, tags, bands, nodata = make(series, tmp_path / "chip.tif", periods=PERIODS)
    # from the middle of each period, 16 January and 16 March
    expected = [first_valid(series, ["2017-01-20", "2017-01-10"]), np.zeros((2, 16, 16))]
    expected.append(first_valid(series, ["2017-03-25", "2017-03-05"]))
    np.testing.assert_array_equal(pixels, expected)
    assert (bands, nodata) == (("1/B1", "1/B2", "2/B1", "2/B2", "3/B1", "3/B2"), 0)
    steps = json.loads(tags["STEPS"])
    assert [[step["start"], step["end"]] for step in steps] == PERIODS
    assert [len(step["scenes"]["s2"]) for step in steps] == [2, 0, 2]
    shares = [float((step != 0).all(axis=0).mean()) for step in pixels]
    assert [step["valid"] for step in steps] == pytest.approx(shares, abs=1e-6)
    assert float(tags["VALID"]) == (pixels != 0).all(axis=1).any(axis=0).mean()


def test_a_period_added_asks_a_server_for_files_of_that_period_alone(series, tmp_path):
    with RangeServer(series.folder) as server:
        for item in series.items:
            for asset in item["assets"].values():
                asset["href"] = asset["href"].replace("./", f"{server.url}/s2/")
        make(series, tmp_path / "chip.tif", periods=PERIODS)
        asked = {path for path, *_ in server.asked}
        assert asked == {f"/s2/{day}-{key}.tif" for day in DAYS[:4] for key in ("B1", "B2")}
        server.asked.clear()
        pixels, *_ = make(series, tmp_path / "chip.tif", periods=[*PERIODS, MAY])
        assert {path for path, *_ in server.asked} == {f"/s2/2017-05-02-{key}.tif" for key in ("B1", "B2")}
    np.testing.assert_array_equal(pixels[0], first_valid(series, ["2017-01-20", "2017-01-10"]))
    np.testing.assert_array_equal(pixels[3], first_valid(series, ["2017-05-02"]))


@pytest.mark.parametrize("composite", ["closest", "mean"])
def test_provenance_numbers_the_scenes_of_each_step(series, composite):
    chip = series.chip(products=PRODUCTS, periods=PERIODS, composite=composite, with_provenance=True)
    with rasterio.open(series.folder / "provenance.tif") as file:
        planes, names, steps = file.read(), file.descriptions, json.loads(file.tags()["STEPS"])
    kind = "scene" if composite == "closest" else "count"
    assert names[: len(chip.names)] == tuple(f"{name} {kind}" for name in chip.names)
    for number, (plane, pixels) in enumerate(zip(planes, chip.pixels, strict=False)):
        scenes = [scene["id"] for scene in steps[number // 2]["scenes"]["s2"]]
        assert ((plane > 0) == (pixels != chip.nodata)).all() and plane.max() <= len(scenes)
        key = ("B1", "B2")[number % 2]
        values = {day: np.array(series.expected(day, key)) for day in scenes}
        if composite == "mean":
            counts = np.sum([value > 0 for value in values.values()], axis=0) if values else np.zeros((16, 16))
            np.testing.assert_array_equal(plane, counts)
        for place in zip(*np.nonzero(plane > 0), strict=True) if composite == "closest" else ():
            assert pixels[place] == values[scenes[plane[place] - 1]][place]


def test_a_reference_date_orders_the_scenes_of_every_period(series, tmp_path):
    pixels, *_ = make(series, tmp_path / "chip.tif", periods=PERIODS, reference_date="2017-01-01")
    np.testing.assert_array_equal(pixels[0], first_valid(series, ["2017-01-10", "2017-01-20"]))
    np.testing.assert_array_equal(pixels[2], first_valid(series, ["2017-03-05", "2017-03-25"]))


def test_the_nearest_acquisition_days_are_steps_in_time_order(series, tmp_path):
    pixels, tags, *_ = make(series, tmp_path / "chip.tif", scenes=3, reference_date="2017-03-10")
    days = ["2017-01-20", "2017-03-05", "2017-03-25"]
    np.testing.assert_array_equal(pixels, [first_valid(series, [day]) for day in days])
    assert [step["start"] for step in json.loads(tags["STEPS"])] == days
    pixels, tags, *_ = make(series, tmp_path / "chip.tif", scenes=7)
    assert [step["start"] for step in json.loads(tags["STEPS"])] == [*DAYS, "", ""]
    assert not pixels[5:].any()


def test_means_per_step(series, tmp_path):
    pixels, *_ = make(series, tmp_path / "chip.tif", periods={"every": "2 months"}, composite="mean")
    assert len(pixels) == 6
    for step, days in enumerate((DAYS[:2], DAYS[2:4], DAYS[4:])):
        stack = np.stack([[series.expected(day, key) for key in ("B1", "B2")] for day in days]).astype(float)
        stack[stack == 0] = np.nan
        with np.errstate(all="ignore"):
            mean = np.nan_to_num(np.rint(np.nansum(stack, axis=0) / np.isfinite(stack).sum(axis=0)))
        np.testing.assert_array_equal(pixels[step], mean)


def test_a_period_added_reads_its_scenes_alone(series, tmp_path):
    make(series, tmp_path / "chip.tif", periods=PERIODS)
    for (_, name, _), path in series.paths.items():
        if name != DAYS[4]:
            path.rename(path.with_suffix(".away"))  # a second read fails
    pixels, tags, *_ = make(series, tmp_path / "chip.tif", periods=[*PERIODS, MAY])
    for path in series.paths.values():
        if not path.exists():
            path.with_suffix(".away").rename(path)
    whole, whole_tags, *_ = make(series, tmp_path / "new.tif", periods=[*PERIODS, MAY])
    np.testing.assert_array_equal(pixels, whole)
    assert tags == whole_tags
    assert (tmp_path / "chip.tif").read_bytes() == (tmp_path / "new.tif").read_bytes()


def test_a_changed_former_chip_is_not_taken_over(series, tmp_path):
    make(series, tmp_path / "chip.tif", periods=PERIODS)
    with rasterio.open(tmp_path / "chip.tif", "r+") as chip:
        chip.write(chip.read() // 2)
    make(series, tmp_path / "chip.tif", periods=PERIODS)
    make(series, tmp_path / "new.tif", periods=PERIODS)
    assert (tmp_path / "chip.tif").read_bytes() == (tmp_path / "new.tif").read_bytes()


def test_pictures_without_nodata_keep_their_steps_apart(tmp_path):
    folder = SceneSeries(tmp_path / "scenes")
    for month in (1, 3):
        picture = np.random.default_rng(month).integers(0, 9, (16, 16)).astype("uint8")
        folder.add(f"m{month}", f"2017-0{month}-10T10:00:00Z", {"B1": picture})
    plan = folder.plan(reference_date=None, periods=PERIODS)
    make_image(plan, TILE, tmp_path / "chip.tif")
    with rasterio.open(tmp_path / "chip.tif") as chip:
        pixels = chip.read()
        assert chip.nodata == 0 and not pixels[1].any()
    for step, month in ((0, 1), (2, 3)):
        np.testing.assert_array_equal(pixels[step], np.maximum(folder.expected(f"m{month}", "B1"), 1))


def test_a_coarser_layer_has_pixels_of_its_own(series, tmp_path):
    plan = series.plan(
        products=[{"id": "s2", "bands": ["B1"], "resampling": "average"}], resolution=20, exclude=DAYS[:4]
    )
    make_image(plan, TILE, tmp_path / "chip.tif")
    fine = np.array(series.expected(DAYS[4], "B1"), float)
    fine[fine == 0] = np.nan
    expected = np.zeros((8, 8))
    for row, column in np.ndindex(8, 8):
        values = fine[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        values = values[np.isfinite(values)]
        expected[row, column] = np.floor(values.mean() + 0.5) if values.size else 0
    with rasterio.open(tmp_path / "chip.tif") as chip:
        assert chip.res == (20, 20) and chip.bounds == pytest.approx(TILE.bounds)
        np.testing.assert_array_equal(chip.read(1), expected)
