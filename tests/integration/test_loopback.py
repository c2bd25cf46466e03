"""The platform on loopback: search, pixels and permissions, seen through both clients."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely

from loopback.server import Platform, make_token
from segchips.grids.tile import Tile
from support.platform_client import PRODUCT, SCENE, Client
from support.rasters import OUTSIDE, nearest_by_loop


@pytest.fixture
def items(sample_folder: Path) -> list[dict[str, Any]]:
    """The sample's items, by time."""
    paths = sorted((sample_folder / "resources" / "sample" / PRODUCT).glob("*/*.json"))
    return [json.loads(path.read_text()) for path in paths]


def test_a_product_is_there_or_not(client: Client, platform: Platform) -> None:
    assert client.product().id == PRODUCT
    assert client.product("sample-l2a:cloud_mask").name == "sample-l2a:cloud_mask"
    assert client.product("sentinel-2:L1C") is None
    asked = [(request.method, request.path, request.status) for request in platform.log]
    assert asked[0] == ("GET", f"/products/{PRODUCT}", 200) and asked[2][2] == 404


def cover(item: dict[str, Any]) -> float:
    return item["properties"]["eo:cloud_cover"] / 100


def day(item: dict[str, Any]) -> str:
    return item["properties"]["datetime"][:10]


FILTERS: dict[str, tuple[Callable[[Any], Any], Callable[[dict[str, Any]], bool]]] = {
    "days": (
        lambda p: (p.acquired >= "2023-04-26") & (p.acquired < "2023-07-05"),
        lambda item: "2023-04-26" <= day(item) < "2023-07-05",
    ),
    "range": (
        lambda p: "2023-06-05T10:10:31" < p.acquired < "2023-07-05",
        lambda i: "2023-06-08" <= day(i) < "2023-07-05",
    ),
    "second": (lambda p: p.acquired >= "2023-06-05T10:10:31", lambda item: day(item) >= "2023-06-05"),
    "clear": (lambda p: p.cloud_fraction < 0.1, lambda item: cover(item) < 0.1),
    "cloudy": (lambda p: (p.cloud_fraction > 0.3) & (p.cloud_fraction <= 1), lambda item: cover(item) > 0.3),
    "either": (
        lambda p: (p.cloud_fraction > 0.9) | (p.acquired < "2023-02-10"),
        lambda item: cover(item) > 0.9 or day(item) < "2023-02-10",
    ),
    "names": (
        lambda p: p.name.any_of(["sample_20230705T101029_r022", "nowhere"]),
        lambda item: item["id"] == "sample_20230705T101029_r022",
    ),
    "other": (lambda p: p.name != "sample_20230705T101029_r022", lambda item: day(item) != "2023-07-05"),
    "prefix": (lambda p: p.id.prefix("sample-l2a:sample_202306"), lambda item: day(item)[:7] == "2023-06"),
    "null": (lambda p: p.published.isnull & p.cloud_fraction.isnotnull, lambda item: True),
    "never": (lambda p: p.published < "2100-01-01", lambda item: False),
}


@pytest.mark.parametrize("name", FILTERS)
def test_a_search_finds_what_a_filter_says(client: Client, items: list[dict[str, Any]], name: str) -> None:
    term, wanted = FILTERS[name]
    found = client.search().filter(term(client.catalog.properties)).sort("acquired")
    names = [item["id"] for item in items if wanted(item)]
    assert [image.name for image in found] == names
    assert found.count() == len(names)


def test_a_search_finds_what_meets_a_geometry(client: Client, items: list[dict[str, Any]]) -> None:
    footprints = {item["id"]: shapely.geometry.shape(item["geometry"]) for item in items}
    west, south, east, north = shapely.union_all(list(footprints.values())).bounds
    seen = set()
    for x in np.linspace(west, east, 6):
        place = shapely.box(x - 1e-4, south, x + 1e-4, south + 1e-4)
        found = {image.name for image in client.search().intersects(place)}
        assert found == {name for name, footprint in footprints.items() if footprint.intersects(place)}
        seen.add(len(found))
    assert len(seen) > 1


def test_pages_follow_one_another(client: Client, platform: Platform, items: list[dict[str, Any]]) -> None:
    platform.page_size = 5
    assert [image.name for image in client.search().sort("acquired", ascending=False)] == [
        item["id"] for item in reversed(items)
    ]
    bodies = [request.body for request in platform.log.of("catalog", "/images")]
    assert len(bodies) == 3 and bodies[0] == bodies[1] == bodies[2]
    assert [image.name for image in client.search().sort("acquired").limit(7)] == [item["id"] for item in items[:7]]
    assert client.search().count() == len(items)


