"""Labels from rasters against the pixel under each centre, found one by one by PROJ."""

import math

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import Affine

from segchips.config.labels import LabelsConfig
from segchips.errors import ConfigError, InputError
from segchips.labels.chip import make_label
from segchips.tiles.label_rasters import raster_extents, raster_files, source_files
from support.datasets import make_dataset
from support.label_features import TILE, UTM, reproject
from support.label_rasters import EAST, NORTH, SOUTH, WEST, burn, over_tile, read_labels, under_centres, write_raster
from support.vectors import write_vectors


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326", "EPSG:3035", "EPSG:32634"])
@pytest.mark.parametrize("turn", [0.0, 17.0])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32"])
def test_each_pixel_takes_the_class_under_its_centre(tmp_path, crs, turn, dtype):
    transform, size = over_tile(crs, 7e-5 if crs == "EPSG:4326" else 7.3, turn)
    pixels = np.random.default_rng(1).integers(0, 90, (size, size)).astype(dtype)
    path = write_raster(tmp_path / "map.tif", pixels, crs, transform)
    np.testing.assert_array_equal(burn(read_labels(path)), under_centres(pixels, transform, crs, 0))


def test_classes_map_values_ranges_and_names_and_leave_out(tmp_path):
    values = np.array([0, 10, 11, 19, 20, 300, 400, 7], "uint16")
    path = write_raster(tmp_path / "map.tif", np.random.default_rng(2).choice(values, (60, 60)))
    (tmp_path / "map.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><GDALRasterAttributeTable tableType='thematic'>"
        "<FieldDefn index='0'><Name>Value</Name><Type>0</Type><Usage>5</Usage></FieldDefn>"
        "<FieldDefn index='1'><Name>Class_Name</Name><Type>2</Type><Usage>2</Usage></FieldDefn>"
        "<Row index='0'><F>300</F><F>Tree cover</F></Row><Row index='1'><F></F><F>empty</F></Row>"
        "</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"
    )
    classes = {0: 9, "10-19": 1, 11: 2, 20: None, "Tree cover": 3, "400.0": 4, "007": 5}
    pixels = burn(read_labels(path, classes=classes, background=200))
    meant = {0: 9, 10: 1, 11: 2, 19: 1, 20: 200, 300: 3, 400: 4, 7: 5}
    with rasterio.open(path) as source:
        under = source.read(1)[4:36, 4:36]
    np.testing.assert_array_equal(pixels, np.vectorize(meant.get)(under))
    with pytest.raises(InputError, match=r"map\.tif' holds the value 300 \(Tree cover\), which labels"):
        read_labels(path, classes={"0-20": 1, 400: 2}).describe(TILE, [])
    with pytest.raises(InputError, match=r"map\.tif' holds the value 300, and label values are whole .*\{300: 1\}"):
        read_labels(path).describe(TILE, [])


def test_pixels_without_data_are_unknown(tmp_path):
    pixels = np.ones((60, 60), "uint8")
    pixels[:20], pixels[30:34] = 0, 3
    path = write_raster(tmp_path / "map.tif", pixels[:, :20], nodata=0)
    labels = read_labels(path, unknown=254, classes={1: 1, 3: None})
    expected = np.full((32, 32), 254)
    expected[16:, :16], expected[26:30, :16] = 1, 255
    np.testing.assert_array_equal(burn(labels), expected)
    assert labels.describe(TILE, []).known == 16 * 16 and labels.describe(TILE, []).values == [1]
    np.testing.assert_array_equal(
        burn(read_labels(path, classes={1: 1, 3: None})), np.where(expected == 254, 255, expected)
    )
    assert set(np.unique(burn(read_labels(path, nodata=3, unknown=254)))) == {0, 1, 254}


