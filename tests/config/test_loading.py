"""Each broken rule of the config gives one line that says what is wrong and what to do."""

import copy
import math
from datetime import date, datetime
from pathlib import Path

import pytest
import yaml

from segchips.config.loading import load_config
from segchips.errors import ConfigError

GOOD = {
    "tiles": {"size": 64, "pad": 2, "resolution": 10},
    "imagery": {
        "catalog": "catalog.json",
        "products": [{"id": "s2", "bands": ["B1"]}],
        "start": "2017-01-01",
        "end": "2017-12-31",
        "reference_date": "2017-06-30",
    },
    "labels": {"path": "labels.gpkg"},
}
MISSING = object()


def changed(key, value, block=None):
    """The good dataset with one key, such as `imagery.products.0.id`, set or taken away."""
    content = copy.deepcopy(GOOD if block is None else block)
    *path, last = [int(part) if part.isdecimal() else part for part in key.split(".")]
    place = content
    for part in path:
        place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return content


def load(**datasets):
    return load_config({"datasets": datasets})


def complaint(raw):
    with pytest.raises(ConfigError) as caught:
        load_config(raw)
    return str(caught.value)


# Each case: the key, its value, and what the line says after the key.
RULES = [
    ("tiles", 5, r"5 is not usable; it must be a block of keys\. Which tiles are made\."),
    ("tiles.size", 0, "0 is not usable; it must be at least 1. Pixels along a chip's side, including padding"),
    ("tiles.size", 16385, "16385 is not usable; it must be at most 16384"),
    ("tiles.size", "64", "'64' is not usable; it must be a"),
    ("tiles.size", 64.5, "64.5 is not usable; it must be a"),
    ("tiles.size", True, "True is not usable; it must be a"),
    ("tiles.size", 4, "4 leaves no pixel between paddings of 2 pixels; it must be above 4"),
    ("tiles.pad", -1, "-1 is not usable; it must be at least 0"),
    ("tiles.pad", 1.5, "1.5 is not usable; it must be a"),
    ("tiles.resolution", 0, "0 is not usable; it must be above 0"),
    ("tiles.resolution", -10, "-10 is not usable; it must be above 0"),
    ("tiles.resolution", "10 m", "'10 m' is not usable; it must be a number"),
    ("tiles.resolution", 1 / 3, r"0\.333\d+ has more than the six decimals of a tile key; round it to 0\.333333"),
    ("tiles.aoi", 5, "5 is not usable; it must be text or null"),
    ("tiles.layer", ["a"], r"\['a'\] is not usable; it must be text or null"),
    ("tiles.keys", [], r"\[\] is not usable; it must not be empty"),
    ("tiles.keys", 5, "5 is not usable; it must be a list or text or null"),
    ("tiles.keys.0", 5, "5 is not usable; it must be text"),
    ("tiles.colour", 5, "unknown key; known keys are size, pad, resolution, aoi, layer, keys, grid, stride, centers"),
    ("tiles.resolutoin", 5, "unknown key; did you mean 'resolution'?"),
    ("imagery", MISSING, "missing; Where scenes come from and how they become one chip"),
    ("imagery", [], r"\[\] is not usable; it must be a block of keys"),
    ("imagery.source", "planet", "'planet' is not usable; choose one of stac"),
    ("imagery.catalog", MISSING, "missing; source 'stac' needs the path or URL of a catalogue"),
    ("imagery.catalog", 5, "5 is not usable; it must be text or null"),
    ("imagery.sign", "amazon", "'amazon' is not usable; choose one of planetary_computer, null"),
    ("imagery.products", MISSING, "missing; name the products and their bands"),
    ("imagery.products", [], r"\[\] is not usable; it must not be empty"),
    ("imagery.products", {"id": "s2"}, "{'id': 's2'} is not usable; it must be a list"),
    ("imagery.products.0", "s2", "'s2' is not usable; it must be a block of keys"),
    ("imagery.products.0.id", MISSING, r"missing; Product id, or STAC collection id"),
    ("imagery.products.0.id", "", "'' is not usable; it must not be empty"),
    ("imagery.products.0.bands", MISSING, "missing; name the bands of 's2'"),
    ("imagery.products.0.bands", [], r"\[\] is not usable; it must not be empty"),
    ("imagery.products.0.bands", "B1", "'B1' is not usable; it must be a list"),
    ("imagery.products.0.bands", ["B1", "B1"], r"\['B1', 'B1'\] is not usable; an entry is repeated"),
    ("imagery.products.0.bands.0", 4.5, "4.5 is not usable; it must be text or a whole number"),
    (
        "imagery.products.0.resampling",
        "linear",
        "'linear' is not usable; choose one of nearest, bilinear, cubic, .*rms",
    ),
    ("imagery.products.0.nodata", "0", "'0' is not usable; it must be a number or a block of keys or null"),
    ("imagery.products.0.band", "B1", "unknown key; did you mean 'bands'?"),
    ("imagery.start", "2017-02-29", "'2017-02-29' is not usable; a date is written YYYY-MM-DD, such as 2017-06-30"),
    ("imagery.start", "1.1.2017", "'1.1.2017' is not usable; a date is written YYYY-MM-DD"),
    ("imagery.start", 2017, "2017 is not usable; it must be text or null"),
    ("imagery.start", datetime(2017, 1, 1, 12), "'2017-01-01T12:00:00' is not usable; a date is written YYYY-MM-DD"),
    ("imagery.start", "2018-01-01", r"2018-01-01 is after end \(2017-12-31\); swap them"),
    ("imagery.filter", "platform is", r"'platform is' cannot be parsed \(.*\); write CQL2 text such as platform ="),
    ("imagery.filter.platform", {"a": 1}, "{'a': 1} cannot be matched; give a text, a number or a list of them"),
    ("imagery.end", "tomorrow", "'tomorrow' is not usable; a date is written YYYY-MM-DD"),
    (
        "imagery.max_cloud",
        0,
        "0 is not usable; it must be above 0. A scene is used if its cloud fraction is strictly below",
    ),
    ("imagery.max_cloud", 20, "20 is not usable; it must be at most 1"),
    ("imagery.max_cloud", "10 %", "'10 %' is not usable; it must be a number or null"),
    ("imagery.composite", "max", "'max' is not usable; choose one of closest, least_cloud, median, mean"),
    (
        "imagery.reference_date",
        MISSING,
        "missing; composite 'closest' counts days from it, so name one such as 2017-01-01",
    ),
    ("imagery.reference_date", None, "missing; composite 'closest' counts days from it"),
    ("imagery.reference_date", "June", "'June' is not usable; a date is written YYYY-MM-DD"),
    ("imagery.cloud_mask", "SCL", "'SCL' is not usable; it must be a block of keys or null"),
    ("imagery.cloud_mask", {"clear": [1]}, "name either asset .* or product and band"),
    (
        "imagery.cloud_mask",
        {"asset": "SCL", "product": "m", "band": "m", "clear": [1]},
        "name either asset .* or product",
    ),
    ("imagery.cloud_mask.band", MISSING, "missing; name the band of product 'm' that holds the mask"),
    ("imagery.cloud_mask", {"asset": "SCL"}, "give one of clear .*, bits and fields .*, or max and min"),
    (
        "imagery.cloud_mask",
        {"asset": "SCL", "clear": [1], "bits": [2]},
        "give one of clear .*, bits and fields .*, or max and min",
    ),
    (
        "imagery.cloud_mask.values",
        [4],
        "unknown key; known keys are asset, product, band, clear, bits, fields, max",
    ),
    ("imagery.cloud_mask.clear", [], r"\[\] is not usable; it must not be empty"),
    ("imagery.cloud_mask.clear.0", "cloud", "'cloud' is not usable; it must be a"),
    ("imagery.cloud_mask.bits.0", -1, "-1 is not usable; it must be at least 0"),
    ("imagery.cloud_mask.bits.0", 32, "32 is not usable; it must be at most 31"),
    ("imagery.min_valid", -0.1, "-0.1 is not usable; it must be at least 0"),
    ("imagery.min_valid", 50, "50 is not usable; it must be at most 1"),
    ("imagery.source", "sentinelhub", "'sentinelhub' is not usable; choose one of stac, descarteslabs, earthone"),
    (
        "imagery.products.0.processing_level",
        "toa",
        "'toa' is for descarteslabs and earthone; source 'stac' reads files as they are, so remove the key",
    ),
    ("imagery.products.0.processing_level", 5, "5 is not usable; it must be text or null"),
    ("imagery.on_failure", "ignore", "'ignore' is not usable; choose one of fail, exclude, skip_scene"),
    ("tiles.grid", None, "None is not usable; it must be text or a block of keys"),
    ("imagery.patience", 0, "0 is not usable; it must be at least 1"),
    ("imagery.patience", None, "None is not usable; it must be a number"),
    ("labels", MISSING, "missing; The features and how they are burned"),
    ("labels", [], r"\[\] is not usable; it must be a block of keys"),
    ("labels.path", MISSING, "missing; Vector file or raster that holds the labels"),
    ("labels.path", 5, "5 is not usable; it must be text"),
    ("labels.layer", 5, "5 is not usable; it must be text or null"),
    ("labels.attribute", 5, "5 is not usable; it must be text or null"),
    ("labels.value", 256, "256 is not usable; it must be at most 255"),
    ("labels.value", -1, "-1 is not usable; it must be at least 0"),
    ("labels.value", 255, "255 is also the background; choose another value for one of them"),
    ("labels.background", 256, "256 is not usable; it must be at most 255"),
    ("labels.background", -1, "-1 is not usable; it must be at least 0"),
    ("labels.background", "none", "'none' is not usable; it must be a"),
    ("labels.all_touched", "yes", "'yes' is not usable; it must be true or false"),
    ("labels.classes", {"a": 1}, "given without attribute; name the attribute whose values they map"),
    ("labels.classes", ["a"], r"\['a'\] is not usable; it must be a block of keys or null"),
    ("labels.classes.water", 300, "300 is not usable; it must be at most 255"),
    ("labels.classes.water", "one", "'one' is not usable; it must be a"),
    ("labels.layers", [], r"\[\] is not usable; it must not be empty"),
    ("labels.layers.0", "a.gpkg", "'a.gpkg' is not usable; it must be a block of keys"),
    ("labels.layers.0.background", 5, "unknown key; it belongs in labels"),
    ("labels.layers.0.value", 255, "255 is also the background"),
    ("labels.layers.0.classes", {"a": 1}, "given without attribute"),
    ("labels.atribute", "class", "unknown key; did you mean 'attribute'?"),
    ("lables", {}, "unknown key; did you mean 'labels'?"),
]
PREPARED = {
    "imagery.cloud_mask.values": ("imagery.cloud_mask", {"asset": "m"}),
    "imagery.cloud_mask.band": ("imagery.cloud_mask", {"product": "m", "band": "m", "clear": [1]}),
    "imagery.cloud_mask.clear": ("imagery.cloud_mask", {"asset": "m"}),
    "imagery.cloud_mask.clear.0": ("imagery.cloud_mask", {"asset": "m", "clear": [1]}),
    "imagery.cloud_mask.bits.0": ("imagery.cloud_mask", {"asset": "m", "bits": [1]}),
    "labels.layers.0": ("labels.layers", [{}]),
    "labels.layers.0.background": ("labels.layers", [{}]),
    "labels.layers.0.value": ("labels.layers", [{}]),
    "labels.layers.0.classes": ("labels.layers", [{}]),
    "labels.classes.water": ("labels.attribute", "class"),
    "tiles.keys.0": ("tiles.keys", ["a"]),
}