def test_images_and_bands_tell_what_the_files_hold(
    client: Client, items: list[dict[str, Any]], sample_folder: Path
) -> None:
    image = next(iter(client.search().filter(client.catalog.properties.cloud_fraction > 0.9)))
    item = next(item for item in items if item["id"] == image.name)
    path = sample_folder / "resources" / "sample" / PRODUCT / image.name / "B08.tif"
    with rasterio.open(path) as file:
        assert image.geotrans == file.transform.to_gdal() and image.cs_code == str(file.crs)
        assert (image.y_pixels, image.x_pixels) == file.shape
    assert image.cloud_fraction == cover(item) and image.product.id == PRODUCT
    assert f"{image.acquired:%Y-%m-%dT%H:%M:%SZ}" == item["properties"]["datetime"]
    bands = client.catalog.Band.search(client=client.connection).filter(client.catalog.properties.product_id == PRODUCT)
    told = {band.name: (band.type, band.data_type, band.nodata, band.resolution.value) for band in bands}
    spectral = dict.fromkeys(["B02", "B03", "B04", "B08"], ("spectral", "UInt16", 0, 10))
    assert told == {**spectral, "cloud_mask": ("class", "Byte", 255, 10)}


def by_hand(paths: list[Path], tile: Tile, nodata: int) -> list[list[int | None]]:
    """The last path's value at each pixel centre unless it is nodata; then that of the path before."""
    layers = [nearest_by_loop(path, tile)[0] for path in reversed(paths)]
    shown = []
    for row in range(tile.grid.size):
        shown.append([])
        for column in range(tile.grid.size):
            values = [layer[row][column] for layer in layers]
            good = [int(value) for value in values if value is not OUTSIDE and value != nodata]
            shown[-1].append(good[0] if good else None)
    return shown


@pytest.mark.parametrize("key", ["60:2:10.0:33:-334:8903", "27:3:17.0:32:536:11643"])
def test_a_mosaic_shows_the_last_image_with_data(client: Client, sample_folder: Path, key: str) -> None:
    folder, tile = sample_folder / "resources" / "sample" / PRODUCT, Tile.from_key(key)
    names = [path.name for path in sorted(folder.iterdir()) if path.is_dir()]
    for chosen in ([names[1], names[0], names[3]], [names[0]], [names[4], names[5]]):
        pixels = client.pixels([f"{PRODUCT}:{name}" for name in chosen], ["B08", "B02"], key)
        for band, found in zip(["B08", "B02"], pixels, strict=True):
            wanted = by_hand([folder / name / f"{band}.tif" for name in chosen], tile, 0)
            assert [[None if value is np.ma.masked else int(value) for value in row] for row in found] == wanted
    assert pixels.dtype == np.uint16
    mask = client.pixels([f"{PRODUCT}:cloud_mask:{names[0]}"], ["cloud_mask"], key)[0]
    wanted = by_hand([folder / names[0] / "cloud_mask.tif"], tile, 255)
    assert [[None if value is np.ma.masked else int(value) for value in row] for row in mask] == wanted


def test_real_scenes_are_read_pixel_by_pixel(real_data: Path) -> None:
    names = [path.name for path in sorted((real_data / "s2-l1c").iterdir()) if path.is_dir()][4:8]
    with Platform(real_data / "catalog.json") as platform:
        client = Client("earthdaily.earthone", platform)
        corner = next(iter(client.search("s2-l1c"))).geotrans
        core = 600
        key = f"60:2:10.0:33:{math.floor((corner[0] - 500_000) / core)}:{math.floor(corner[3] / core) - 1}"
        found = client.pixels([f"s2-l1c:{name}" for name in names], ["B08"], key)[0]
    wanted = by_hand([real_data / "s2-l1c" / name / "B08.tif" for name in names], Tile.from_key(key), 0)
    assert [[None if value is np.ma.masked else int(value) for value in row] for row in found] == wanted
    assert 0 < found.mask.mean() < 1