def test_rasters_and_features_are_burned_in_the_order_of_layers(tmp_path):
    field = write_vectors(tmp_path / "f.gpkg", [shapely.box(WEST, SOUTH, EAST, SOUTH + 100)], UTM)
    half = np.zeros((40, 40), "uint8")
    half[:, :20] = 7
    raster = write_raster(tmp_path / "map.tif", half, nodata=0)
    vector, pixels = {"path": field, "value": 2}, {"path": raster}
    below = burn(read_labels(raster, layers=[vector, pixels], unknown=254))
    above = burn(read_labels(raster, layers=[pixels, vector], unknown=254))
    assert below[31, 0] == below[0, 0] == above[0, 0] == 7 and above[31, 0] == below[31, 31] == above[31, 31] == 2
    assert below[0, 31] == above[0, 31] == 254


def test_of_a_folder_or_pattern_the_last_raster_with_data_wins(tmp_path):
    left, right = np.full((40, 24), 1, "uint8"), np.full((40, 24), 2, "uint8")
    left[:8], right[:20] = 0, 0
    write_raster(tmp_path / "maps/a.tif", left, nodata=0)
    write_raster(tmp_path / "maps/b.tif", right, nodata=0, transform=Affine(10, 0, WEST + 120, 0, -10, NORTH + 40))
    (tmp_path / "maps/.c.tif").write_text("")
    expected = np.full((32, 32), 254)
    expected[4:, :20], expected[16:, 12:] = 1, 2
    for path in ("maps", "maps/*.tif"):
        assert [file[-5:] for file in raster_files(f"{tmp_path}/{path}")] == ["a.tif", "b.tif"]
        np.testing.assert_array_equal(burn(read_labels(f"{tmp_path}/{path}", unknown=254)), expected)
    (tmp_path / "maps/a.tif.aux.xml").write_text("<PAMDataset/>")
    assert [file[-9:] for file in source_files(f"{tmp_path}/maps/*.tif")] == ["aps/a.tif", "aps/b.tif", "f.aux.xml"]
    with pytest.raises(InputError, match="matches no raster"):
        raster_files(f"{tmp_path}/*.img")


def test_the_digest_follows_the_pixels_under_the_tile_alone(tmp_path):
    pixels = np.ones((60, 60), "uint8")

    def digest():
        return read_labels(write_raster(tmp_path / "map.tif", pixels)).describe(TILE, []).digest

    first = digest()
    pixels[50] = 9
    assert digest() == first
    pixels[20, 20] = 9
    assert digest() != first
    polygon = write_vectors(tmp_path / "f.gpkg", [shapely.box(*TILE.bounds)], UTM)
    layers = [{"path": str(tmp_path / "map.tif")}, {"path": polygon}]
    orders = [read_labels(polygon, layers=order) for order in (layers, layers[::-1])]
    assert len({features.describe(TILE, [0]).digest for features in orders}) == 2


def test_mode_takes_the_class_of_most_of_each_pixel(tmp_path):
    pixels = np.random.default_rng(4).integers(1, 4, (160, 160)).astype("uint8")
    path = write_raster(tmp_path / "fine.tif", pixels, transform=Affine(2.5, 0, WEST - 40, 0, -2.5, NORTH + 40))
    labels = burn(read_labels(path, resampling="mode"))
    for row, column in np.ndindex(32, 32):
        block = pixels[16 + 4 * row :, 16 + 4 * column :][:4, :4]
        assert labels[row, column] == np.argmax(np.bincount(block.ravel()))


def test_rasters_that_are_no_labels_are_named(tmp_path):
    colours = write_raster(tmp_path / "rgb.tif", np.ones((3, 40, 40), "uint8"), photometric="RGB")
    plain = write_raster(tmp_path / "plain.tif", np.ones((40, 40), "uint8"))
    bare = write_raster(tmp_path / "bare.tif", np.ones((40, 40), "uint8"), crs=None)
    for path, words, labels in [
        (colours, r"rgb\.tif' holds colours", {}),
        (plain, r"plain\.tif' has 1 bands; labels\.band 2", {"band": 2}),
        (plain, r"is a raster, and labels\.crs is for vector layers", {"crs": "EPSG:4326"}),
        (bare, r"bare\.tif' has no georeference", {}),
    ]:
        with pytest.raises(InputError, match=words):
            read_labels(path, **labels)


