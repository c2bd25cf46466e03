"""images.py: chips from catalogues of GeoTIFFs, compared one pixel at a time."""

import math
from collections import Counter
from datetime import UTC, date, datetime

import numpy as np
import pytest
from earthdaily.earthone.geo import DLTile
from rasterio.transform import Affine

from segchips.chips.images import make_image
from segchips.errors import InputError, SceneError
from segchips.grids.tile import Tile
from segchips.scenes.model import Scene
from segchips.scenes.query import require_cloud_cover
from support.catalogues import make_asset, make_item
from support.rasters import OUTSIDE, raster_outline, write_raster
from support.scene_series import TILE, Chip, SceneSeries, assert_composite, flat, noise, valid_stacks

# The scenes of most tests: grids and CRSs differ; days from the reference day 2017-06-30 are 0, 1, 1, 5 and 10.
GRIDS = {
    "same": {"grid": {"step": 10}},
    "odd": {"grid": {"step": (9.9948, 9.9974), "shift": (0.3, 0.2)}},
    "west": {"grid": {"step": 10, "shift": (-7.3, 0.2)}, "crs": "EPSG:32632"},
    "lonlat": {"grid": {"step": (0.00013, 0.00009), "shift": (5.3, -4.2)}, "crs": "EPSG:4326"},
    "turned": {"grid": {"step": 11, "rotate": 20.0, "shift": (0.3, 0.2)}},
}
DAYS = {
    "same": "2017-07-10T10:00:00Z",
    "odd": "2017-07-01T09:00:00Z",
    "west": "2017-06-30T10:00:00Z",
    "lonlat": "2017-06-29T21:00:00Z",
    "turned": "2017-07-05T10:00:00Z",
}
# closest: the day itself; then one day off, by nearness to midnight (3 hours before, 33 hours after); then 5 and 10
CLOSEST = ["west", "lonlat", "odd", "turned", "same"]


def varied(folder, dtype="uint16", nodata=0, low=1, high=250, bands=("B1", "B2")):
    series = SceneSeries(folder)
    for number, (name, grid) in enumerate(GRIDS.items()):
        data = {
            key: noise([number, place], dtype, low, high, holes=nodata, share=0.5) for place, key in enumerate(bands)
        }
        series.add(name, DAYS[name], data, nodata=nodata, **grid)
    return series


@pytest.mark.parametrize("kind", ["closest", "median", "mean"])
@pytest.mark.parametrize(
    ("dtype", "nodata", "low", "high"),
    [
        ("uint8", 0, 1, 256),
        ("int8", -128, -127, 128),
        ("uint16", 65535, 0, 65535),
        ("int16", -9999, -2000, 12000),
        ("uint32", 0, 1, 2**32),
        ("int32", -(2**31), -(2**31) + 1, 2**31),
        ("float32", math.nan, -1000, 1000),
        ("float32", -9999.0, -1000, 1000),
        ("float64", math.nan, -(2**40), 2**40),
    ],
)
def test_a_chip_is_the_composite_of_each_pixel(tmp_path, kind, dtype, nodata, low, high):
    series = varied(tmp_path, dtype, nodata, low, high)
    chip = series.chip(products=[{"id": "s2", "bands": ["B2", "B1"]}], composite=kind)
    assert chip.pixels.dtype == dtype and chip.names == ("B2", "B1")
    assert chip.nodata == nodata or math.isnan(nodata) and math.isnan(chip.nodata)

    def good(value, *_):
        return value != nodata and not math.isnan(value)

    stacks = {key: valid_stacks([(series.expected(name, key), good) for name in CLOSEST]) for key in ("B1", "B2")}
    for plane, key in zip(chip.pixels, ("B2", "B1"), strict=True):
        assert_composite(plane, stacks[key], kind, nodata)
    full = [bool(stacks["B1"][row][column] and stacks["B2"][row][column]) for row, column in np.ndindex(16, 16)]
    assert chip.valid == sum(full) / 256 and 0.5 < chip.valid < 1