def test_other_sizes_types_and_kernels(client: Client, sample_folder: Path) -> None:
    path = next((sample_folder / "resources" / "sample" / PRODUCT).glob("*r022/B08.tif"))
    with rasterio.open(path) as file:
        data, transform = file.read(1).astype(int), file.transform
    west, north = transform @ (100, 60)
    place = {"dltile": None, "srs": "EPSG:32633", "bounds": (west, north - 320, west + 480, north)}
    block, ids = data[60:92, 100:148], [f"{PRODUCT}:{path.parent.name}"]
    assert (block > 0).all()
    assert (client.pixels(ids, ["B08"], resolution=10, **place)[0] == block).all()
    assert (client.pixels(ids, ["B08"], dimensions=(48, 40), **place)[0] == block).all()
    assert (client.pixels(ids, ["B08"], resolution=10, data_type="Byte", **place)[0] == block.clip(0, 255)).all()
    means = block.reshape(16, 2, 24, 2).mean(axis=(1, 3))
    found = client.pixels(ids, ["B08"], resolution=20, resampler="average", data_type="Float64", **place)[0]
    assert np.abs(found - means).max() <= 0.5


def test_without_masking_every_pixel_has_its_value(client: Client) -> None:
    names = [SCENE]
    found = client.pixels(names, ["cloud_mask"], "60:2:10.0:33:-334:8903")
    told = client.pixels(names, ["cloud_mask"], "60:2:10.0:33:-334:8903", mask_nodata=False)
    assert found.mask.any() and not np.ma.getmaskarray(told).any()
    assert (told.data[~found.mask] == found.compressed()).all()


@pytest.mark.parametrize("package", ["descarteslabs", "earthdaily.earthone"])
def test_alpha_says_where_an_image_is(package: str, sample_folder: Path) -> None:
    key, ids = (
        "60:2:10.0:33:-334:8903",
        [f"{PRODUCT}:sample_20230208T102149_r065", f"{PRODUCT}:sample_20230215T101129_r022"],
    )
    with Platform(sample_folder / "resources" / "sample" / "catalog.json", alpha=True) as platform:
        client = Client(package, platform)
        plain = client.pixels(ids[1:], ["B02", "B08"], key)
        alpha = client.pixels(ids[1:], ["B02", "alpha"], key)[1]
        assert ((alpha == 0) == plain.mask[0]).all() and set(np.unique(alpha.data)) == {0, 1}
        images = platform.catalogue.images
        images[ids[0]].sources["alpha"] = images[ids[1]].sources["alpha"]
        whole = client.pixels(ids[:1], ["B08"], key)
        shown = client.pixels(ids[:1], ["B08", "alpha"], key, mask_alpha=True, drop_alpha=True)
        assert not whole.mask.any() and shown.shape == (1, 64, 64)
        assert (shown[0].mask == plain.mask[0]).all() and (shown == whole).all()


def test_unknown_and_forbidden_objects_are_errors(client: Client, platform: Platform) -> None:
    known = [image.id for image in client.search().limit(2)]
    with pytest.raises(client.errors.NotFoundError, match="no image sample-l2a:nowhere"):
        client.pixels([*known, f"{PRODUCT}:nowhere"], ["B02"])
    with pytest.raises(client.errors.BadRequestError, match="has no band B99"):
        client.pixels(known, ["B02", "B99"])
    with pytest.raises(client.errors.BadRequestError, match="processing level"):
        client.pixels(known, ["B02"], processing_level="deeper")
    del platform.catalogue.images[known[0]]
    with pytest.raises(client.errors.NotFoundError):
        client.pixels(known, ["B02"])
    platform.forbidden.add(PRODUCT)
    for ask in (client.product, client.search().count, lambda: client.pixels(known[1:], ["B02"])):
        with pytest.raises(client.errors.ForbiddenError, match="no access to product sample-l2a"):
            ask()


def test_tokens_are_checked(client: Client, platform: Platform) -> None:
    stranger = Client(client.package, platform, make_token(sub="somebody else"))
    for ask in (stranger.product, lambda: stranger.pixels([f"{PRODUCT}:x"], ["B02"])):
        with pytest.raises(client.errors.UnauthorizedError):
            ask()
    place = {"domain": f"{platform.url}/iam", "token_info_path": None}
    login = client.auth.Auth(client_id="loopback", client_secret="loopback-secret", **place)
    assert Client(client.package, platform, login.token).product().id == PRODUCT
    with pytest.raises(client.errors.UnauthorizedError):
        assert client.auth.Auth(client_id="loopback", client_secret="guessed", **place).token