def test_extents_are_those_of_the_pixels(tmp_path):
    path = write_raster(tmp_path / "map.tif", np.ones((40, 40), "uint8"))
    (area,) = raster_extents(path).geometries
    expected = reproject(shapely.box(WEST - 40, NORTH - 360, WEST + 360, NORTH + 40), UTM, "EPSG:4326")
    assert area.symmetric_difference(expected).area < 1e-3 * expected.area
    assert source_files(path) == [path] and raster_files(write_vectors(tmp_path / "f.gpkg", [area], UTM)) == ()


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "average"])
def test_measurements_keep_their_values_and_nan_is_unknown(tmp_path, resampling):
    heights = np.random.default_rng(5).normal(100, 20, (40, 40)).astype("float32")
    heights[:10] = -9999
    path = write_raster(tmp_path / "dem.tif", heights, nodata=-9999)
    labels = read_labels(path, kind="continuous", resampling=resampling)
    pixels, described = burn(labels), labels.describe(TILE, [])
    assert pixels.dtype == np.float32 and np.isnan(pixels[:5]).all() and described.values == []
    np.testing.assert_allclose(pixels[8:], heights[12:36, 4:36], rtol=1e-6)
    assert described.known == int((~np.isnan(pixels)).sum())
    make_label(labels, TILE, [], tmp_path / "chip.tif")
    with rasterio.open(tmp_path / "chip.tif") as chip:
        assert math.isnan(chip.nodata) and chip.dtypes == ("float32",)
        np.testing.assert_array_equal(chip.read(1), pixels)


def test_measurements_of_features_are_those_of_the_attribute(tmp_path):
    boxes = [shapely.box(WEST + 20 * n, SOUTH, WEST + 20 * n + 10, SOUTH + 10) for n in range(4)]
    path = write_vectors(tmp_path / "a.gpkg", boxes, UTM, height=[1.5, math.nan, -3.25e6, 0.1])
    pixels = burn(read_labels(path, kind="continuous", attribute="height", all_touched=False))
    expected = np.full((32, 32), np.nan, np.float32)
    expected[31, [0, 4, 6]] = [1.5, -3.25e6, 0.1]
    np.testing.assert_array_equal(pixels, expected)
    zero = burn(read_labels(path, kind="continuous", attribute="height", background=0, all_touched=False))
    assert zero[0, 0] == 0 and np.isnan(zero[31, 2])


@pytest.mark.parametrize(
    ("labels", "select", "words"),
    [
        ({"unknown": 254}, {}, "labels.unknown: is for classes"),
        ({"layers": [{"classes": {"a": 1}}]}, {}, "labels.layers.0.classes: maps values to classes"),
        ({"resampling": "mode"}, {}, "'mode' is for classes"),
        ({}, {"labelled": {"min": 0.1}}, "chooses tiles by classes, and labels.kind 'continuous' has none"),
    ],
)
def test_what_does_not_apply_to_measurements_is_said(labels, select, words):
    with pytest.raises(ConfigError, match=words):
        make_dataset(labels={"kind": "continuous", **labels}, select=select)


def test_the_background_of_classes_is_255():
    config: LabelsConfig = make_dataset().labels.first
    without = make_dataset(labels={"kind": "continuous"}).labels.first
    assert config.background == 255 and without.background is None


@pytest.mark.parametrize("kind", ["continuous", "instances"])
def test_pictures_hold_classes_alone(kind):
    with pytest.raises(ConfigError, match=f"tfrecords.storage: 'png' holds classes, and labels.kind is '{kind}'"):
        make_dataset(labels={"kind": kind}, tfrecords={"storage": "png"})


def test_scale_and_offset_of_a_file_make_measurements(tmp_path):
    heights = np.random.default_rng(6).integers(0, 500, (40, 40)).astype("int16")
    heights[:10] = -1
    path = write_raster(tmp_path / "dem.tif", heights, nodata=-1)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.1,), (5,)
    expected = np.where(heights < 0, np.nan, heights * 0.1 + 5)[4:36, 4:36].astype(np.float32)
    np.testing.assert_array_equal(burn(read_labels(path, kind="continuous")), expected)


