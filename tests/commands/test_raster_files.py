"""`segchips init` on rasters of a user: orthophotos without dates, several kinds of rasters, and those it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import rasterio.vrt
import yaml
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from segchips.cli import main
from segchips.config.loading import load_config
from support.datasets import tile_at, tile_outline
from support.rasters import transform_over, write_raster
from support.vectors import write_vectors

TILE = tile_at()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_vectors(tmp_path / "roofs.gpkg", [tile_outline(TILE)] * 3, "EPSG:4326", kind=["a", "b", "a"])
    return tmp_path


def ortho(path, bands=3, step=2.0, size=320, dtype="uint8", crs=TILE.crs, **options):
    data = np.ones((bands, size, size), dtype)
    write_raster(Path(path), data, transform_over(TILE, (size, size), step, crs), crs, **options)


def init(*arguments):
    main(["init", *arguments])
    (path,) = Path("config").glob("*.yaml")
    text = path.read_text()
    ((_, dataset),) = load_config(yaml.safe_load(text)).datasets.items()
    return dataset, text


@pytest.mark.parametrize("named", [False, True])
def test_an_orthophoto_without_date_is_read_as_it_is(named):
    ortho("my ortho.tif", photometric="RGB", nodata=0)
    dataset, _ = init(*(["--imagery", "my ortho.tif"] if named else []))
    imagery = dataset.imagery.first
    assert (imagery.source, imagery.path, imagery.start) == ("files", "my ortho.tif", None)
    assert imagery.products[0].nodata_rule.when == "all"
    assert (dataset.tiles.grid, dataset.tiles.size) == ("imagery", 256)


def test_an_alpha_band_is_no_band():
    ortho("in/a.tif", bands=4, photometric="RGB", alpha="YES")
    dataset, text = init("--imagery", "in")
    assert dataset.imagery.first.products[0].bands == ("1", "2", "3")
    assert "declare nodata" not in text


def test_an_alpha_band_of_dated_files_is_no_band():
    ortho("in/a_20230601.tif", bands=4, photometric="RGB", alpha="YES")
    dataset, _ = init("--imagery", "in")
    assert dataset.imagery.first.products[0].bands == ("red", "green", "blue")


def test_rasters_of_several_kinds_become_layers():
    ortho("in/ortho.tif", photometric="RGB")
    ortho("in/height_1.tif", bands=1, dtype="float32", size=160, step=4.0)
    ortho("in/height_2.tif", bands=1, dtype="float32", size=160, step=4.0)
    dataset, _ = init("--imagery", "in")
    layers = dataset.imagery.layers
    assert {name: layer.path for name, layer in layers.items()} == {"in": "in/height_*.tif", "ortho": "in/ortho.tif"}
    assert layers["in"].products[0].resampling == "bilinear" and dataset.tiles.resolution == 2


def test_dated_scenes_and_an_undated_raster_become_layers():
    for day in (20230601, 20230611):
        ortho(f"in/s2_{day}.tif", bands=4, dtype="uint16", step=10.0, size=64, nodata=0)
    ortho("in/dem.tif", bands=1, dtype="float32")
    dataset, _ = init("--imagery", "in")
    assert {name: layer.source for name, layer in dataset.imagery.layers.items()} == {"in": "stac", "dem": "files"}


def test_a_scene_without_date_among_others_is_named():
    ortho("in/a_20230601.tif")
    ortho("in/b.tif")
    with pytest.raises(SystemExit, match="'in/b.tif': no acquisition date .* --day"):
        init("--imagery", "in")


def test_files_of_a_mac_and_of_gis_programs_are_no_rasters():
    ortho("in/ortho.tif")
    Path("in/._ortho.tif").write_bytes(b"\0\5\26\7Mac OS X        ")
    Path("in/ortho.tif.aux.xml").write_text("<PAMDataset/>")
    Path("in/ortho.tif.ovr").write_bytes(b"")
    assert init("--imagery", "in")[0].imagery.first.path == "in/ortho.tif"


def test_a_raster_that_is_south_up_is_taken():
    size, transform = 320, transform_over(TILE, (320, 320), 2.0)
    flipped = transform @ Affine.translation(0, size) @ Affine.scale(1, -1)
    write_raster(Path("ortho.tif"), np.ones((3, size, size), "uint8"), flipped, TILE.crs)
    assert init("--imagery", "ortho.tif")[0].tiles.grid == "imagery"


def test_a_virtual_mosaic_is_taken():
    ortho("parts/a.tif")
    with rasterio.open("parts/a.tif") as file, rasterio.vrt.WarpedVRT(file) as warped:
        rasterio.shutil.copy(warped, "mosaic.vrt", driver="VRT")
    imagery = init("--imagery", "mosaic.vrt")[0].imagery.first
    assert (imagery.source, imagery.path) == ("files", "mosaic.vrt")


@pytest.mark.parametrize(("angle", "advised"), [(0, True), (12, False)])
def test_a_grid_is_advised_only_to_imagery_that_has_one(angle, advised):
    shift = transform_over(TILE, (320, 320), 2.0, "EPSG:3035")
    for number, offset in enumerate((0, 0.4)):
        place = shift @ Affine.translation(offset, 0) @ Affine.rotation(angle)
        write_raster(Path(f"in/{number}.tif"), np.ones((3, 320, 320), "uint8"), place, "EPSG:3035")
    dataset, text = init("--imagery", "in")
    assert dataset.tiles.grid == "dltile" and ("grid: imagery without resolution" in text) == advised


def gcps(path):
    with rasterio.open(path, "w", driver="GTiff", width=9, height=9, count=1, dtype="uint8") as file:
        file.gcps = [GroundControlPoint(0, 0, 14, 46), GroundControlPoint(9, 0, 14, 45)], rasterio.CRS.from_epsg(4326)


REFUSED = {
    "control points": (gcps, "'x.tif' has ground control points .* gdalwarp"),
    "no CRS": (
        lambda path: ortho(path, crs=TILE.crs) or strip_crs(path),
        "no CRS; .* gdal_edit.py -a_srs EPSG:32633 FILE",
    ),
    "Mars": (lambda path: ortho(path) or set_crs(path, "+proj=longlat +R=3396190"), "3396.19 km, which cannot"),
    "no raster": (lambda path: Path(path).write_text("text"), "'x.tif' cannot be read .* repair it or move it"),
    "a missing file": (lambda path: None, "'x.tif' does not exist; name a raster, a folder"),
}


def strip_crs(path):
    with rasterio.open(path) as file:
        data, profile = file.read(), file.profile
    with rasterio.open(path, "w", **{**profile, "crs": None}) as file:
        file.write(data)


def set_crs(path, crs):
    with rasterio.open(path) as file:
        data, profile = file.read(), file.profile
    with rasterio.open(path, "w", **{**profile, "crs": crs}) as file:
        file.write(data)


@pytest.mark.parametrize("name", REFUSED)
def test_a_raster_that_cannot_be_used_is_named(name):
    prepare, message = REFUSED[name]
    prepare("x.tif")
    with pytest.raises(SystemExit, match=message):
        init("--imagery", "x.tif")
    assert not Path("config").exists()


def test_an_export_of_arcgis_is_a_dataset_of_chips(here):
    for folder, bands, value in (("images", 3, 7), ("labels", 1, 1)):
        for number in range(3):
            write_raster(
                here / "export" / folder / f"{number:09d}.tif",
                np.full((bands, 16, 16), value, "uint8"),
                transform_over(TILE, (16, 16), 10),
                TILE.crs,
            )
    (here / "export" / "esri_model_definition.emd").write_text(
        json.dumps({"Classes": [{"Value": 1, "Name": "roof"}, {"Value": 2, "Name": "road"}]})
    )
    main(["init", "export"])
    config = load_config(yaml.safe_load(Path("config/export.yaml").read_text()))
    chips = config.conversions["export"].chips
    assert (chips.images, chips.labels, chips.background) == ("export/images", "export/labels", 0)
