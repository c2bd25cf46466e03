"""Pairs by name whatever the folders contain, and whole folders as shards."""

import hashlib
import subprocess
import sys
from collections import Counter
from os.path import basename

import numpy as np
import pytest
import rasterio

from segchips.errors import InputError
from segchips.records.chip_folders import pair_chips
from segchips.records.conversion import convert
from segchips.records.dataset_files import read_info
from segchips.records.record_decoding import decode_example
from segchips.records.shard_index import read_index
from segchips.records.tf_example import decode
from segchips.records.tfrecord import read_record, read_records
from segchips.training.verification import verify
from support.chips import HALF_METRE_TRANSFORM, random_pixels, records_config, write_chip, write_chip_folders

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")


def pairs_of(root):
    pairs, rejected = pair_chips(root / "images", root / "labels")
    return {pair.name: tuple(map(basename, pair.paths)) for pair in pairs}, {e.tile: e.reason for e in rejected}


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"chip")


def test_pairs_are_those_of_one_name(tmp_path):
    touch(tmp_path, "images/b.tif", "images/a.jpg", "images/c.tif", "labels/c.png", "labels/a.png", "labels/b.tif")
    touch(tmp_path, "images/60#2#10.0#33#-58#8465.tif", "labels/60#2#10.0#33#-58#8465.png")
    assert pairs_of(tmp_path) == (
        {
            "60:2:10.0:33:-58:8465": ("60#2#10.0#33#-58#8465.tif", "60#2#10.0#33#-58#8465.png"),
            "a": ("a.jpg", "a.png"),
            "b": ("b.tif", "b.tif"),
            "c": ("c.tif", "c.png"),
        },
        {},
    )


def test_chips_without_partner_are_rejected_by_name(tmp_path):
    touch(tmp_path, "images/a.tif", "images/b.tif", "images/c.tif", "images/c.png")
    touch(tmp_path, "labels/b.tif", "labels/c.tif", "labels/d.tif")
    touch(tmp_path, "images/60#2#10.0#33#1#2.tif", "images/60:2:10.0:33:1:2.tif", "labels/60#2#10.0#33#1#2.tif")
    pairs, rejected = pairs_of(tmp_path)
    assert pairs == {"b": ("b.tif", "b.tif")}
    assert rejected == {
        "60:2:10.0:33:1:2": "images/60#2#10.0#33#1#2.tif and images/60:2:10.0:33:1:2.tif have the same name; "
        "keep one of them",
        "a": "images/a.tif has no label of the same name",
        "c": "images/c.png and images/c.tif have the same name; keep one of them",
        "d": "labels/d.tif has no image of the same name",
    }


def test_sidecars_are_not_chips(tmp_path):
    companions = [
        "a.tfw",
        "a.tif.aux.xml",
        "a.tif.ovr",
        "a.prj",
        ".hidden.tif",
        "Thumbs.db",
        "map.txt",
        "a.TFW",
        "a.tif.lock",
    ]
    touch(tmp_path, "images/a.tif", "labels/a.png", *(f"images/{name}" for name in companions), "labels/a.pgw")
    (tmp_path / "images" / "sub.tif").mkdir()
    assert pairs_of(tmp_path) == ({"a": ("a.tif", "a.png")}, {})


def test_folders_without_pairs_are_named(tmp_path):
    touch(tmp_path, "images/a_sat.jpg", "labels/b_mask.png")
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "companions/a.tfw")
    for images, labels, message in (
        ("nowhere", "labels", r"nowhere cannot be read \(No such file or directory\); name a folder of chips"),
        ("images", "nowhere", "nowhere cannot be read"),
        ("images/a_sat.jpg", "labels", r"a_sat.jpg cannot be read \(Not a directory\)"),
        ("empty", "labels", "empty holds no chips, nor do the folders inside it"),
        ("images", "companions", "companions holds no chips"),
        ("images", "images", "images is given for images and labels, and its 1 file names do not say"),
        (
            "images",
            "labels",
            "no chip of .*images has a label .*; the first are a_sat and b_mask .*_sat.*_mask.*chips.image_names",
        ),
    ):
        with pytest.raises(InputError, match=message):
            pair_chips(tmp_path / images, tmp_path / labels)


def contents(directory):
    """Every record of a dataset by its identifier, and the split it is in."""
    info = read_info(directory)
    found = {}
    for split in info.splits:
        for name in info.shards(split):
            for payload in read_records(directory / name, info.compression):
                example = decode_example(payload, info)
                assert example["identifier"] not in found
                found[example["identifier"]] = split, example, decode(payload)
    return found