def test_averages_of_whole_numbers_are_not_rounded(tmp_path):
    counts = np.random.default_rng(7).integers(0, 9, (80, 80)).astype("uint8")
    path = write_raster(tmp_path / "fine.tif", counts, transform=Affine(5, 0, WEST - 40, 0, -5, NORTH + 40))
    expected = counts.reshape(40, 2, 40, 2).mean(axis=(1, 3))[4:36, 4:36]
    np.testing.assert_allclose(burn(read_labels(path, kind="continuous", resampling="average")), expected, rtol=1e-6)


def test_measurements_beyond_32_bits_are_named(tmp_path):
    path = write_raster(tmp_path / "huge.tif", np.full((40, 40), 1e300))
    with pytest.raises(InputError, match=r"huge\.tif' holds the value 1e\+300, which is no 32-bit number"):
        burn(read_labels(path, kind="continuous"))


def test_pixels_of_the_unknown_value_are_unknown_and_of_the_default_background_refused(tmp_path):
    values = np.ones((40, 40), "uint8")
    values[:20] = 254
    path = write_raster(tmp_path / "map.tif", values)
    for labels in (
        read_labels(path, unknown=254),
        read_labels(path, unknown=9, classes={254: 9, 1: 1}),
        read_labels(path, unknown=9, nodata=254),
    ):
        described, unknown = labels.describe(TILE, []), labels.config.unknown
        np.testing.assert_array_equal(burn(labels), np.where(values[4:36, 4:36] == 254, unknown, 1))
        assert (described.values, described.known) == ([1], 16 * 32)
    named = read_labels(path, background=254)
    np.testing.assert_array_equal(burn(named), values[4:36, 4:36])
    assert (named.describe(TILE, []).values, named.describe(TILE, []).known) == ([1], 32 * 32)
    path = write_raster(tmp_path / "map.tif", np.where(values == 254, 255, values))
    with pytest.raises(InputError, match=r"map\.tif' holds the value 255, which is also the background"):
        burn(read_labels(path))
    path = write_raster(tmp_path / "map.tif", values)
    mapped = read_labels(path, classes={254: 255, 1: 1})
    assert burn(mapped)[0, 0] == 255 and mapped.describe(TILE, []).values == [1]


def test_the_digest_follows_the_unknown_value(tmp_path):
    path = write_raster(tmp_path / "map.tif", np.eye(40, dtype="uint8"), nodata=0)
    assert len({read_labels(path, unknown=value).describe(TILE, []).digest for value in (None, 253, 254)}) == 3


def test_names_of_values_are_those_of_each_file(tmp_path):
    for number, name in enumerate(("Forest", "Water")):
        place = Affine(10, 0, WEST - 40 + 200 * number, 0, -10, NORTH + 40)
        write_raster(tmp_path / f"maps/{number}.tif", np.full((40, 20), 1, "uint8"), transform=place)
        (tmp_path / f"maps/{number}.tif.aux.xml").write_text(
            "<PAMDataset><PAMRasterBand band='1'><CategoryNames><Category>None</Category>"
            f"<Category>{name}</Category></CategoryNames></PAMRasterBand></PAMDataset>"
        )
    labels = burn(read_labels(tmp_path / "maps", classes={"Forest": 3, "Water": 4}))
    assert (labels[:, :16] == 3).all() and (labels[:, 16:] == 4).all()


@pytest.mark.parametrize("crs", [UTM, "EPSG:3035"])
def test_mode_counts_classes_and_not_values(tmp_path, crs):
    values = np.random.default_rng(8).choice(np.array([11, 41, 42, 43, 90], "uint16"), (400, 400))
    transform, _ = over_tile(crs, 2.5)
    path = write_raster(tmp_path / "fine.tif", values, crs, transform)
    classes = {"41-43": 2, 11: 1, 90: None}
    meant = np.vectorize({11: 1, 41: 2, 42: 2, 43: 2, 90: 3}.get)(values).astype("uint8")
    same = burn(read_labels(write_raster(tmp_path / "meant.tif", meant, crs, transform), resampling="mode"))
    labels = burn(read_labels(path, resampling="mode", classes=classes))
    np.testing.assert_array_equal(labels, np.where(same == 3, 255, same))


