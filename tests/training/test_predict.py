"""Maps of predictions, against a slow computation of the blended probabilities."""

import numpy as np
import pytest
import rasterio

import segchips
from segchips.errors import InputError
from segchips.records.conversion import convert
from support.chips import HALF_METRE_TRANSFORM, records_config, write_chip

SIZE, OVERLAP = 16, 6


def model(images):
    """Three classes that depend on the place in the window, so that blending shows."""
    ramp = np.linspace(0, 1, images.shape[2])[None, None, :]
    first = images[..., 0] / 255 * ramp
    return np.stack([first, 1 - first, np.full_like(first, 0.4)], axis=-1)


def softmax(values):
    powers = np.exp(values.astype(np.float64))
    return powers / powers.sum(axis=-1, keepdims=True)


def raster(path, height=40, width=51, **options):
    pixels = np.random.default_rng(0).integers(1, 255, (height, width, 2)).astype("uint8")
    write_chip(path, pixels, transform=HALF_METRE_TRANSFORM, **options)
    return pixels


def blended(pixels):
    """Sums pixel by pixel and window by window."""
    height, width = pixels.shape[:2]
    total, weight = np.zeros((height, width, 3)), np.zeros((height, width, 1))
    starts = [sorted({*range(0, length - SIZE, SIZE - OVERLAP), length - SIZE}) for length in (height, width)]
    for top in starts[0]:
        for left in starts[1]:
            values = softmax(model(pixels[None, top : top + SIZE, left : left + SIZE]))[0]
            for row in range(SIZE):
                for column in range(SIZE):
                    near = [min(1, (min(at, SIZE - 1 - at) + 1) / OVERLAP) for at in (row, column)]
                    total[top + row, left + column] += values[row, column] * near[0] * near[1]
                    weight[top + row, left + column] += near[0] * near[1]
    return total / weight


def test_windows_of_a_raster_are_blended(tmp_path):
    pixels = raster(tmp_path / "ortho.tif")
    options = {"normalise": False, "size": SIZE, "overlap": OVERLAP, "batch": 2}
    segchips.predict(model, tmp_path / "ortho.tif", tmp_path / "p.tif", output="probabilities", **options)
    segchips.predict(model, tmp_path / "ortho.tif", tmp_path / "c.tif", **options)
    expected = blended(pixels)
    with rasterio.open(tmp_path / "p.tif") as file, rasterio.open(tmp_path / "c.tif") as classes:
        np.testing.assert_allclose(file.read().transpose(1, 2, 0), expected, atol=1e-5)
        assert (file.transform, file.crs) == (HALF_METRE_TRANSFORM, rasterio.crs.CRS.from_epsg(32633))
        assert (classes.read(1) == expected.argmax(axis=2)).mean() > 0.999
        assert classes.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.tif", "ortho.tif", "p.tif"]


def test_pixels_without_data_have_no_class(tmp_path):
    pixels = raster(tmp_path / "ortho.tif", nodata=0)
    with rasterio.open(tmp_path / "ortho.tif", "r+") as file:
        file.write(np.zeros((2, 5, 7), "uint8"), window=rasterio.windows.Window(10, 20, 7, 5))
    segchips.predict(model, tmp_path / "ortho.tif", tmp_path / "c.tif", normalise=False, size=SIZE, overlap=OVERLAP)
    with rasterio.open(tmp_path / "c.tif") as file:
        without = file.read(1) == file.nodata
    assert without[20:25, 10:17].all() and without.sum() == 35 and pixels.shape[:2] == without.shape


def test_a_call_that_was_interrupted_goes_on(tmp_path):
    raster(tmp_path / "ortho.tif")
    calls = []

    def failing(images):
        calls.append(len(images))
        if len(calls) == 7:
            raise KeyboardInterrupt
        return model(images)

    options = {"normalise": False, "size": SIZE, "overlap": OVERLAP, "batch": 2}
    with pytest.raises(KeyboardInterrupt):
        segchips.predict(failing, tmp_path / "ortho.tif", tmp_path / "again.tif", **options)
    before = len(calls) - 1
    segchips.predict(failing, tmp_path / "ortho.tif", tmp_path / "again.tif", **options)
    segchips.predict(model, tmp_path / "ortho.tif", tmp_path / "once.tif", **options)
    rows, each = 4, 3  # rows of windows, and batches of each
    assert len(calls) - 1 - before == rows * each - before // each * each
    assert (tmp_path / "again.tif").read_bytes() == (tmp_path / "once.tif").read_bytes()


def test_a_dataset_is_mapped_chip_by_chip(tmp_path):
    whole = np.random.default_rng(1).integers(0, 255, (16, 24, 3)).astype("uint8")
    for row, column in ((0, 0), (0, 8), (0, 16), (8, 0), (8, 8), (8, 16)):
        place = HALF_METRE_TRANSFORM * rasterio.Affine.translation(column, row)
        for kind, pixels in (("images", whole), ("labels", whole[..., :1])):
            cut = pixels[row : row + 8, column : column + 8]
            write_chip(tmp_path / kind / f"{row}_{column}.tif", cut, transform=place)
    folders = (tmp_path / name for name in ("images", "labels", "out"))
    convert(*folders, "parcels", records_config(splits={"train": 1.0}), workers=1)
    by_pixel = lambda images: np.stack([images[..., 0] - 100.0, 100.0 - images[..., 0]], axis=-1)  # noqa: E731
    (path,) = segchips.predict(by_pixel, tmp_path / "out", tmp_path / "map.tif", normalise=False, batch=4)
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(1), (whole[..., 0] < 100).astype("uint8"))


def test_what_cannot_be_predicted_is_named(tmp_path):
    raster(tmp_path / "ortho.tif")
    for options, message in (
        ({"output": "maps"}, "output 'maps' is unknown"),
        ({"overlap": 16}, "overlap 16 does not fit windows of 16"),
        ({"size": 64, "overlap": 1}, "fewer than a window"),
        ({"normalise": True}, "name the directory of the shards"),
    ):
        settings = {"normalise": False, "size": SIZE, "overlap": OVERLAP} | options
        with pytest.raises(InputError, match=message):
            segchips.predict(model, tmp_path / "ortho.tif", tmp_path / "c.tif", **settings)
    with pytest.raises(InputError, match=r"the model returns shape \(8, 16\)"):
        settings = {"normalise": False, "size": SIZE, "overlap": OVERLAP}
        segchips.predict(lambda images: np.zeros((8, 16)), tmp_path / "ortho.tif", tmp_path / "c.tif", **settings)


def test_torch_modules_get_bands_first(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pixels = raster(tmp_path / "ortho.tif")
    layer = torch.nn.Conv2d(2, 2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]])[..., None, None])
    segchips.predict(layer, tmp_path / "ortho.tif", tmp_path / "c.tif", normalise=False, size=SIZE, overlap=OVERLAP)
    with rasterio.open(tmp_path / "c.tif") as file:
        np.testing.assert_array_equal(file.read(1), (pixels[..., 1] > pixels[..., 0]).astype("uint8"))
