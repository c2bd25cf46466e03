"""Folders of rasters become catalogues that the workflow reads as any other."""

import math
from datetime import UTC, date, datetime

import numpy as np
import pystac
import pytest
import shapely

from segchips.commands.raster_catalogue import write_catalogue
from segchips.errors import InputError
from segchips.scenes.stac_catalogue import StacCatalogue
from support.catalogues import COG_MEDIA_TYPE
from support.datasets import make_dataset, tile_at, tile_outline
from support.rasters import raster_outline, transform_over, write_raster

TILE = tile_at()


def raster(path, value=1, bands=1, dtype="uint16", **options):
    crs = options.pop("crs", TILE.crs)
    data = np.full((bands, 40, 40), value, dtype)
    return write_raster(
        path, data, transform_over(TILE, (40, 40), 10 if crs == TILE.crs else 1e-4, crs), crs, **options
    )


def scenes(folder, bands, **imagery):
    dataset = make_dataset(imagery={"catalog": str(folder), "products": [{"id": "ortho", "bands": bands}], **imagery})
    return {scene.id: scene for scene in StacCatalogue(dataset.imagery.first).search(np.array([tile_outline(TILE)]))}


def test_files_of_several_bands_are_scenes_of_their_own(tmp_path):
    raster(tmp_path / "in" / "a_20170301.tif", bands=3, nodata=0)
    raster(tmp_path / "in" / "deep" / "b-2017-05-02.TIF", bands=3, nodata=0)
    write_catalogue(tmp_path / "in", tmp_path / "out" / "catalog.json", "ortho")
    by_id = scenes(tmp_path / "out" / "catalog.json", ["image:1"])
    assert {name: scene.acquired.date() for name, scene in by_id.items()} == {
        "a_20170301": date(2017, 3, 1),
        "b-2017-05-02": date(2017, 5, 2),
    }
    band = by_id["a_20170301"].band("image:3")
    assert (band.index, band.nodata, band.scale, band.offset) == (3, 0, 1, 0)
    assert (tmp_path / "in" / "a_20170301.tif").samefile(band.href)


@pytest.mark.parametrize(
    "names",
    [
        ["s2_20170301T101530_B02.tif", "s2_20170301T101530_B03.tif", "s2_20170301T101530_cloud_mask.tif"],
        ["S2_20170301T101530/B02.tif", "S2_20170301T101530/B03.tif", "S2_20170301T101530/cloud_mask.tif"],
    ],
)
def test_files_that_differ_in_the_band_name_are_one_scene(tmp_path, names):
    for name in names:
        raster(tmp_path / "in" / name)
    write_catalogue(tmp_path / "in", tmp_path / "out" / "catalog.json", "ortho")
    (scene,) = scenes(tmp_path / "out" / "catalog.json", ["B02"]).values()
    assert set(scene.assets) == {"B02", "B03", "cloud_mask"}
    assert scene.acquired == datetime(2017, 3, 1, 10, 15, 30, tzinfo=UTC)


def test_neighbours_of_one_band_are_not_one_scene(tmp_path):
    raster(tmp_path / "in" / "dem_north_20170301.tif")
    write_raster(
        tmp_path / "in" / "dem_south_20170301.tif",
        np.ones((40, 40), "uint16"),
        transform_over(TILE, (40, 40), 10, shift=(0, 40)),
        TILE.crs,
    )
    items = write_catalogue(tmp_path / "in", tmp_path / "out" / "catalog.json", "ortho", None)
    assert [item.id for item in items] == ["dem_north_20170301", "dem_south_20170301"]


def test_what_the_header_says_is_in_the_item(tmp_path):
    path = raster(tmp_path / "in" / "x_20170301.tif", dtype="float32", nodata=math.nan, crs="EPSG:4326")
    (item,) = write_catalogue(tmp_path / "in", tmp_path / "out" / "catalog.json", "ortho")
    assert item.assets["image"].extra_fields["raster:bands"] == [
        {"data_type": "float32", "nodata": "nan", "scale": 1.0, "offset": 0.0}
    ]
    assert item.assets["image"].media_type == COG_MEDIA_TYPE.split(";")[0] + "; application=geotiff"
    outline, expected = (shapely.geometry.shape(one) for one in (item.geometry, raster_outline(path)))
    assert outline.symmetric_difference(expected).area < 1e-4 * expected.area
    assert outline.exterior.is_ccw


def test_the_catalogue_is_valid_stac_and_the_same_bytes_again(tmp_path):
    raster(tmp_path / "in" / "b_20170301.tif", bands=3)
    raster(tmp_path / "in" / "a_20160301.tif", bands=3)

    def written(name):
        write_catalogue(tmp_path / "in", tmp_path / name / "catalog.json", "ortho")
        files = sorted((tmp_path / name).rglob("*.json"))
        return {path.relative_to(tmp_path / name): path.read_bytes() for path in files}

    assert written("one") == written("two")
    catalog = pystac.read_file(str(tmp_path / "one" / "catalog.json"))
    (collection,) = catalog.get_children()
    assert [item.id for item in collection.get_items()] == ["a_20160301", "b_20170301"]
    days = [f"{when:%Y-%m-%d}" for when in collection.extent.temporal.intervals[0]]
    assert days == ["2016-03-01", "2017-03-01"]


def test_a_day_for_all_files(tmp_path):
    raster(tmp_path / "in" / "mosaic.tif", bands=3)
    day = datetime(2020, 6, 30, 12, tzinfo=UTC)
    (item,) = write_catalogue(tmp_path / "in", tmp_path / "out" / "catalog.json", "ortho", day)
    assert item.datetime == day


def no_day(folder):
    raster(folder / "mosaic.tif", bands=3)


def no_place(folder):
    raster(folder / "x_20170301.tif", crs=None)


def no_raster(folder):
    folder.mkdir()
    (folder / "x_20170301.tif").write_text("text")


def nothing(folder):
    folder.mkdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_day, ["mosaic.tif'", "mosaic_20230630.tif", "--day 2023-06-30"]),
        (no_place, ["x_20170301.tif'", "no CRS", "gdal_edit.py -a_srs"]),
        (no_raster, ["x_20170301.tif'", "cannot be read as a raster"]),
        (nothing, ["holds no raster (.tif, .tiff, .jp2"]),
        (lambda folder: None, ["is not a folder"]),
    ],
)
def test_what_cannot_be_a_scene_is_named(tmp_path, spoil, words):
    spoil(tmp_path / "in")
    with pytest.raises(InputError) as error:
        write_catalogue(tmp_path / "in", tmp_path / "out" / "catalog.json", "ortho")
    for word in words:
        assert word in str(error.value)
    assert not (tmp_path / "out").exists()