def test_a_value_without_class_ends_the_run_only_where_a_label_takes_it(tmp_path):
    values = np.ones((160, 160), "uint8")
    values[::4, ::4] = 7
    path = write_raster(tmp_path / "fine.tif", values, transform=Affine(2.5, 0, WEST - 40, 0, -2.5, NORTH + 40))
    assert (burn(read_labels(path, resampling="mode", classes={1: 5})) == 5).all()
    values[16:20, 16:20] = 7
    write_raster(tmp_path / "fine.tif", values, transform=Affine(2.5, 0, WEST - 40, 0, -2.5, NORTH + 40))
    with pytest.raises(InputError, match=r"fine\.tif' holds the value 7"):
        burn(read_labels(path, resampling="mode", classes={1: 5}))


@pytest.mark.parametrize(
    ("column", "row"), [(0, 0), (-20, 0), (20, -7), (0, 31), (-31, -31), (-32, 0), (0, 32), (300, 300)]
)
@pytest.mark.parametrize("down", [1, -1])
def test_rasters_on_the_grid_of_tiles_end_where_they_end(tmp_path, column, row, down):
    values = np.random.default_rng(9).integers(1, 200, (32, 32)).astype("uint8")
    transform = Affine(10, 0, WEST + 10 * column, 0, -10 * down, NORTH - 10 * row - (320 if down < 0 else 0))
    path = write_raster(tmp_path / "map.tif", values, transform=transform)
    np.testing.assert_array_equal(burn(read_labels(path, unknown=254)), under_centres(values, transform, UTM, 254))


def test_keys_of_one_meaning_and_different_classes_are_named(tmp_path):
    path = write_raster(tmp_path / "map.tif", np.full((40, 40), 5, "uint8"))
    for first, second in (("5.0", "05"), ("0-5", "5-9")):
        with pytest.raises(InputError, match=f"keys '{first}' and '{second}' of labels.classes both stand for .* 5"):
            burn(read_labels(path, classes={first: 1, second: 2}))
        assert (burn(read_labels(path, classes={first: 1, second: 1})) == 1).all()


def test_features_of_unknown_label_are_unknown_alone_and_over_rasters(tmp_path):
    boxes = [shapely.box(WEST + 20 * n, SOUTH, WEST + 20 * n + 10, SOUTH + 10) for n in range(3)]
    path = write_vectors(tmp_path / "a.gpkg", boxes, UTM, kind=["field", "cloud", "none"], height=[1.5, math.nan, 2.5])
    classes = {"field": 1, "cloud": 254, "none": 255}
    alone = read_labels(path, attribute="kind", classes=classes, unknown=254, all_touched=False).describe(
        TILE, range(3)
    )
    assert (alone.values, alone.known) == ([1], 32 * 32 - 1)
    raster = write_raster(tmp_path / "dem.tif", np.full((40, 40), 7, "float32"))
    layers = [{"path": raster}, {"path": path, "attribute": "height"}]
    over = read_labels(path, kind="continuous", layers=layers, all_touched=False)
    assert over.describe(TILE, range(3)).known == 32 * 32 - 1
    np.testing.assert_array_equal(burn(over)[31, :5], np.array([1.5, 7, math.nan, 7, 2.5], np.float32))


def test_rasters_of_the_whole_earth_and_around_poles_are_read_for_a_named_area(tmp_path):
    world = Affine(100_000, 0, -18e6, 0, -100_000, 9e6)
    path = write_raster(tmp_path / "maps/a.tif", np.full((180, 360), 3, "uint8"), "ESRI:54009", world)
    assert (burn(read_labels(path)) == 3).all()
    write_raster(tmp_path / "maps/b.tif", np.full((40, 20), 4, "uint8"))
    labels = burn(read_labels(tmp_path / "maps"))
    assert (labels[:, :16] == 4).all() and (labels[:, 16:] == 3).all()
    around = Affine(10, 0, -200, 0, -10, 200)
    pole = write_raster(tmp_path / "pole.tif", np.ones((40, 40), "uint8"), "EPSG:3031", around)
    for raster in (path, pole):
        with pytest.raises(InputError, match="beyond the earth or around a pole; name the area with tiles.aoi"):
            raster_extents(raster)
