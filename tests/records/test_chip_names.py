"""Names and folders of chips as other tools and public datasets have them."""

import pytest

from segchips.config.chips import ChipsConfig
from segchips.errors import InputError
from segchips.records.chip_folders import find_pairs


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"chip")


def paired(root, images="images", labels="labels", **options):
    def full(folders):
        return str(root / folders) if isinstance(folders, str) else [str(root / folder) for folder in folders]

    found = find_pairs(ChipsConfig(images=full(images), labels=full(labels), **options))
    return {
        pair.name: tuple(path.removeprefix(f"{root}/") for path in (*pair.images, *pair.labels)) for pair in found.pairs
    }, found


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{}_sat.jpg", "{}_mask.png"),
        ("img_{}.tif", "lbl_{}.tif"),
        ("IMG{}.tif", "GT{}.tif"),
        ("{}-image.tif", "{}.tif"),
        ("x {}.png", "y {}.tif"),
        ("austin_{}_rgb.tif", "austin_{}_gt.tif"),
        ("top_{}_IRRG.tif", "top_{}_label_noBoundary.tif"),
        ("a.b_{}_sat.jpg", "a.b_{}_mask.png"),
        ("SN3_roads_AOI_2_Vegas_PS-RGB_img{}.tif", "SN3_roads_AOI_2_Vegas_mask_img{}.tif"),
        ("2017_s2_{}_v1_b.tif", "2017_lulc_{}_v1_b.tif"),
    ],
)
def test_beginnings_and_endings_that_differ(tmp_path, image, label):
    numbers = ["1", "2", "11", "21"]
    touch(tmp_path, *(f"images/{image.format(number)}" for number in numbers))
    touch(tmp_path, *(f"labels/{label.format(number)}" for number in numbers))
    pairs, found = paired(tmp_path)
    expected = {(f"images/{image.format(number)}", f"labels/{label.format(number)}") for number in numbers}
    assert set(pairs.values()) == expected and not found.rejected


@pytest.mark.parametrize(
    "files",
    [
        ("{}_sat.jpg", "{}_mask.png"),
        ("images/{}.tif", "masks/{}.tif"),
        ("train/images/{}.tif", "train/labels/{}.tif"),
        ("{}.tif", "{}_label.tif"),
        ("M-33-20-D_{}.jpg", "M-33-20-D_{}_m.png"),
        ("a/{}.jpg", "a/{}-cls.v2.png"),
    ],
)
def test_images_and_labels_in_one_folder(tmp_path, files):
    touch(tmp_path, *(f"all/{pattern.format(number)}" for pattern in files for number in (1, 2, 3)))
    pairs, found = paired(tmp_path, "all", "all")
    assert set(pairs.values()) == {tuple(f"all/{name.format(number)}" for name in files) for number in (1, 2, 3)}
    assert not found.rejected and found.notes


def test_patterns_name_chips_and_splits(tmp_path):
    touch(tmp_path, *(f"d/{split}/{number}_{kind}.tif" for split in "ab" for number in (1, 2) for kind in ("x", "y")))
    touch(tmp_path, "d/a/readme.md", "d/a/overview.tif")
    names = {"image_names": "{split}/{name}_x", "label_names": "{split}/{name}_y.tif"}
    pairs, found = paired(tmp_path, "d", "d", **names)
    assert pairs.keys() == {"a/1", "a/2", "b/1", "b/2"} and found.splits["b/2"] == "b"
    assert [entry.tile for entry in found.rejected] == ["a/overview.tif"]
    with pytest.raises(InputError, match="chips.image_names '{name}_z' matches none of the 9 files"):
        paired(tmp_path, "d", "d", image_names="{name}_z", label_names="{name}_y")


def test_nested_and_several_folders(tmp_path):
    touch(tmp_path, "images/a/1.tif", "images/b/1.tif", "labels/a/1.png", "labels/b/1.png")
    assert paired(tmp_path)[0].keys() == {"a/1", "b/1"}
    touch(tmp_path, "x/images/1.tif", "x/labels/1.tif", "y/images/1.tif", "y/labels/1.tif")
    pairs, _ = paired(tmp_path, ["x/images", "y/images"], ["x/labels", "y/labels"])
    assert pairs.keys() == {"x/1", "y/1"}
    touch(tmp_path, "flat/2.tif", "sorted/forest/2.tif")
    assert paired(tmp_path, "flat", "sorted")[0].keys() == {"2"}


def test_folders_of_classes_are_named(tmp_path):
    touch(tmp_path, "images/1.tif", "images/2.tif", *(f"labels/{kind}/1.tif" for kind in ("house", "road")))
    with pytest.raises(InputError, match="2 labels of the chip 1, in the folders house, road; merge them"):
        paired(tmp_path)


def test_files_beside_chips_are_neither_chips_nor_errors(tmp_path):
    beside = (
        "tfw tfwx jgwx clr aux aux.xml tif.aux.xml vat.dbf tif.vat.dbf IMD RPB TIL tif.ovr tif.msk prj hdr idx ppg lrc"
    )
    beside += " rrd ige xml json txt tif.lock TFW rpc eph unknown_extension"
    touch(tmp_path, "images/a.tif", "labels/a.tif", *(f"images/a.{name}" for name in beside.split()))
    touch(tmp_path, "images/.a.tif", "images/._a.tif", "images/.DS_Store", "images/Thumbs.db", "images/__MACOSX/a.tif")
    pairs, found = paired(tmp_path)
    assert pairs == {"a": ("images/a.tif", "labels/a.tif")} and not found.rejected


@pytest.mark.parametrize("ending", ["mrf", "img", "png", "jp2", "bil"])
def test_chips_of_other_formats(tmp_path, ending):
    touch(tmp_path, f"images/a.{ending}", "labels/a.tif", "images/a.idx", "images/a.hdr", "images/a.ige")
    assert paired(tmp_path)[0] == {"a": (f"images/a.{ending}", "labels/a.tif")}


def test_names_that_cannot_be_told_apart_are_an_error(tmp_path):
    touch(tmp_path, *(f"d/{number}{letter}.tif" for number in (1, 2) for letter in "pq"))
    with pytest.raises(InputError, match=r"4 file names do not say .*chips.image_names and chips.label_names"):
        paired(tmp_path, "d", "d")