@pytest.mark.parametrize(
    ("storage", "compression"),
    [("array", None), ("array", "ZLIB"), ("float", None), ("encoded", "GZIP"), ("png", None)],
)
def test_folders_become_shards(tmp_path, storage, compression):
    names = [f"tile {number}" for number in range(30)]
    arrays = write_chip_folders(tmp_path, names)
    entries = convert(
        tmp_path / "images",
        tmp_path / "labels",
        tmp_path / "out",
        "parcels",
        records_config(storage, 2, compression),
        0,
        2,
    )
    assert Counter(entry.state for entry in entries) == {"made": 30}
    found = contents(tmp_path / "out")
    assert set(found) == {f"{name}.tif|{list(HALF_METRE_TRANSFORM.to_gdal())}|EPSG:32633" for name in names}
    for identifier, (split, example, record) in found.items():
        image, label = arrays[identifier.split(".tif|")[0]]
        np.testing.assert_array_equal(example["image"], image, strict=True)
        np.testing.assert_array_equal(example["label"], label[..., 0], strict=True)
        assert bytes(record["split"]).decode() == split
    assert {split for split, *_ in found.values()} == {"train", "val", "test"}
    assert verify(tmp_path / "out") == []
    assert read_info(tmp_path / "out").label.nodata == 0
    for index in (tmp_path / "out").glob("*.index-*"):
        for entry in read_index(index):
            shard = index.with_name(index.name.replace("index", "tfrecord")[:-4])
            identifier = bytes(
                decode(read_record(shard, entry.offset, entry.length, compression))["identifier"]
            ).decode()
            assert identifier.startswith(f"{entry.tile}.tif|")


