"""platform_catalogue.py and platform_reader.py with both real clients: what is found, read and asked for."""

import importlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from loopback.server import Platform
from segchips.errors import ConfigError, CredentialsError, InputError
from segchips.scenes.catalogue import open_catalogue
from segchips.scenes.platform_service import services
from segchips.scenes.query import SceneQuery
from support.platform_scenes import (
    BOTH,
    MASK,
    PACKAGES,
    TILES,
    find_scenes,
    make_chip,
    plan_images,
    platform_dataset,
)
from support.rasters import OUTSIDE, nearest_by_loop


def items(sample_folder):
    return [
        json.loads(path.read_text())
        for path in (sample_folder / "resources/sample/sample-l2a").glob("*/*.json")
        if path.stem == path.parent.name
    ]


def test_scenes_are_those_of_the_catalogue_on_as_many_pages_as_it_takes(source, platform, sample_folder):
    platform.page_size = 3
    found = {scene.id: scene for scene in find_scenes(platform_dataset(source))}
    known = {item["id"]: item["properties"] for item in items(sample_folder)}
    assert found.keys() == known.keys() and len(known) > 6
    for name, scene in found.items():
        assert scene.acquired.isoformat().replace("+00:00", "Z") == known[name]["datetime"]
        assert scene.cloud == pytest.approx(known[name]["eo:cloud_cover"] / 100)
        assert scene.band("B04").dtype == "uint16" and scene.band("cloud_mask").dtype == "uint8"
        assert scene.band("B04").nodata == 0


@pytest.mark.parametrize("cloud_mask", [None, MASK])
def test_each_product_is_searched_once(source, platform, sample_folder, cloud_mask):
    products = [{"id": "sample-l2a", "bands": ["B04"]}]
    found = find_scenes(platform_dataset(source, products=products, cloud_mask=cloud_mask, max_cloud=0.3))
    asked = platform.log.of("catalog", "/images")
    assert len(asked) == (2 if cloud_mask else 1)
    # a mask product knows no clouds of its own, so that it is taken whole
    masks = [scene for scene in found if scene.product == "sample-l2a:cloud_mask"]
    assert len(masks) == (len(items(sample_folder)) if cloud_mask else 0)


def test_both_days_are_included_and_the_cloud_limit_is_not(source, platform, sample_folder):
    known = sorted(items(sample_folder), key=lambda item: item["properties"]["datetime"])
    first, last = known[3]["properties"], known[6]["properties"]
    days = {"start": first["datetime"][:10], "end": last["datetime"][:10]}
    assert {scene.id for scene in find_scenes(platform_dataset(source, **days))} == {item["id"] for item in known[3:7]}
    limit = known[4]["properties"]["eo:cloud_cover"] / 100
    clear = {item["id"] for item in known if item["properties"]["eo:cloud_cover"] / 100 < limit}
    assert {scene.id for scene in find_scenes(platform_dataset(source, max_cloud=limit))} == clear


def test_a_scene_at_the_very_end_of_the_last_day_counts(source, platform):
    image = next(iter(platform.catalogue.images.values()))
    for second, inside in (("2023-05-31T23:59:59.999999Z", True), ("2023-06-01T00:00:00Z", False)):
        image.attributes["acquired"] = second
        found = find_scenes(platform_dataset(source, start="2023-05-31", end="2023-05-31"))
        assert [scene.id for scene in found] == [image.attributes["name"]] * inside


@pytest.mark.parametrize(
    ("product", "bands", "level", "words"),
    [
        ("sentinel-2:L1C", ["red"], None, "has no product 'sentinel-2:L1C' that the account sees"),
        ("sample-l2a", ["red"], None, "product 'sample-l2a' has no band 'red'; it has B02, B03, B04, B08, cloud_mask"),
        ("sample-l2a", ["B04"], "dull", "product 'sample-l2a': Unknown processing_level value dull for band B0"),
    ],
)
def test_what_is_not_there_is_named_before_any_scene_is_asked_for(source, platform, product, bands, level, words):
    with pytest.raises(InputError, match=words):
        open_catalogue(platform_dataset(source).imagery.first).check(product, bands, level, None)
    assert not platform.log.of("catalog", "/images") and not platform.log.of("raster")


def test_a_product_that_the_account_may_not_see_ends_everything(source, platform):
    platform.forbidden.add("sample-l2a")
    with pytest.raises(CredentialsError, match="product 'sample-l2a': permission denied .403 .* auth login"):
        find_scenes(platform_dataset(source))
    asked = len(platform.log)
    with pytest.raises(CredentialsError):
        find_scenes(platform_dataset(source))
    assert len(platform.log) == asked == 1


