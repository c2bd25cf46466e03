"""Values of chips made elsewhere, judged by plain arithmetic on the pixels that were written."""

import numpy as np
import pytest
import rasterio
from PIL import Image

import segchips
from segchips.records.conversion import convert
from support.chips import random_pixels, records_config, write_chip

SIZE = 16
RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)


def folders(root, label, image=None, name="a", **options):
    """One pair of chips, the label written by `label(path without extension)`."""
    image = random_pixels("uint8", (SIZE, SIZE, 3)) if image is None else image
    write_chip(root / "images" / f"{name}.tif", image, **options)
    (root / "labels").mkdir(exist_ok=True)
    label(root / "labels" / name)
    return image


def converted(root, storage="array", **chips):
    settings = records_config(storage, 1, None, {"train": 1.0})
    entries = convert(root / "images", root / "labels", root / "out", "parcels", settings, workers=1, **chips)
    return {entry.tile: entry for entry in entries}


def tif(array, **options):
    return lambda path: write_chip(path.with_name(f"{path.name}.tif"), array, **options)


def picture(array, ending, mode=None, **options):
    def save(path):
        Image.fromarray(array, mode).save(path.with_name(f"{path.name}.{ending}"), **options)

    return save


def patches(*values):
    """An array of vertical stripes of values."""
    rows = np.array([values[column * len(values) // SIZE] for column in range(SIZE)])
    return np.repeat(rows[None], SIZE, axis=0)


def label_of(root, name="a"):
    return segchips.read(root / "out", name)["label"]


@pytest.mark.parametrize("storage", ["array", "encoded", "png", "float"])
def test_masks_of_0_and_255_become_classes(tmp_path, storage):
    folders(tmp_path, tif(patches(0, 255).astype("uint8")[..., None]))
    converted(tmp_path, storage, classes={"0": 0, "255": 1})
    np.testing.assert_array_equal(label_of(tmp_path), patches(0, 1))


@pytest.mark.parametrize("storage", ["array", "encoded"])
@pytest.mark.parametrize("keys", [("#ff0000", "#0000ff", "#000000"), ("255,0,0", "0 0 255", "0, 0, 0")])
def test_colours_become_classes(tmp_path, keys, storage):
    colours = np.array([BLACK, RED, BLUE], "uint8")[patches(0, 1, 2)]
    folders(tmp_path, picture(colours, "png"))
    converted(tmp_path, storage, classes={keys[0]: 7, keys[1]: 9, keys[2]: 0})
    np.testing.assert_array_equal(label_of(tmp_path), np.array([0, 7, 9])[patches(0, 1, 2)])


def test_a_palette_of_a_label_stays_indices_unless_its_colours_are_classes(tmp_path):
    image = Image.fromarray(patches(0, 1, 2).astype("uint8"), "P")
    image.putpalette([*BLACK, *RED, *BLUE])
    folders(tmp_path, lambda path: image.save(path.with_name("a.png")))
    converted(tmp_path)
    np.testing.assert_array_equal(label_of(tmp_path), patches(0, 1, 2))
    converted(tmp_path, classes={"#000000": 0, "#0000ff": 4, "#ff0000": 5})
    np.testing.assert_array_equal(label_of(tmp_path), patches(0, 5, 4))


@pytest.mark.parametrize("storage", ["array", "encoded", "png"])
def test_a_palette_of_an_image_becomes_its_colours(tmp_path, storage):
    colours = {0: (*BLACK, 255), 1: (*RED, 255), 2: (*BLUE, 255)}
    indices = patches(0, 1, 2).astype("uint8")[..., None]
    folders(tmp_path, tif(patches(0, 1).astype("uint8")[..., None]), indices, photometric="palette", colormap=colours)
    converted(tmp_path, storage)
    expected = np.array([BLACK, RED, BLUE], "uint8")[indices[..., 0]]
    np.testing.assert_array_equal(segchips.read(tmp_path / "out", "a")["image"], expected)


def test_colours_without_classes_and_values_without_a_class_are_named(tmp_path):
    colours = np.array([BLACK, RED], "uint8")[patches(0, 0, 0, 1)]
    folders(tmp_path, picture(colours, "png"), name="colours")
    folders(tmp_path, tif(patches(0, 1).astype("uint8")[..., None]), name="plain")
    assert "it has #000000, #ff0000" in converted(tmp_path)["colours"].reason
    entries = converted(tmp_path, classes={"0": 0, "#ff0000": 1})
    assert entries["colours"].state == "made"
    assert "50 % of the pixels of labels/plain.tif have values that chips.classes lacks (1)" in entries["plain"].reason


def test_lossy_labels_say_their_stray_values(tmp_path):
    array = patches(0, 255, 0, 255, 0, 255).astype("uint8")
    folders(tmp_path, picture(array, "jpg", quality=30), name="lossy")
    folders(tmp_path, tif(array[..., None]), name="exact")
    with rasterio.open(tmp_path / "labels" / "lossy.jpg") as file:
        stored = file.read(1)
    stray = 100 * (~np.isin(stored, (0, 255))).mean()
    assert stray > 0
    entries = converted(tmp_path)
    assert "lossy compression (JPEG)" in entries["lossy"].reason and entries["exact"].state == "made"
    entries = converted(tmp_path, classes={"0": 0, "255": 1})
    assert entries["lossy"].reason.startswith(f"{stray:.3g} % of the pixels of labels/lossy.jpg have values changed")
    np.testing.assert_array_equal(label_of(tmp_path, "lossy"), stored > 127)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whole_floats_are_classes_and_others_an_error(tmp_path, dtype):
    folders(tmp_path, tif(patches(0, 3, 254).astype(dtype)[..., None]))
    folders(tmp_path, tif(patches(0, 3.5).astype(dtype)[..., None]), name="half")
    entries = converted(tmp_path)
    assert "label value 3.5" in entries["half"].reason and "kind: continuous" in entries["half"].reason
    label = label_of(tmp_path)
    assert label.dtype == "uint8"
    np.testing.assert_array_equal(label, patches(0, 3, 254))


def test_measured_labels_stay_measured(tmp_path):
    folders(tmp_path, tif(patches(0, 3.5, -9999).astype("float64")[..., None], nodata=-9999))
    converted(tmp_path, kind="continuous")
    expected = patches(0, 3.5, np.nan).astype("float32")
    np.testing.assert_array_equal(label_of(tmp_path), expected)


def masked_image(tmp_path, how):
    """An image whose first four columns are not valid, in one of several ways, and its pixels."""
    valid = np.ones((SIZE, SIZE), bool)
    valid[:, :4] = False
    pixels = random_pixels("uint8", (SIZE, SIZE, 3))
    path = tmp_path / "images" / "a.tif"
    folders(tmp_path, tif(patches(1, 2).astype("uint8")[..., None]), pixels)
    if how == "nodata":
        pixels = np.where(valid[..., None], np.maximum(pixels, 1), 0).astype("uint8")
        write_chip(path, pixels, nodata=0)
    elif how == "alpha":
        pixels = np.concatenate([pixels, np.where(valid, 255, 0).astype("uint8")[..., None]], axis=2)
        path.unlink()
        Image.fromarray(pixels, "RGBA").save(path.with_suffix(".png"))
    else:
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES" if how == "internal mask" else "NO"),
            rasterio.open(path, "r+") as file,
        ):
            file.write_mask(valid)
        assert (tmp_path / "images" / "a.tif.msk").exists() == (how == "msk")
    return pixels, valid


@pytest.mark.parametrize("storage", ["array", "encoded"])
@pytest.mark.parametrize("how", ["nodata", "internal mask", "msk", "alpha"])
def test_pixels_without_data_have_an_unknown_label(tmp_path, how, storage):
    pixels, valid = masked_image(tmp_path, how)
    entry = converted(tmp_path, storage, unknown=9)["a"]
    chip = segchips.read(tmp_path / "out", "a")
    np.testing.assert_array_equal(chip["image"], pixels)
    np.testing.assert_array_equal(chip["label"], np.where(valid, patches(1, 2), 9))
    assert entry.valid == 0.75


def test_near_infrared_that_is_marked_as_alpha_is_a_band(tmp_path):
    pixels = random_pixels("uint8", (SIZE, SIZE, 4))
    pixels[0, 0, 3] = 0
    folders(tmp_path, tif(patches(1, 2).astype("uint8")[..., None]), pixels)
    with rasterio.open(tmp_path / "images" / "a.tif") as file:
        assert file.colorinterp[3].name == "alpha"
    assert converted(tmp_path, unknown=9)["a"].valid in (None, 1.0)
    np.testing.assert_array_equal(label_of(tmp_path), patches(1, 2))


def test_chips_with_different_nodata_get_one(tmp_path):
    label = tif(patches(1, 2).astype("uint8")[..., None])
    for name in ("a", "b", "c"):
        folders(tmp_path, label, np.full((SIZE, SIZE, 1), 7, "uint8"), name, nodata=0)
    odd = patches(0, 5, 255, 255).astype("uint8")[..., None]
    folders(tmp_path, label, odd, "odd", nodata=255)
    converted(tmp_path)
    assert segchips.read_info(tmp_path / "out").image.nodata == 0
    np.testing.assert_array_equal(segchips.read(tmp_path / "out", "odd")["image"][..., 0], patches(1, 5, 0, 0))
    assert segchips.statistics(tmp_path / "out")["train"].bands[0].count == 3 * SIZE * SIZE + SIZE * SIZE // 2


def test_deep_png_and_pages(tmp_path):
    deep = random_pixels("uint16", (SIZE, SIZE, 1))[..., 0]
    label = tif(patches(1, 2).astype("uint8")[..., None])
    folders(tmp_path, label, deep[..., None], name="a")
    (tmp_path / "images" / "a.tif").unlink()
    Image.fromarray(deep).save(tmp_path / "images" / "a.png")
    folders(tmp_path, label, deep[..., None], name="pages")
    pages = [Image.fromarray(deep) for _ in range(3)]
    pages[0].save(tmp_path / "images" / "pages.tif", save_all=True, append_images=pages[1:])
    assert "images/pages.tif has 3 pages" in converted(tmp_path)["pages"].reason
    np.testing.assert_array_equal(segchips.read(tmp_path / "out", "a")["image"][..., 0], deep)


@pytest.mark.parametrize("driver", ["MRF", "HFA", "ENVI", "GIF", "BMP"])
def test_other_formats(tmp_path, driver):
    image = random_pixels("uint8", (SIZE, SIZE, 1), 3)
    folders(tmp_path, tif(patches(1, 2).astype("uint8")[..., None]), image)
    (tmp_path / "images" / "a.tif").unlink()
    ending = {"MRF": "mrf", "HFA": "img", "ENVI": "dat", "GIF": "gif", "BMP": "bmp"}[driver]
    options = {} if driver in ("MRF", "HFA", "ENVI") else {"crs": None, "transform": None}
    write_chip(tmp_path / "images" / f"a.{ending}", image, driver=driver, **options)
    assert converted(tmp_path)["a"].state == "made"
    chip = segchips.read(tmp_path / "out", "a")["image"]
    np.testing.assert_array_equal(chip[..., 0] if chip.shape[2] == 1 else chip[..., 1], image[..., 0])