@pytest.mark.parametrize(("key", "value", "words"), RULES)
def test_a_broken_rule_is_reported_in_one_line(key, value, words):
    content = changed(key, value, changed(*PREPARED[key]) if key in PREPARED else None)
    line = complaint({"datasets": {"mumbai_2017": content}})
    assert "\n" not in line and line.startswith(f"datasets.mumbai_2017.{key}: ")
    pytest.raises(ConfigError, load_config, {"datasets": {"mumbai_2017": content}}).match(words)


@pytest.mark.parametrize(("key", "value", "words"), RULES[::9])
def test_an_invalid_default_is_reported_for_the_dataset(key, value, words):
    content = changed(key, value, changed(*PREPARED[key]) if key in PREPARED else None)
    line = complaint({"defaults": content, "datasets": {"mumbai_2017": None}})
    assert line.startswith(f"datasets.mumbai_2017.{key}: ") and "\n" not in line


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({}, r"config\.datasets: missing; The datasets by name"),
        ({"datasets": {}}, r"datasets: \{\} is not usable; it must not be empty"),
        ({"datasets": []}, r"datasets: \[\] is not usable; it must be a block of keys"),
        (
            {"datasets": {"mumbai-2017": GOOD}},
            "'mumbai-2017' is not a valid name; use lower-case letters, digits and underscores",
        ),
        ({"datasets": {"2017": GOOD}}, "'2017' is not a valid name"),
        ({"datasets": {2017: GOOD}}, "'2017' is not a valid name"),
        ({"datasets": {"": GOOD}}, "'' is not a valid name"),
        ({"datasets": {"a": 5}}, r"datasets\.a: 5 is not usable; it must be a block of keys or null"),
        ({"datasets": {"a": GOOD}, "result": "x"}, r"config\.result: unknown key; did you mean 'results'\?"),
        ({"datasets": {"a": GOOD}, "results": ""}, "results: '' is not usable; it must not be empty"),
        ({"datasets": {"a": GOOD}, "results": 5}, "results: 5 is not usable; it must be text. Folder that receives"),
        ({"datasets": {"a": GOOD}, "defaults": 5}, "defaults: 5 is not usable; it must be a block of keys"),
    ],
)
def test_the_top_of_the_config(raw, line):
    pytest.raises(ConfigError, load_config, raw).match(line)


