"""Properties of areas, chips and records that hold for any example that Hypothesis draws."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyproj
import pytest
import shapely
import shapely.affinity
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segchips.config.tfrecords import TFRecordsConfig
from segchips.grids.cover import cover_area
from segchips.grids.tile import Grid
from segchips.records.dataset_description import describe_dataset
from segchips.records.file_names import index_name, shard_name
from segchips.records.record_decoding import read
from segchips.records.shard_index import read_index
from segchips.records.shard_writer import write_shard
from segchips.records.tf_example import decode, encode
from segchips.records.tfrecord import RecordWriter, read_record, read_records
from segchips.tiles.assignment import MADE
from segchips.training.verification import verify
from support.chips import write_chip

USUAL = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def areas(draw):
    """A polygon of a few kilometres anywhere, also across zones, the equator and the antimeridian."""
    lon = draw(st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, 180.0, 0.0, 6.0, 11.9999, -174.0])))
    lat = draw(st.one_of(st.floats(-83, 83), st.sampled_from([0.0, 1e-9, 72.0])))
    number = draw(st.integers(3, 8))
    angles = sorted(draw(st.lists(st.floats(0, 2 * math.pi), min_size=number, max_size=number, unique=True)))
    reach = draw(st.lists(st.floats(0.001, 0.02), min_size=number, max_size=number))
    ring = [(lon + r * math.cos(a), lat + r * math.sin(a)) for a, r in zip(angles, reach, strict=True)]
    shape = shapely.make_valid(shapely.Polygon(ring), method="structure", keep_collapsed=False)
    assume(shape.area > 1e-7)
    return shape


@st.composite
def grids(draw):
    pad = draw(st.integers(0, 5))
    return Grid(draw(st.integers(2 * pad + 16, 128)), pad, draw(st.sampled_from([5.0, 10.0, 12.5, 30.0])))


def key_of(lon, lat, grid):
    """The tile whose core box holds a point, in the zone of its longitude."""
    zone = min(60, math.floor((lon + 180) / 6) + 1)
    # northings go on below the equator, without the false northing of the southern zones
    east, north = pyproj.Transformer.from_crs(4326, 32600 + zone, always_xy=True).transform(lon, lat)
    core = grid.tilesize * grid.resolution
    return zone, (east - 500_000) / core, north / core


@settings(USUAL, max_examples=20)
@given(areas(), grids(), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=5, max_size=12))
def test_every_point_of_the_area_lies_in_a_tiles_core_box(area, grid, places):
    keys = {(tile.zone, tile.path, tile.row) for tile in cover_area(area, grid)}
    west, south, east, north = area.bounds
    for across, up in places:
        lon, lat = west + across * (east - west), south + up * (north - south)
        if not shapely.contains_xy(area, lon, lat):
            continue
        zone, path, row = key_of((lon + 180) % 360 - 180, lat, grid)
        assume(min(path % 1, 1 - path % 1, row % 1, 1 - row % 1) > 1e-6)
        assert (zone, math.floor(path), math.floor(row)) in keys


@settings(USUAL, max_examples=15)
@given(areas(), grids())
def test_every_tile_meets_the_area_and_comes_once(area, grid):
    found = cover_area(area, grid)
    assert len(set(found)) == len(found)
    for tile in found:
        project = pyproj.Transformer.from_crs(4326, 32600 + tile.zone, always_xy=True).transform
        moved = area
        if area.bounds[2] > 180 and tile.zone == 1 or area.bounds[0] < -180 and tile.zone == 60:
            moved = shapely.affinity.translate(area, -360 if tile.zone == 1 else 360)
        on_ground = shapely.transform(shapely.segmentize(moved, 0.002), project, interleaved=False)
        assert on_ground.distance(shapely.box(*tile.core_bounds)) < 1


FEATURES = st.dictionaries(
    st.text(max_size=20),
    st.one_of(
        st.binary(max_size=6000),
        st.text(max_size=50),
        st.integers(0, 2**63 - 1),
        arrays.arrays(np.float32, st.integers(1, 50), elements=st.floats(width=32)),
    ),
    max_size=8,
)


@settings(USUAL, max_examples=30)
@given(st.lists(FEATURES, max_size=6), st.sampled_from([None, "GZIP", "ZLIB"]))
def test_any_record_comes_out_as_it_went_in(records, compression):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "shard"
        with path.open("wb") as stream:
            writer = RecordWriter(stream, compression)
            places = [writer.write(encode(record)) for record in records]
            writer.finish()
        payloads = list(read_records(path, compression))
        assert [read_record(path, *place, compression) for place in places] == payloads
    assert len(payloads) == len(records)
    for payload, record in zip(payloads, records, strict=True):
        found = decode(payload)
        assert found.keys() == record.keys()
        for key, value in record.items():
            if isinstance(value, np.ndarray):
                np.testing.assert_array_equal(found[key], value)
            elif isinstance(value, int):
                assert found[key] == value
            else:
                assert bytes(found[key]) == (value.encode() if isinstance(value, str) else value)


DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24), st.integers(1, 6))


@st.composite
def chips(draw):
    """A storage that can hold it, and an image chip of any values with its label."""
    storage = draw(st.sampled_from(["array", "encoded", "float", "png"]))
    known = {"png": ["uint8"], "float": ["uint8", "int8", "uint16", "int16", "float32"]}
    dtype = draw(st.sampled_from(known.get(storage, DTYPES)))
    height, width, bands = draw(SHAPES)
    bands = draw(st.sampled_from([1, 3])) if storage == "png" else bands
    image = draw(arrays.arrays(dtype, (height, width, bands)))
    return storage, image, draw(arrays.arrays("uint8", (height, width, 1)))


@pytest.mark.filterwarnings("ignore:invalid value")
@settings(USUAL, max_examples=30)
@given(chips(), st.sampled_from([None, "GZIP", "ZLIB"]))
def test_any_chip_comes_out_of_its_shard_as_it_went_in(chip, compression):
    storage, image, label = chip
    key = "60:2:10.0:33:-58:8465"
    with TemporaryDirectory() as folder:
        root = Path(folder)
        write_chip(root / "images" / f"{key.replace(':', '#')}.tif", image)
        write_chip(root / "labels" / f"{key.replace(':', '#')}.tif", label, nodata=255)
        config = TFRecordsConfig(storage, 1, compression, {"train": 1.0})
        out = root / "tfrecords"
        shard, index = out / shard_name("d", "train", 0, 1), out / index_name("d", "train", 0, 1)
        write_shard(shard, index, [key], {"": root / "images"}, {"": root / "labels"}, "train", config, [0.0])
        example = [{"": root / kind / f"{key.replace(':', '#')}.tif"} for kind in ("images", "labels")]
        describe_dataset(out, "d", config, {"train": [index]}, *example, [255])
        found = read(out, key)
        assert [entry.state for entry in read_index(index)] == [MADE]
        assert verify(out) == []
    assert found["image"].dtype == image.dtype
    np.testing.assert_array_equal(found["image"], image)
    np.testing.assert_array_equal(found["label"], label[..., 0])