def everything(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_same_chips_give_the_same_bytes_wherever_and_by_however_many(tmp_path):
    write_chip_folders(tmp_path, [f"c{number}" for number in range(12)])
    (tmp_path / "images" / "bad.tif").write_bytes(b"bad")
    (tmp_path / "labels" / "bad.tif").write_bytes(b"bad")
    (tmp_path / "elsewhere").mkdir()
    for kind in ("images", "labels"):
        for path in sorted((tmp_path / kind).iterdir(), reverse=True):
            (tmp_path / "elsewhere" / kind).mkdir(exist_ok=True)
            (tmp_path / "elsewhere" / kind / path.name).write_bytes(path.read_bytes())
    convert(tmp_path / "images", tmp_path / "labels", tmp_path / "one", "parcels", records_config(), None, 1)
    convert(
        tmp_path / "elsewhere/images",
        tmp_path / "elsewhere/labels",
        tmp_path / "three",
        "parcels",
        records_config(),
        None,
        3,
    )
    assert everything(tmp_path / "one") == everything(tmp_path / "three")


def test_bad_chips_are_left_out_and_named(tmp_path):
    arrays = write_chip_folders(tmp_path, [f"c{number}" for number in range(20)])
    images, labels = tmp_path / "images", tmp_path / "labels"
    (images / "c0.tif").write_bytes((images / "c0.tif").read_bytes()[:-20])
    (images / "c1.tif").write_bytes(b"")
    (labels / "c2.tif").write_bytes(b"this is no image")
    write_chip(labels / "c3.tif", random_pixels("uint8", (8, 9, 3)))
    write_chip(labels / "c4.tif", random_pixels("uint8", (9, 8, 1)))
    write_chip(images / "c5.tif", random_pixels("uint16", (8, 9, 3)))
    write_chip(images / "c6.tif", random_pixels("uint8", (8, 9, 4)))
    write_chip(images / "c7.tif", random_pixels("uint8", (5, 5, 3)))
    write_chip(labels / "c7.tif", random_pixels("uint8", (5, 5, 1)))
    write_chip(labels / "c8.tif", random_pixels("int32", (8, 9, 1)))
    (labels / "c9.tif").unlink()
    (images / "c10.png").write_bytes((images / "c10.tif").read_bytes())
    entries = {entry.tile: entry for entry in convert(images, labels, tmp_path / "out", "parcels", records_config(), 0)}
    expected = {
        "c0": "images/c0.tif cannot be read as a raster: ",
        "c1": "images/c1.tif is empty",
        "c2": "labels/c2.tif cannot be read as a raster: ",
        "c3": "labels/c3.tif is 9 x 8 pixels with 3 bands of uint8; the label of images/c3.tif has 1 band of 9 x 8",
        "c4": "labels/c4.tif is 8 x 9 pixels with 1 band of uint8; the label of images/c4.tif has 1 band of 9 x 8",
        "c5": "images/c5.tif is 9 x 8 pixels with 3 bands of uint16, images/c",
        "c6": "images/c6.tif is 9 x 8 pixels with 4 bands of uint8, images/c",
        "c7": "images/c7.tif is 5 x 5 pixels with 3 bands of uint8, images/c",
        "c8": "labels/c8.tif is 9 x 8 pixels with 1 band of int32, labels/c",
        "c9": "images/c9.tif has no label of the same name",
        "c10": "images/c10.png and images/c10.tif have the same name; keep one of them",
    }
    assert {name for name, entry in entries.items() if entry.state == "rejected"} == set(expected)
    for name, reason in expected.items():
        assert entries[name].reason.startswith(reason)
        assert str(tmp_path) not in entries[name].reason
    assert {entry.tile: entry for entry in read_index(tmp_path / "out" / "rejected.csv")} == {
        name: entries[name] for name in expected
    }
    assert {identifier.split(".")[0] for identifier in contents(tmp_path / "out")} == set(arrays) - set(expected)
    assert verify(tmp_path / "out") == []


def test_folders_without_one_good_pair_are_named(tmp_path):
    write_chip_folders(tmp_path, ["a", "b"])
    for path in (tmp_path / "labels").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(
        InputError, match="none of the 2 pairs of .*images can become a record: .*labels/[ab].tif cannot be read"
    ):
        convert(tmp_path / "images", tmp_path / "labels", tmp_path / "out", "parcels", records_config())
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    write_chip_folders(tmp_path, ["a", "b"])
    (tmp_path / "out").write_text("a file")
    with pytest.raises(FileExistsError, match="out"):
        convert(tmp_path / "images", tmp_path / "labels", tmp_path / "out", "parcels", records_config())


def test_one_pair_is_enough(tmp_path):
    write_chip_folders(tmp_path, ["only"])
    entries = convert(tmp_path / "images", tmp_path / "labels", tmp_path / "out", "parcels", records_config())
    assert [entry.state for entry in entries] == ["made"]
    assert sum(sum(counts) for counts in read_info(tmp_path / "out").splits.values()) == 1


def test_arcgis_training_data(tmp_path):
    """Classified Tiles: 4-band int16 TIFF with world files and ESRI projection strings, and the export's own files."""
    arrays = write_chip_folders(
        tmp_path, [f"{n:012d}" for n in range(6)], (16, 16, 4), "int16", GEOTIFF_KEYS_FLAVOR="ESRI_PE", crs="EPSG:27700"
    )
    for name in arrays:
        for kind in ("images", "labels"):
            (tmp_path / kind / f"{name}.tfw").write_text("0.5\n0\n0\n-0.5\n465181.5\n5079244.5\n")
    for name in ("map.txt", "esri_model_definition.emd", "stats.txt"):
        (tmp_path / name).write_text("{}")
    convert(tmp_path / "images", tmp_path / "labels", tmp_path / "out", "arcgis", records_config())
    found = contents(tmp_path / "out")
    with rasterio.open(tmp_path / "images" / "000000000000.tif") as source:
        crs = source.crs.to_string()
    assert set(found) == {f"{name}.tif|{list(HALF_METRE_TRANSFORM.to_gdal())}|{crs}" for name in arrays}
    for identifier, (_, example, _) in found.items():
        np.testing.assert_array_equal(example["image"], arrays[identifier[:12]][0], strict=True)


@pytest.mark.parametrize("options", [{}, {"nodata": 7}, {"bands": ["red", "grün", "<nir>"]}, {"interleave": "band"}])
def test_the_description_has_names_and_nodata_of_the_chips(tmp_path, options):
    write_chip_folders(tmp_path, ["a", "b"], **options)
    convert(tmp_path / "images", tmp_path / "labels", tmp_path / "out", "parcels", records_config(), 9)
    info = read_info(tmp_path / "out")
    with rasterio.open(tmp_path / "images" / "a.tif") as source:
        assert (info.image.driver, info.image.dtype) == (source.driver, source.dtypes[0])
        assert info.image.shape == (source.height, source.width, source.count)
        assert (info.image.nodata, info.image.bands) == (source.nodata, source.descriptions)
    assert (info.label.driver, info.label.dtype, info.label.shape, info.label.nodata) == ("GTiff", "uint8", (8, 9), 9)


def test_pictures_with_world_files_keep_their_place(tmp_path):
    for kind, driver, suffix, channels in (("images", "JPEG", "jpg", 3), ("labels", "PNG", "png", 1)):
        (tmp_path / kind).mkdir()
        write_chip(
            tmp_path / kind / f"a.{suffix}",
            random_pixels("uint8", (16, 16, channels)),
            driver=driver,
            crs=None,
            transform=None,
        )
        (tmp_path / kind / f"a.{suffix[0]}{suffix[-1]}w").write_text("2\n0\n0\n-2\n1001\n1999\n")
    for storage in ("encoded", "array"):
        convert(tmp_path / "images", tmp_path / "labels", tmp_path / storage, "pictures", records_config(storage))
        assert set(contents(tmp_path / storage)) == {"a.jpg|[1000.0, 2.0, 0.0, 2000.0, 0.0, -2.0]|"}
        assert verify(tmp_path / storage) == []


def test_tile_keys_are_identifiers_and_splits_those_of_tiles(tmp_path):
    write_chip_folders(tmp_path, [f"60#2#10.0#33#{number}#8465" for number in range(9)])
    convert(tmp_path / "images", tmp_path / "labels", tmp_path / "out", "tiles", records_config())
    found = contents(tmp_path / "out")
    assert set(found) == {f"60:2:10.0:33:{number}:8465" for number in range(9)}
    for key, (split, *_) in found.items():
        draw = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, salt=b"split").digest(), "little") / 2**64
        assert split == ("train" if draw < 0.6 else "val" if draw < 0.8 else "test")