def test_every_mistake_has_a_line():
    content = changed("tiles.size", -5, changed("imagery.composite", "max", changed("labels.colour", "red")))
    lines = complaint({"datasets": {"a": content}}).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "datasets.a.imagery.composite",
        "datasets.a.labels.colour",
        "datasets.a.tiles.size",
    ]


def test_two_products_of_one_name():
    content = changed("imagery.products", [{"id": "s2", "bands": ["B1"]}, {"id": "s2", "bands": ["B2"]}])
    assert complaint({"datasets": {"a": content}}).startswith(
        "datasets.a.imagery.products: a product is named twice (s2, s2); list all its bands in one entry"
    )


def test_aoi_and_keys_at_once():
    content = changed("tiles.aoi", "aoi.gpkg", changed("tiles.keys", ["60:2:10.0:33:-58:8465"]))
    assert (
        complaint({"datasets": {"a": content}}) == "datasets.a.tiles: both aoi (aoi.gpkg) and keys are given; keep one"
    )


def test_only_the_wrong_dataset_is_named():
    line = complaint({"datasets": {"right": GOOD, "wrong": changed("tiles.size", 0)}})
    assert line.startswith("datasets.wrong.tiles.size: ") and "right" not in line.split(";")[0]


# What a good config becomes.


def test_defaults_of_the_schema_fill_what_is_not_said():
    dataset = load(a={key: block for key, block in GOOD.items() if key != "tiles"}).datasets["a"]
    assert (dataset.tiles.size, dataset.tiles.pad, dataset.tiles.resolution) == (64, 2, 10.0)
    assert dataset.tiles.tile_grid().key == "60:2:10.0"
    product = dataset.imagery.first.products[0]
    assert (product.resampling, product.nodata, product.bands) == ("nearest", None, ("B1",))
    assert dataset.imagery.first.start == date(2017, 1, 1) and dataset.imagery.first.end == date(2017, 12, 31)
    assert dataset.imagery.first.reference_date == date(2017, 6, 30)
    assert (dataset.imagery.first.source, dataset.imagery.first.composite, dataset.imagery.first.max_cloud) == (
        "stac",
        "closest",
        None,
    )
    assert dataset.imagery.first.cloud_mask is None and dataset.imagery.first.min_valid == 0
    assert (dataset.labels.first.background, dataset.labels.first.all_touched) == (255, True)
    (layer,) = dataset.labels.first.layers
    assert (layer.path, layer.layer, layer.attribute, layer.value, layer.classes) == (
        "labels.gpkg",
        None,
        None,
        1,
        None,
    )
    assert load(a=GOOD).results == Path("results")