@pytest.mark.parametrize("composite", ["closest", "median", "mean"])
@pytest.mark.parametrize(
    "cloud_mask", [None, {"asset": "cloud_mask", "clear": [0]}, {"asset": "cloud_mask", "bits": [0, 1]}, MASK]
)
def test_chips_are_those_of_the_files(source, platform, sample_folder, tmp_path, composite, cloud_mask):
    catalog = str(sample_folder / "resources/sample/catalog.json")
    of_files = {"asset": "cloud_mask", "clear": [0]} if cloud_mask == MASK else cloud_mask
    files = platform_dataset("stac", catalog=catalog, composite=composite, cloud_mask=of_files)
    theirs, ours = (
        plan_images(files, tmp_path, "files"),
        plan_images(platform_dataset(source, composite=composite, cloud_mask=cloud_mask), tmp_path),
    )
    platform.log.clear()
    for tile in TILES[::3]:
        expected, tags, *layout = make_chip(theirs, tmp_path / "files.tif", tile)
        pixels, found, *others = make_chip(ours, tmp_path / "platform.tif", tile)
        np.testing.assert_array_equal(pixels, expected)
        assert pixels.dtype == expected.dtype and others == layout and found["VALID"] == tags["VALID"]
    asked = len(platform.log.of("raster"))
    scenes = sum(len(ours.scenes(tile.key, "sample-l2a")) for tile in TILES[::3])
    if composite == "closest":
        # without a mask at once; else scene by scene, and no further once the chip is full
        assert asked < 2 * scenes - 8 if cloud_mask else asked == 2
    else:
        # an image whose mask leaves nothing is not asked for
        assert 2 * scenes - 8 < asked <= 2 * scenes if cloud_mask else asked == scenes


@pytest.mark.parametrize("resampling", ["bilinear", "cubic_spline", "average", "max"])
def test_products_are_stacked_each_with_its_resampling(source, platform, sample_folder, tmp_path, resampling):
    products = [
        {"id": "sample-l2a", "bands": ["B08", "B02"], "resampling": resampling},
        {"id": "sample-l2a:cloud_mask", "bands": ["cloud_mask"]},
    ]
    ours = plan_images(platform_dataset(source, products=products), tmp_path)
    platform.log.clear()
    pixels, *_ = make_chip(ours, tmp_path / "stacked.tif")
    assert len(platform.log.of("raster")) == 2
    catalog = str(sample_folder / "resources/sample/catalog.json")
    for plane, band, how in ((0, "B08", resampling), (1, "B02", resampling), (2, "cloud_mask", "nearest")):
        alone = platform_dataset(
            "stac", catalog=catalog, products=[{"id": "sample-l2a", "bands": [band], "resampling": how}]
        )
        (expected,), _, nodata, _ = make_chip(plan_images(alone, tmp_path, "file"), tmp_path / "a.tif")
        if band == "cloud_mask":
            # no value of the mask is fill, so that a clear 0 stays 0 beside bands whose 0 is fill
            expected = np.where(expected == nodata, 0, expected)
        # a valid 0 is stored as 1 where the band is alone and 0 is its nodata
        moved = (pixels[plane] == 0) & (expected == 1) & (band != "cloud_mask")
        assert np.mean(moved) < (0.01 if how == "cubic_spline" else 1e-9)
        np.testing.assert_array_equal(np.where(moved, 1, pixels[plane]), expected)


def test_without_a_mask_of_its_acquisition_a_scene_is_not_clear(source, platform, tmp_path):
    masks = [name for name in platform.catalogue.images if name.startswith("sample-l2a:cloud_mask:")]
    for name in masks[1:]:
        del platform.catalogue.images[name]
    kept = masks[0].removeprefix("sample-l2a:cloud_mask:")
    masked = platform_dataset(source, composite="median", cloud_mask=MASK)
    pixels, tags, *_ = make_chip(plan_images(masked, tmp_path), tmp_path / "a.tif")
    assert [scene["id"] for scene in json.loads(tags["SCENES"])["sample-l2a"]] == [kept]
    day = platform.catalogue.images[f"sample-l2a:{kept}"].attributes["acquired"][:10]
    alone = platform_dataset(source, composite="median", cloud_mask=MASK, start=day, end=day)
    np.testing.assert_array_equal(pixels, make_chip(plan_images(alone, tmp_path), tmp_path / "b.tif")[0])