def test_adding_chips_moves_none(tmp_path):
    names = [f"c{number}" for number in range(40)]
    write_chip_folders(tmp_path, names[:25])
    places = []
    for _ in range(2):
        convert(tmp_path / "images", tmp_path / "labels", tmp_path / "out", "parcels", records_config(shards=3))
        indices = sorted((tmp_path / "out").glob("*.index-*"))
        places.append({entry.tile: path.name for path in indices for entry in read_index(path)})
        write_chip_folders(tmp_path, names)
    assert len(places[0]) == 25
    assert places[1].items() > places[0].items()


def test_shards_have_the_target_size_unless_their_number_is_given(tmp_path, monkeypatch):
    write_chip_folders(tmp_path, [f"c{number}" for number in range(60)], (50, 40, 5), "uint16")
    monkeypatch.setattr("segchips.records.conversion.SHARD_BYTES", 200_000)
    for storage, per_chip in (("array", 50 * 40 * 11), ("float", 50 * 40 * 6 * 4), ("encoded", 50 * 40 * 11 + 1000)):
        convert(
            tmp_path / "images",
            tmp_path / "labels",
            tmp_path / "out",
            "parcels",
            records_config(storage, None, splits={"train": 1.0}),
        )
        shards = sorted((tmp_path / "out").glob("*.tfrecord-*"))
        assert len(shards) == pytest.approx(60 * per_chip / 200_000, abs=1)
        assert shards[0].name.endswith(f"-of-{len(shards):05d}")
        assert verify(tmp_path / "out") == []


def test_another_conversion_replaces_the_first(tmp_path):
    write_chip_folders(tmp_path, ["a", "b", "c"])
    convert(tmp_path / "images", tmp_path / "labels", tmp_path / "out", "parcels", records_config(shards=5))
    (tmp_path / "out" / "parcels_2-train.tfrecord-00000-of-00001").write_bytes(b"another dataset's")
    convert(tmp_path / "images", tmp_path / "labels", tmp_path / "out", "parcels", records_config(shards=1))
    shards = sorted(path.name for path in (tmp_path / "out").glob("*tfrecord*"))
    assert shards == [
        "parcels-test.tfrecord-00000-of-00001",
        "parcels-train.tfrecord-00000-of-00001",
        "parcels-val.tfrecord-00000-of-00001",
        "parcels_2-train.tfrecord-00000-of-00001",
    ]


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("a-b", {}, "dataset name 'a-b' must be"),
        ("a", {"storage": "raw"}, "storage 'raw' is unknown; choose one of array, float, encoded, png, jpeg"),
        ("a", {"compression": "LZ4"}, "compression 'LZ4' is unknown; choose one of None, GZIP, ZLIB"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, dataset, options, message):
    with pytest.raises(InputError, match=message):
        convert(tmp_path, tmp_path, tmp_path / "out", dataset, records_config(**options))


def test_what_storage_cannot_take_is_rejected(tmp_path):
    write_chip_folders(tmp_path, ["a", "b"], dtype="uint16")
    with pytest.raises(InputError, match="none of the 2 pairs .* storage png takes 1 or 3 bands of uint8"):
        convert(tmp_path / "images", tmp_path / "labels", tmp_path / "out", "parcels", records_config("png"))


def test_a_plain_script_may_convert_without_a_guard(tmp_path):
    write_chip_folders(tmp_path, ["a", "b"])
    script = tmp_path / "script.py"
    script.write_text(
        "import segchips\nfrom segchips.config import TFRecordsConfig\n"
        "config = TFRecordsConfig('array', 2, None, {'train': 1.0})\n"
        "print(len(segchips.convert('images', 'labels', 'out', 'parcels', config, workers=2)))\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("2\n", "", 0)