def test_a_dataset_overrides_the_defaults_key_by_key():
    text = """
    results: there
    defaults:
      tiles: {size: 128, pad: 4, resolution: 5}
      imagery:
        catalog: c.json
        products: [{id: a, bands: [x], resampling: cubic}, {id: b, bands: [y]}]
        start: 2017-01-01
        end: 2017-12-31
        reference_date: 2017-06-30
        max_cloud: 0.1
        cloud_mask: {asset: m, clear: [0, 1]}
      labels: {path: l.gpkg, attribute: kind, classes: {1: 5, 2.5: 6, old: null}}
    datasets:
      same:
      later: {imagery: {start: 2018-01-01, end: 2018-12-31, reference_date: 2018-06-30}}
      other:
        tiles: {pad: 0}
        imagery: {products: [{id: a, bands: [z]}], max_cloud: null, cloud_mask: {clear: [9]}}
        labels: {classes: {new: 1}}
      plain: {imagery: {cloud_mask: null}, labels: {attribute: null, classes: null, value: 3}}
    """
    config = load_config(yaml.safe_load(text))
    same, later, other, plain = (config.datasets[name] for name in ("same", "later", "other", "plain"))
    assert config.results == Path("there") and list(config.datasets) == ["same", "later", "other", "plain"]
    assert (same.tiles.size, same.tiles.pad, other.tiles.size, other.tiles.pad) == (128, 4, 128, 0)
    assert later.imagery.first.start == date(2018, 1, 1) and later.imagery.first.max_cloud == 0.1
    assert (
        later.imagery.first.products == same.imagery.first.products
        and same.imagery.first.products[0].resampling == "cubic"
    )
    assert [product.id for product in other.imagery.first.products] == ["a"] and other.imagery.first.products[
        0
    ].resampling == "nearest"
    assert other.imagery.first.max_cloud is None and other.imagery.first.cloud_mask.asset == "m"
    assert other.imagery.first.cloud_mask.clear == (9,) and same.imagery.first.cloud_mask.clear == (0, 1)
    assert same.labels.layers[0].classes == {"1": 5, "2.5": 6, "old": None}
    assert other.labels.layers[0].classes == {"new": 1} and other.labels.layers[0].attribute == "kind"
    assert plain.imagery.first.cloud_mask is None and plain.labels.layers[0].value == 3


