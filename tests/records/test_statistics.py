"""Pixel counts and statistics against NumPy over all pixels at once, and normalised images against the formula."""

import json
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

import segchips
from segchips.errors import InputError, RecordError
from segchips.records.dataset_description import describe_dataset
from segchips.records.dataset_info import ChipLayout, DatasetInfo
from segchips.records.normalisation import Normaliser
from segchips.records.part_counts import PartCounts
from segchips.records.pixel_counts import BLOCK_PIXELS
from segchips.records.pixel_values import valid_pixels
from segchips.records.statistics import summarise_counts
from segchips.records.statistics_file import BandStatistics
from support.chips import records_config, write_chip, write_chip_folders
from support.scene_series import TILE, SceneSeries
from support.tile_shards import KEYS, describe_tile_shards, one_split_config, write_tile_chips, write_tile_shard

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64", "float32", "float64"]
NODATA = {"uint8": 7, "int8": -3, "uint16": 0, "int16": -999, "float32": -9999.0, "float64": float("nan")}


def chips(dtype, count=5, shape=(40, 30, 3), classes=(1, 2, 5, 255), seed=0):
    """Skewed values round other centres in each class, with nodata here and there; label blocks."""
    rng, kind, found = np.random.default_rng(seed), np.dtype(dtype), []
    for _ in range(count):
        label = np.kron(rng.choice(classes, (shape[0] // 10, shape[1] // 10)), np.ones((10, 10), int)).astype("uint8")
        values = rng.gamma(2, 8, shape) + label[..., None] % 7 * np.array([1, -2, 4][: shape[2]])
        image = values.clip(0 if kind.kind == "u" else -100, 120).astype(dtype)
        if kind.kind == "f":
            image[rng.random(shape) < 0.05] = np.nan
            image[0, 0] = np.inf
        image[rng.random(shape) < 0.1] = NODATA.get(dtype, 0)
        found.append((image, label))
    return found


def count_chips(pairs, dtype, nodata):
    counts = PartCounts([""], [""])
    for image, label in pairs:
        counts.add([image], [label], [nodata])
    return counts


def summarise(counts, names, background, dtype="uint8", nodata=None, label_dtype="uint8"):
    """The statistics of counts of one layer and one target."""
    image = ChipLayout(dtype, (1, 1, len(names)), "", nodata, tuple(names))
    label = ChipLayout(label_dtype, (), "", background)
    return summarise_counts(counts, DatasetInfo("d", "array", None, {}, {"": image}, {"": label}, {"": None}))


def exact(values):
    """Count, mean and standard deviation by rational arithmetic."""
    parts = [Fraction(value) for value in values.tolist()]
    mean = sum(parts) / len(parts)
    return len(parts), float(mean), float(sum((part - mean) ** 2 for part in parts) / len(parts)) ** 0.5


def check_band(found, pixels, nodata):
    values = pixels[np.isfinite(pixels) & (pixels != nodata if nodata is not None else True)]
    assert found.count == values.size
    assert found.nodata_share == (pixels.size - values.size) / pixels.size
    if not values.size:
        assert (found.min, found.max, found.mean, found.std, found.percentiles) == (None,) * 5
        return
    assert (found.min, found.max) == (values.min(), values.max())
    _, mean, std = exact(values)
    tight = 1e-12 if values.dtype.kind == "f" else 1e-15
    assert found.mean == pytest.approx(mean, rel=tight, abs=tight)
    assert found.std == pytest.approx(std, rel=max(tight, 1e-14))
    expected = np.percentile(values.astype(np.float64), list(found.percentiles))
    narrow = values.dtype.kind != "f" and values.dtype.itemsize < 4
    np.testing.assert_allclose(list(found.percentiles.values()), expected, rtol=1e-12 if narrow else 1e-3, atol=1e-9)


def check(found, pairs, nodata, background=255):
    images = np.stack([image for image, _ in pairs])
    labels = np.stack([label for _, label in pairs])
    assert (found.chips, found.pixels) == (len(pairs), labels.size)
    for band, one in enumerate(found.bands):
        check_band(one, images[..., band].ravel(), nodata)
    values = np.unique(labels).tolist()
    assert list(found.classes) == values
    for value, one in found.classes.items():
        assert one.pixels == (labels == value).sum()
        assert one.share == (labels == value).sum() / labels.size
        assert one.chips == sum((label == value).any() for label in labels)
        for band, part in enumerate(one.bands):
            check_band(part, images[labels == value][:, band], nodata)
    check_weights(found.classes, background)


def check_weights(classes, background):
    for key, members in (
        ("weight", [value for value in classes if value != background]),
        ("weight_with_background", list(classes)),
    ):
        pixels = sum(classes[value].pixels for value in members)
        for value in members:
            expected = pixels / len(members) / classes[value].pixels
            assert getattr(classes[value], key) == pytest.approx(expected, rel=1e-15)
        assert sum(getattr(classes[value], key) * classes[value].pixels for value in members) == pytest.approx(pixels)
    assert background not in classes or classes[background].weight is None


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_figure_is_that_of_all_pixels_at_once(dtype):
    nodata = NODATA.get(dtype, 0)
    pairs = chips(dtype)
    found = summarise(count_chips(pairs, dtype, nodata), ["a", "b", None], 255)
    assert [band.name for band in found.bands] == ["a", "b", None]
    check(found, pairs, nodata)


@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_percentiles_of_zeros_are_zero(dtype):
    image = np.r_[np.zeros(60), np.full(40, 20)].astype(dtype).reshape(10, 10, 1)
    (band,) = summarise(count_chips([(image, np.ones((10, 10), "uint8"))], dtype, None), ["a"], 255, dtype).bands
    expected = {at: 0.0 if at <= 50 else 20.0 for at in band.percentiles}
    assert band.percentiles == pytest.approx(expected, abs=0, rel=1e-3)


@pytest.mark.parametrize(
    "dtype",
    ["uint8", "float32", *(pytest.param(name, marks=pytest.mark.slow) for name in ("uint16", "int16", "int32"))],
)
def test_parts_add_up_whatever_their_order_and_size(dtype, tmp_path):
    pairs = chips(dtype, 12, (60, 60, 2)) + chips(dtype, 2, (370, 370, 2), seed=1)
    assert pairs[-1][1].size > BLOCK_PIXELS
    parts = [count_chips(pairs[start:end], dtype, 0) for start, end in ((0, 1), (1, 8), (8, 13), (13, 14))]
    for number, part in enumerate(parts):
        part.save(tmp_path / f"{number}.npz")
    merged = PartCounts([""], [""])
    for number in (2, 0, 3, 1):
        merged.merge(PartCounts.read(tmp_path / f"{number}.npz", [""], [""]))
    whole = count_chips(pairs, dtype, 0)
    found, expected = (summarise(one, ["a", "b"], 255) for one in (merged, whole))
    if dtype == "float32":
        for one, other in zip(found.bands, expected.bands, strict=True):
            assert (one.count, one.min, one.max, one.percentiles) == (
                other.count,
                other.min,
                other.max,
                other.percentiles,
            )
            assert (one.mean, one.std) == pytest.approx((other.mean, other.std), rel=1e-13)
    else:
        assert found == expected
    images, labels = (
        np.concatenate([pair[n].reshape(-1, pair[n].size // pair[1].size) for pair in pairs]) for n in (0, 1)
    )
    for band in range(2):
        check_band(found.bands[band], images[:, band], 0)
        check_band(found.classes[2].bands[band], images[labels[:, 0] == 2][:, band], 0)


def test_the_same_chips_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        count_chips(chips("float32"), "float32", -9999.0).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("dtype", ["uint16", "int32", "uint32", "int64", "uint64", "float64"])
def test_no_sum_overflows_and_no_digit_is_lost(dtype):
    if dtype == "float64":
        values = np.array([1e300, -1e300, 3e299, 1e-300] * 50)
    else:
        limits = np.iinfo(dtype)
        values = np.array([limits.min, limits.max, limits.max - 1, limits.min + 5, 77] * 50, dtype)
    counts = count_chips([(values.reshape(10, -1, 1), np.ones((10, values.size // 10), "uint8"))] * 3, dtype, None)
    sums = counts.of_target("")[""].sums(1, 0)
    parts = [Fraction(value) for value in values.tolist()] * 3
    assert (sums.count, sums.low, sums.high) == (len(parts), min(values.tolist()), max(values.tolist()))
    if dtype == "float64":
        assert sums.mean == pytest.approx(float(sum(parts) / len(parts)), rel=1e-12)
        assert sums.std == pytest.approx(values.astype(np.longdouble).std(), rel=1e-12)
    else:
        assert (sums.total, sums.squares) == (sum(parts), sum(part * part for part in parts))


def test_a_mean_far_from_zero_leaves_the_deviation_exact():
    values = (np.arange(4000) % 2 + 1e9).reshape(50, 80, 1)
    sums = count_chips([(values, np.zeros((50, 80), "uint8"))], "float64", None).of_target("")[""].sums(0, 0)
    assert (sums.mean, sums.std) == (1e9 + 0.5, 0.5)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "float32"])
def test_labels_of_other_types_are_classes_too(dtype):
    pairs = [(image, label.astype(dtype) * (300 if dtype != "float32" else 1)) for image, label in chips("uint8")]
    check(summarise(count_chips(pairs, "uint8", 7), ["a", "b", "c"], 255 * 300), pairs, 7, 255 * 300)


@pytest.mark.parametrize("labels", ["many", "late", "fractions", "gaps"])
def test_labels_that_are_no_classes_leave_the_bands(labels, tmp_path):
    pairs = chips("uint8", 4)
    kind = "float32" if labels in ("fractions", "gaps") else "int32"
    pairs = [(image, label.astype(kind)) for image, label in pairs]
    image, label = pairs[-1 if labels == "late" else 0]
    label[:20, :20] = {
        "fractions": 0.5,
        "gaps": np.nan,
    }.get(labels, np.arange(400).reshape(20, 20))
    whole, merged = count_chips(pairs, "uint8", 7), PartCounts([""], [""])
    for pair in pairs:
        count_chips([pair], "uint8", 7).save(tmp_path / "part")
        merged.merge(PartCounts.read(tmp_path / "part", [""], [""]))
    for counts in (whole, merged):
        found = summarise(counts, ["a", "b", "c"], 255)
        assert (found.classes, found.chips, found.pixels) == (None, 4, 4800)
        images = np.stack([image for image, _ in pairs])
        for band, one in enumerate(found.bands):
            check_band(one, images[..., band].ravel(), 7)


def test_pixels_that_are_all_nodata_give_no_figures(tmp_path):
    pairs = [(np.full((5, 4, 2), 7, "uint8"), np.ones((5, 4), "uint8"))]
    check(summarise(count_chips(pairs, "uint8", 7), ["a", "b"], 255), pairs, 7)
    empty = PartCounts([""], [""])
    empty.save(tmp_path / "empty")
    found = summarise(PartCounts.read(tmp_path / "empty", [""], [""]), ["a", "b"], 255)
    assert (found.chips, found.pixels, found.classes) == (0, 0, {})
    assert found.bands[0] == BandStatistics("a", 0, 0.0)


def test_a_split_without_chips_has_measurements_without_figures():
    found = summarise(PartCounts([""], [""]), ["a"], math.nan, label_dtype="float32")
    assert found.measurements == {"": BandStatistics(None, 0, 0.0)}


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_pixels_outside_a_chips_mask_count_for_their_class_and_for_no_value(dtype, tmp_path):
    pairs, rng = chips(dtype), np.random.default_rng(5)
    masks = [None, *(rng.random(label.shape) < 0.7 for _, label in pairs[1:])]
    counts = PartCounts([""], [""])
    for (image, label), mask in zip(pairs, masks, strict=True):
        counts.add([image], [label], [None], [mask])
    counts.save(tmp_path / "counts.npz")
    counts = PartCounts.read(tmp_path / "counts.npz", [""], [""])
    assert not counts.is_divisible
    found = summarise(counts, ["a", "b", "c"], 255)
    images, labels = (np.stack(part) for part in zip(*pairs, strict=True))
    valid = np.stack([np.ones(labels.shape[1:], bool) if mask is None else mask for mask in masks])
    assert found.pixels == labels.size
    for band, one in enumerate(found.bands):
        plane = images[..., band]
        values = plane[valid & np.isfinite(plane)]
        assert (one.count, one.min, one.max) == (values.size, values.min(), values.max())
        assert one.mean == pytest.approx(exact(values)[1], rel=1e-12)
        assert one.nodata_share == (labels.size - values.size) / labels.size
        for value, part in found.classes.items():
            assert part.pixels == (labels == value).sum()
            assert part.bands[band].count == (valid & np.isfinite(plane) & (labels == value)).sum()


def test_black_pixels_of_chips_without_nodata_are_values(tmp_path):
    folder = SceneSeries(tmp_path / "scenes")
    picture = np.random.default_rng(3).choice(np.array([0, 0, 200], np.uint8), (24, 24))
    folder.add("a", "2017-07-01T10:00:00Z", {"B1": picture}, grid={"step": 10, "shift": (9, 0)})
    chip = folder.chip()
    name = f"{TILE.name}.tif"
    (tmp_path / "images").mkdir()
    (tmp_path / "scenes" / name).rename(tmp_path / "images" / name)
    write_chip(tmp_path / "labels" / name, np.ones((16, 16, 1), "uint8"), nodata=255)
    index = write_tile_shard(tmp_path, [TILE.key])[1]
    images, labels = {"": tmp_path / "images" / name}, {"": tmp_path / "labels" / name}
    describe_dataset(tmp_path / "tfrecords", "sample", one_split_config(), {"train": [index]}, images, labels, [255])
    (band,) = segchips.statistics(tmp_path / "tfrecords")["train"].bands
    values = picture[4:20, :11]
    assert (band.count, band.min, band.max, band.mean) == (values.size, 0, 200, values.mean())
    assert band.nodata_share == 5 / 16 and chip.valid == 11 / 16
    assert segchips.read_info(tmp_path / "tfrecords").image.nodata is None


def test_a_damaged_counts_file_is_named(tmp_path):
    (tmp_path / "sample-train.statistics-00000-of-00001.npz").write_bytes(b"PK no")
    with pytest.raises(RecordError, match="sample-train.statistics-00000-of-00001.npz cannot be read"):
        PartCounts.read(tmp_path / "sample-train.statistics-00000-of-00001.npz", [""], [""])


def dataset(root, dtype="uint16", storage="array", nodata=0, compression=None, splits=("train", "val")):
    """A dataset of shards with their tallies, as the workflow writes it; its pixels by split."""
    write_tile_chips(root, dtype, (40, 30, 3), keys=KEYS)
    pairs = dict(zip(KEYS, chips(dtype), strict=True))
    for key, (image, label) in pairs.items():
        name = f"{key.replace(':', '#')}.tif"
        write_chip(
            root / "images" / name, image, nodata=nodata, bands=["a", "b", "c"], compress="lzw", tags={"VALID": "1.0"}
        )
        write_chip(root / "labels" / name, label[..., None], nodata=255)
    parts = dict(zip(splits, (KEYS[:3], KEYS[3:]), strict=True))
    indices = {
        split: [
            write_tile_shard(root, keys[n::2], storage, compression, split=split, number=n, shards=2)[1]
            for n in range(2)
        ]
        for split, keys in parts.items()
    }
    directory = describe_tile_shards(root, indices, storage, compression)
    return directory, {split: [pairs[key] for key in keys] for split, keys in parts.items()}


@pytest.mark.parametrize("storage", ["array", "float", "encoded", "png"])
def test_shards_bring_their_statistics(tmp_path, storage):
    dtype = "uint8" if storage == "png" else "int16"
    directory, pairs = dataset(tmp_path, dtype, storage, NODATA[dtype])
    found = segchips.statistics(directory)
    assert list(found) == ["train", "val"]
    for split, chips_of_split in pairs.items():
        check(found[split], chips_of_split, NODATA[dtype])
    written = (directory / "statistics.json").read_bytes()
    (directory / "statistics.json").unlink()
    assert segchips.statistics(directory) == found
    assert (directory / "statistics.json").read_bytes() == written


def test_statistics_are_json_without_nan(tmp_path):
    directory, _ = dataset(tmp_path, "float32", nodata=float("nan"))
    text = (directory / "statistics.json").read_text()
    json.loads(text, parse_constant=lambda constant: pytest.fail(constant))
    assert str(tmp_path) not in text
    (directory / "statistics.json").write_text("{")
    with pytest.raises(InputError, match="statistics.json is not valid .* delete it"):
        segchips.statistics(directory)


def test_converted_chips_are_counted_when_asked(tmp_path):
    names = [f"c{number}" for number in range(6)]
    arrays = write_chip_folders(tmp_path, names, (20, 30, 3), "uint16")
    settings = records_config("array", 2, "GZIP", {"train": 1.0})
    arguments = tmp_path / "images", tmp_path / "labels", tmp_path / "out", "parcels", settings, 0, 1
    segchips.convert(*arguments)
    assert not list((tmp_path / "out").glob("*statistics*"))
    check(segchips.statistics(tmp_path / "out")["train"], [(one, two[..., 0]) for one, two in arrays.values()], None, 0)
    (tmp_path / "images" / "c0.tif").unlink()
    segchips.convert(*arguments)
    assert segchips.statistics(tmp_path / "out")["train"].chips == 5


def normalised(pairs, nodata, image):
    pixels = np.concatenate([one.reshape(-1, one.shape[2]) for one, _ in pairs]).astype(np.float64)
    result = np.zeros(image.shape)
    for band in range(image.shape[2]):
        values = pixels[:, band][valid_pixels(pixels[:, band], nodata)]
        valid = np.isfinite(image[..., band]) & (image[..., band] != nodata)
        scaled = (image[..., band][valid].astype(np.float64) - values.mean()) / (values.std() or 1)
        result[..., band][valid] = scaled
    return result


@pytest.mark.parametrize(
    ("dtype", "storage"),
    [*((dtype, "array") for dtype in DTYPES), ("int16", "float"), ("uint16", "encoded"), ("uint8", "png")],
)
def test_images_are_normalised_by_the_training_split(tmp_path, dtype, storage):
    nodata = NODATA.get(dtype, 0)
    directory, pairs = dataset(tmp_path, dtype, storage, nodata)
    for split, batch in (("train", None), ("val", 2)):
        expected = Counter()
        loaded = segchips.load(directory, split, batch, normalise=True)
        assert loaded.element_spec["image"].dtype == "float32"
        assert loaded.element_spec["image"].shape[-3:] == (40, 30, 3)
        found = np.concatenate(
            [np.atleast_3d(each["image"]).reshape(-1, 40, 30, 3) for each in loaded.as_numpy_iterator()]
        )
        plain = np.concatenate(
            [
                each["image"].reshape(-1, 40, 30, 3)
                for each in segchips.load(directory, split, batch).as_numpy_iterator()
            ]
        )
        for image, raw in zip(found, plain, strict=True):
            np.testing.assert_allclose(image, normalised(pairs["train"], nodata, raw), atol=2e-5)
            expected[raw.tobytes()] += 1
        assert expected == Counter(image.tobytes() for image, _ in pairs[split])


def test_a_band_of_one_value_becomes_zero(tmp_path):
    scale = Normaliser(np.array([5.0]), np.array([1.0]), None)
    assert (scale.apply(np.full((3, 4, 1), 5, "uint8")) == 0).all()


def test_the_split_to_normalise_by_is_named(tmp_path):
    directory, pairs = dataset(tmp_path, splits=("learn", "check"))
    with pytest.raises(InputError, match="has no split 'train' to normalise by; name one with normalise: learn, check"):
        segchips.load(directory, "check", normalise=True)
    for each in segchips.load(directory, "check", normalise="learn").as_numpy_iterator():
        assert each["image"].dtype == "float32"
        assert abs(each["image"]).max() > 0.1