def test_provenance_tells_each_values_scene_and_days(tmp_path):
    series = varied(tmp_path)
    chip, origin = (
        series.chip(with_provenance=True, products=[{"id": "s2", "bands": ["B2", "B1"]}]),
        Chip(tmp_path / "provenance.tif"),
    )
    assert origin.names == ("B2 scene", "B1 scene", "B2 days", "B1 days")
    assert (origin.pixels.dtype, origin.nodata, origin.contributions) == ("int16", -32768, chip.contributions)
    assert (origin.crs, origin.transform) == (chip.crs, chip.transform)
    found = {(name, key): series.expected(name, key) for name in CLOSEST for key in ("B1", "B2")}
    days = {name: (date.fromisoformat(DAYS[name][:10]) - date(2017, 6, 30)).days for name in CLOSEST}
    assert sorted(days.values()) == [-1, 0, 1, 5, 10]
    values = Counter()
    for plane, key in enumerate(("B2", "B1")):
        for row, column in np.ndindex(16, 16):
            holders = [name for name in CLOSEST if found[name, key][row][column] not in (OUTSIDE, 0)]
            number, day = origin.pixels[plane, row, column], origin.pixels[plane + 2, row, column]
            if holders:
                values[holders[0]] += 1
                assert (chip.scenes["s2"][number - 1], day) == (holders[0], days[holders[0]])
            else:
                assert number == day == -32768 and chip.pixels[plane, row, column] == 0
    assert {scene["id"]: scene["share"] for scene in chip.contributions["s2"]} == {
        name: round(values[name] / 512, 6) for name in CLOSEST if values[name]
    }
    assert {scene["id"]: scene["acquired"] for scene in chip.contributions["s2"]} == {
        name: DAYS[name] for name in values
    }


@pytest.mark.parametrize("kind", ["median", "mean"])
def test_provenance_of_many_scenes_counts_them(tmp_path, kind):
    series = varied(tmp_path)
    chip, origin = series.chip(with_provenance=True, composite=kind), Chip(tmp_path / "provenance.tif")
    assert origin.names == ("B1 count",)
    found = {name: series.expected(name, "B1") for name in CLOSEST}
    seen = Counter()
    for row, column in np.ndindex(16, 16):
        holders = [name for name in CLOSEST if found[name][row][column] not in (OUTSIDE, 0)]
        seen.update(holders)
        assert origin.pixels[0, row, column] == len(holders)
    shares = {scene["id"]: scene["share"] for scene in chip.contributions["s2"]}
    assert shares == {name: round(seen[name] / seen.total(), 6) for name in CLOSEST if seen[name]}


def test_closest_orders_scenes_by_day_then_nearness_to_midnight(tmp_path):
    written = []
    for seed in range(4):
        series = varied(tmp_path / str(seed))
        series.items = [series.items[index] for index in np.random.default_rng(seed).permutation(5)]
        chip = series.chip()
        assert (
            chip.scenes == {"s2": [name for name in CLOSEST if name in chip.scenes["s2"]]}
            and chip.scenes["s2"][0] == "west"
        )
        written.append((tmp_path / str(seed) / f"{TILE.name}.tif").read_bytes())
    assert len(set(written)) == 1


def test_scenes_of_equal_times_are_ordered_by_id(tmp_path):
    series = SceneSeries(tmp_path)
    for value, name in enumerate(("c", "a", "b"), 1):
        series.add(name, "2017-06-30T10:00:00Z", {"B1": flat(value)})
    chip = series.chip()
    assert (chip.pixels == 2).all() and chip.scenes == {"s2": ["a"]}


def test_the_reference_date_chooses(tmp_path):
    series = SceneSeries(tmp_path)
    for value, day in enumerate(("2017-01-10", "2017-06-10", "2017-11-10"), 1):
        series.add(day, f"{day}T10:00:00Z", {"B1": flat(value)})
    for reference, value in (
        ("2017-02-01", 1),
        ("2017-06-30", 2),
        ("2017-12-31", 3),
        ("2018-06-01", 3),
        ("2016-01-01", 1),
    ):
        assert (series.chip(reference_date=reference).pixels == value).all()


def test_least_cloud_takes_the_clearest_scene_that_has_a_value(tmp_path):
    series = SceneSeries(tmp_path)
    days = {"a": "2017-07-09", "b": "2017-06-01", "c": "2017-07-03", "d": "2017-06-30", "e": "2017-06-30"}
    clouds = {"a": 5.0, "b": 5.0, "c": 1.0, "d": None, "e": 60.0}
    for number, name in enumerate(days, 1):
        data = noise(number, "uint8", number, number + 1, holes=0, share=0.5)
        series.add(name, f"{days[name]}T10:00:00Z", {"B1": data}, nodata=0, cloud=clouds[name])
    for reference, order in (("2017-06-30", "cabed"), ("2017-05-30", "cbaed"), (None, "cabed")):
        chip = series.chip(with_provenance=True, composite="least_cloud", reference_date=reference)
        right = {name: series.expected(name, "B1") for name in order}
        for row, column in np.ndindex(16, 16):
            values = [right[name][row][column] for name in order if right[name][row][column]]
            assert chip.pixels[0, row, column] == (values[0] if values else 0)
        assert chip.scenes["s2"] == list(order)