def test_nodata_of_the_config_is_nodata_besides_and_sought_scene_by_scene(source, platform, sample_folder, tmp_path):
    common, *_ = make_chip(plan_images(platform_dataset(source), tmp_path), tmp_path / "a.tif")
    value = int(np.bincount(common[0].ravel()).argmax())
    own = plan_images(
        platform_dataset(source, products=[{"id": "sample-l2a", "bands": ["B04"], "nodata": value}]), tmp_path
    )
    (pixels,), _, nodata, _ = make_chip(own, tmp_path / "b.tif")
    folder = sample_folder / "resources/sample/sample-l2a"
    scenes = [scene.id for scene in own.scenes(TILES[1].key, "sample-l2a")]
    layers = [nearest_by_loop(folder / name / "B04.tif", TILES[1])[0] for name in scenes]
    for row, column in np.ndindex(pixels.shape):
        seen = [layer[row][column] for layer in layers if layer[row][column] is not OUTSIDE]
        assert pixels[row, column] == next((one for one in seen if one not in (0, value)), value)
    assert nodata == value and (pixels != common[0]).any()


def test_what_is_pinned_decides_what_is_read(source, platform, tmp_path):
    pinned = plan_images(platform_dataset(source), tmp_path)
    before, *_ = make_chip(pinned, tmp_path / "a.tif")
    for band in platform.catalogue.bands.values():
        band["data_type"] = "Float64"
    platform.log.clear()
    after, *_ = make_chip(pinned, tmp_path / "b.tif")
    np.testing.assert_array_equal(after, before)
    (asked,) = platform.log.of("raster")
    assert asked.body["ot"] == "UInt16" and len(platform.log) == 1
    order = [scene.id for scene in pinned.scenes(TILES[1].key, "sample-l2a")]
    assert asked.body["ids"] == [f"sample-l2a:{name}" for name in reversed(order)]


def test_an_alpha_band_is_asked_for_and_not_kept(source, sample_folder, tmp_path, monkeypatch):
    with Platform(sample_folder / "resources/sample/catalog.json", alpha=True) as platform:
        for name, value in platform.settings.items():
            monkeypatch.setenv(name, value)
        settings = importlib.import_module(f"{PACKAGES[source]}.config").Settings
        monkeypatch.setattr(settings, "_settings", None)
        services.clear()
        pixels, _, _, names = make_chip(plan_images(platform_dataset(source), tmp_path), tmp_path / "a.tif")
        (asked,) = platform.log.of("raster")
    assert (asked.body["bands"], asked.body["mask_alpha"]) == (["B04", "B08", "alpha"], True)
    assert names == ("B04", "B08") and len(pixels) == 2


def test_a_processing_level_is_sent_and_changes_the_query(source, platform, tmp_path):
    levelled = platform_dataset(source, products=[{**BOTH[0], "processing_level": "surface"}])
    make_chip(plan_images(levelled, tmp_path), tmp_path / "a.tif")
    assert [request.body["processing_level"] for request in platform.log.of("raster")] == ["surface"]
    assert SceneQuery.of(levelled.imagery.first).text != SceneQuery.of(platform_dataset(source).imagery.first).text


def test_sources_are_different_questions_and_different_chips(tmp_path):
    queries = {
        SceneQuery.of(platform_dataset(source, catalog="c.json").imagery.first).text for source in ("stac", *PACKAGES)
    }
    assert len(queries) == 3
    with pytest.raises(ConfigError, match="processing_level: 'toa' is for descarteslabs and earthone"):
        platform_dataset("stac", products=[{**BOTH[0], "processing_level": "toa"}])
    with pytest.raises(ConfigError, match="source 'earthone' does not offer 'rms'"):
        platform_dataset("earthone", products=[{**BOTH[0], "resampling": "rms"}])


def test_chips_from_files_need_no_client(sample_folder, tmp_path):
    folder = shutil.copytree(sample_folder / "resources", tmp_path / "resources")
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
from support.platform_scenes import TILES, make_chip, plan_images, platform_dataset
dataset = platform_dataset("stac", catalog={str(folder / "sample/catalog.json")!r})
make_chip(plan_images(dataset, Path({str(tmp_path)!r})), Path("chip.tif"))
assert not {{"descarteslabs", "earthdaily.earthone.catalog", "segchips.scenes.platform_catalogue"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
