"""Maps of predictions, against a slow computation of the blended probabilities."""

import numpy as np
import pyproj
import pytest
import rasterio
import shapely

import segchips
from segchips.errors import InputError
from segchips.grids.tile import Grid, Tile
from segchips.records.conversion import convert
from support.chips import HALF_METRE_TRANSFORM, records_config, write_chip
from support.vectors import write_vectors

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
                    near = [min(at, SIZE - 1 - at) + 1 for at in (row, column)]
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
        np.testing.assert_allclose(file.read().transpose(1, 2, 0), expected, atol=1e-3)
        assert (file.transform, file.crs) == (HALF_METRE_TRANSFORM, rasterio.crs.CRS.from_epsg(32633))
        assert (classes.read(1) == expected.argmax(axis=2)).mean() > 0.99
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
    given = len(calls) - 1
    segchips.predict(failing, tmp_path / "ortho.tif", tmp_path / "again.tif", **options)
    segchips.predict(model, tmp_path / "ortho.tif", tmp_path / "once.tif", **options)
    batches = 4 * 5 // 2
    assert given == 6 and len(calls) == given + 1 + batches - given
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
    assert [path.name for path in tmp_path.iterdir()] == ["ortho.tif"]
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


def one_hot(images):
    """The probabilities that the bands themselves are."""
    return np.where(np.isnan(images), np.float32(1 / 3), images)


def tiles(folder, stride=None, size=8, pad=2):
    """Image chips of one layer whose three bands are probabilities, with padding; returns sums and weights by hand."""
    grid = Grid(size, pad, 10.0, stride=stride) if stride else Grid(size, pad, 10.0)
    found = [Tile(grid, 33, path, row) for path in (0, 1, 2) for row in (8465, 8466)]
    rng, weigh = np.random.default_rng(2), np.minimum(np.arange(size), np.arange(size)[::-1]) + 1.0
    sums, cores = {}, set()
    for tile in found:
        values = rng.dirichlet([1, 1, 1], (size, size)).astype(np.float32)
        values[0, :, :] = np.nan
        west, _, _, north, _, _ = tile.geotransform
        write_chip(folder / tile.filename, values, transform=rasterio.Affine(10, 0, west, 0, -10, north), crs=tile.crs)
        for row in range(size):
            for column in range(size):
                place = west + 10 * column, north - 10 * row
                total = sums.setdefault(place, np.zeros(4))
                if row:
                    total += np.append(values[row, column], 1) * weigh[row] * weigh[column]
                if pad <= row < size - pad and pad <= column < size - pad:
                    cores.add(place)
    return {place: sums[place] for place in cores}


@pytest.mark.parametrize("stride", [None, 3])
def test_padding_of_chips_in_a_folder_is_blended(tmp_path, stride):
    expected = tiles(tmp_path / "images", stride)
    (path,) = segchips.predict(
        one_hot, tmp_path / "images", tmp_path / "p.tif", normalise=False, output="probabilities", batch=4
    )
    with rasterio.open(path) as file:
        found = file.read()
        for (x, y), total in expected.items():
            row, column = file.index(x + 5, y - 5)
            np.testing.assert_allclose(found[:, row, column], total[:3] / total[3], atol=2e-3)
        assert np.isfinite(found).all(axis=0).sum() == len(expected)
    segchips.predict(one_hot, tmp_path / "images", tmp_path / "c.tif", normalise=False, batch=4)
    with rasterio.open(tmp_path / "c.tif") as file:
        assert (file.read(1) == np.where(np.isfinite(found[0]), np.nan_to_num(found).argmax(axis=0), 255)).mean() > 0.98


def test_only_an_area_of_a_raster_is_predicted(tmp_path):
    raster(tmp_path / "ortho.tif")
    west, north = HALF_METRE_TRANSFORM * (8, 9)
    east, south = HALF_METRE_TRANSFORM * (20, 21)
    shape = shapely.transform(shapely.box(west, south, east, north), to_lonlat)
    write_vectors(tmp_path / "aoi.gpkg", [shape], "EPSG:4326")
    seen = []

    def counting(images):
        seen.append(len(images))
        return model(images)

    options = {"normalise": False, "size": SIZE, "overlap": OVERLAP}
    segchips.predict(counting, tmp_path / "ortho.tif", tmp_path / "c.tif", area=tmp_path / "aoi.gpkg", **options)
    segchips.predict(model, tmp_path / "ortho.tif", tmp_path / "all.tif", **options)
    with rasterio.open(tmp_path / "c.tif") as part, rasterio.open(tmp_path / "all.tif") as whole:
        known = part.read(1) != 255
        assert abs(known.sum() - 12 * 12) <= 12 and sum(seen) == 3 * 2
        top, left = whole.index(*(part.transform * (0.5, 0.5)))
        same = whole.read(1)[top : top + part.height, left : left + part.width]
        np.testing.assert_array_equal(part.read(1)[known], same[known])
    write_vectors(tmp_path / "away.gpkg", [shapely.box(0, 0, 1, 1)], "EPSG:4326")
    with pytest.raises(InputError, match=r"away.gpkg has no polygon on .*ortho.tif"):
        segchips.predict(model, tmp_path / "ortho.tif", tmp_path / "c.tif", area=tmp_path / "away.gpkg", **options)


def to_lonlat(points):
    return np.column_stack(pyproj.Transformer.from_crs(32633, 4326, always_xy=True).transform(*points.T))