def test_least_cloud_needs_a_cloud_cover(tmp_path):
    scenes = [Scene("p", name, datetime(2020, 1, 1, tzinfo=UTC), None, {}, b"") for name in "ab"]
    with pytest.raises(InputError, match="product 'p': none of its 2 scenes declares its cloud cover.*least_cloud"):
        require_cloud_cover(scenes, ["p", "q"])


def test_scenes_at_or_above_the_cloud_limit_do_not_count(tmp_path):
    series = SceneSeries(tmp_path)
    for value, cloud in enumerate((30.0, 20.0, 10.0, None), 1):
        series.add(f"c{value}", f"2017-07-0{value}T10:00:00Z", {"B1": flat(value)}, cloud=cloud)
    assert (series.chip(max_cloud=None).pixels == 1).all()
    assert (series.chip(max_cloud=0.3).pixels == 2).all()
    assert (series.chip(max_cloud=0.2).pixels == 3).all()
    assert (series.chip(max_cloud=0.2, composite="median").pixels == 3).all()


# Scenes that do not fit.


def test_scenes_of_different_dtypes_are_named(tmp_path):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1, "uint16", holes=0)}, nodata=0)
    series.add("b", "2017-07-02T10:00:00Z", {"B1": noise(1, "float32", holes=0)}, nodata=0)
    with pytest.raises(SceneError, match="scene 'b' of product 's2' holds float32, but 'a' holds uint16; .*one dtype"):
        series.chip()


def test_a_truncated_scene_is_named_and_leaves_no_chip(tmp_path):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1, shape=(400, 400))})
    plan = series.plan()
    path = series.paths["s2", "a", "B1"]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(SceneError, match=r"a-B1\.tif: cannot be read") as caught:
        make_image(plan, TILE, tmp_path / "chips" / "chip.tif")
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("chips/*"))


def test_a_scene_without_the_band_is_left_out_by_name(tmp_path):
    series = SceneSeries(tmp_path)
    series.add("a", "2017-07-01T10:00:00Z", {"B1": noise(1)})
    series.add("b", "2017-06-30T10:00:00Z", {"B2": noise(2)})
    assert series.chip().scenes == {"s2": ["a"]}
    assert series.plan().left_out == {("s2", "b"): "it has no band 'B1'; it has B2"}


def test_a_band_that_no_scene_has_is_an_error_with_those_that_it_has(tmp_path):
    series = SceneSeries(tmp_path)
    series.add("b", "2017-07-02T10:00:00Z", {"B2": noise(1)})
    with pytest.raises(InputError, match="scene 'b' of product 's2' has no band 'B1'; it has B2"):
        series.chip()


# The file.


@pytest.mark.parametrize(
    "key",
    [
        "12:2:10.0:33:-290:42325",
        "60:2:10.0:33:-58:8465",
        "256:0:0.5:01:3:-7",
        "17:3:30.0:60:-100:900",
        "1000:12:1.5:34:-9:3500",
    ],
)
def test_the_chip_lies_where_the_tile_lies(tmp_path, key):
    tile = Tile.from_key(key)
    west, south, east, north = tile.bounds
    step = (east - west) / 4
    path = write_raster(
        tmp_path / "s2" / "a-B1.tif",
        noise(1, shape=(8, 8)),
        Affine(step, 0, west - 2 * step, 0, -step, north + 2 * step),
        tile.crs,
    )
    series = SceneSeries(tmp_path)
    series.items.append(make_item("a", "2017-07-01T10:00:00Z", {"B1": make_asset("./a-B1.tif")}, raster_outline(path)))
    chip = series.chip(tile)
    real = DLTile.from_key(key)
    assert chip.crs.to_epsg() == int(real.crs.removeprefix("EPSG:"))
    assert chip.transform.to_gdal() == pytest.approx(real.geotrans, rel=1e-15)
    size = real.tilesize + 2 * real.pad
    assert chip.pixels.shape == (1, size, size)
    block = min(256, math.ceil(size / 16) * 16)
    assert chip.blocks == [(block, block)] and chip.profile["compress"] == "lzw"
    assert chip.tags["TILE"] == real.key == key


def test_a_chip_has_the_same_bytes_every_time(tmp_path):
    written = set()
    for number in range(3):
        series = varied(tmp_path / str(number))
        series.chip(composite="median")
        written.add((tmp_path / str(number) / f"{TILE.name}.tif").read_bytes())
        assert str(tmp_path).encode() not in max(written)
    assert len(written) == 1


def test_no_other_file_appears_beside_a_chip(tmp_path):
    plan = varied(tmp_path / "scenes").plan()
    make_image(plan, TILE, tmp_path / "chips" / "chip.tif")
    make_image(plan, TILE, tmp_path / "chips" / "chip.tif")
    assert [path.name for path in (tmp_path / "chips").iterdir()] == ["chip.tif"]