def test_layers_override_the_keys_above_them():
    block = {
        "path": "a.gpkg",
        "attribute": "kind",
        "classes": {"x": 1},
        "layers": [{"layer": "one"}, {"path": "b.gpkg", "attribute": None, "classes": None, "value": 9}],
    }
    one, two = load(a=GOOD | {"labels": block}).datasets["a"].labels.first.layers
    assert (one.path, one.layer, one.attribute, one.classes) == ("a.gpkg", "one", "kind", {"x": 1})
    assert (two.path, two.layer, two.attribute, two.classes, two.value) == ("b.gpkg", None, None, None, 9)


def test_value_may_equal_background_if_an_attribute_is_burned():
    labels = (
        load(a=changed("labels", {"path": "l", "attribute": "kind", "value": 0, "background": 0}))
        .datasets["a"]
        .labels.first
    )
    assert labels.background == 0 and labels.layers[0].attribute == "kind"


@pytest.mark.parametrize("source", ["descarteslabs", "earthone"])
def test_a_platform_needs_no_catalogue_and_warps_as_it_can(source):
    block = changed("imagery.catalog", MISSING, changed("imagery.source", source))
    imagery = load(a=block).datasets["a"].imagery.first
    assert (imagery.on_platform, imagery.on_failure, imagery.patience, imagery.requests) == (True, "fail", 300, 32)
    line = complaint({"datasets": {"a": changed("imagery.products.0.resampling", "rms", block)}})
    assert line == f"datasets.a.imagery.products.0.resampling: source '{source}' does not offer 'rms'; choose another"


def test_requests_are_for_all_datasets():
    assert load_config({"requests": 3, "datasets": {"a": GOOD}}).datasets["a"].imagery.first.requests == 3
    assert complaint({"requests": 0, "datasets": {"a": GOOD}}).startswith("requests: 0 is not usable; it must be at")


@pytest.mark.parametrize("value", [64.0, 128.0])
def test_an_integral_float_makes_the_same_tiles_or_is_refused(value):
    try:
        dataset = load(a=changed("tiles.size", value)).datasets["a"]
    except ConfigError:
        return
    assert dataset.tiles.tile_grid().key == f"{int(value) - 4}:2:10.0"


@pytest.mark.parametrize(
    ("key", "value"),
    [("tiles.resolution", math.inf), ("imagery.max_cloud", math.nan), ("imagery.min_valid", math.nan)],
)
def test_infinite_numbers_and_nan_are_refused(key, value):
    assert complaint({"datasets": {"a": changed(key, value)}}).startswith(f"datasets.a.{key}: ")


def test_datasets_of_chips_have_shards_by_size_by_default():
    chips = {"images": "images", "labels": "labels"}
    for defaults, own, shards in (
        ({}, {}, 0),
        ({}, {"shards": 3}, 3),
        ({"shards": 5}, {}, 5),
        ({"shards": 5}, {"shards": None}, 0),
    ):
        raw = {"defaults": {"tfrecords": defaults}, "datasets": {"a": {"chips": chips, "tfrecords": own}}}
        assert load_config(raw).conversions["a"].tfrecords.shards == shards
