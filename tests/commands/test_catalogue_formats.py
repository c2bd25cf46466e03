"""`segchips catalog` with other formats than GeoTIFF, names by a pattern, and folders that grow."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from segchips.cli import main
from segchips.commands import header_cache
from segchips.commands.raster_catalogue import write_catalogue
from segchips.errors import InputError
from segchips.scenes.stac_catalogue import StacCatalogue
from support.datasets import make_dataset, tile_at, tile_outline
from support.rasters import transform_over, write_raster

TILE = tile_at()


def write(path, bands=1, value=7, step=10, **options):
    size = 640 // step
    data = np.full((bands, size, size), value, options.pop("dtype", "uint8"))
    transform, driver = transform_over(TILE, (size, size), step), options.pop("driver", None)
    if driver is None:
        return write_raster(Path(path), data, transform, TILE.crs, **options)
    plain = write_raster(Path(path).parents[1] / "plain.tif", data, transform, TILE.crs)
    Path(path).parent.mkdir(exist_ok=True)
    rasterio.shutil.copy(plain, path, driver=driver, **options)
    return Path(path)


def catalogue(folder, **options):
    return write_catalogue(folder, folder.parent / "out" / "catalog.json", "p", **options)


FORMATS = {
    "a_20170601.png": {"driver": "PNG", "worldfile": "YES"},
    "a_20170601.jpg": {"driver": "JPEG", "worldfile": "YES", "quality": 100},
    "a_20170601.img": {"driver": "HFA"},
    "a_20170601.nc": {"driver": "netCDF"},
    "a_20170601.zarr": {"driver": "Zarr"},
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_that_gdal_reads_is_a_scene(tmp_path, name):
    write(tmp_path / "in" / name, **FORMATS[name])
    (item,) = catalogue(tmp_path / "in")
    assert list(item.assets) == ["image"] and item.id == "a_20170601"
    dataset = make_dataset(
        imagery={"catalog": str(tmp_path / "out" / "catalog.json"), "products": [{"id": "p", "bands": ["image"]}]}
    )
    (scene,) = StacCatalogue(dataset.imagery.first).search(np.array([tile_outline(TILE)]))
    with rasterio.open(scene.band("image").href) as file:
        assert (file.read(1) == 7).all() and file.crs.to_epsg() == 32633


def test_pictures_without_a_place_are_no_rasters(tmp_path):
    write(tmp_path / "in" / "a_20230601.tif")
    write(tmp_path / "in" / "preview_20230601.png", driver="PNG")
    for beside in (tmp_path / "in").glob("preview*.aux.xml"):
        beside.unlink()
    assert [item.id for item in catalogue(tmp_path / "in")] == ["a_20230601"]


def test_a_file_of_several_variables_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "in" / "a_20230601.nc"
    path.parent.mkdir()
    write(tmp_path / "one.tif", bands=2)
    with rasterio.open(tmp_path / "one.tif") as source:
        rasterio.shutil.copy(source, path, driver="netCDF")
    with pytest.raises(InputError, match=r"a_20230601.nc' holds several variables \(Band1, Band2\); .* gdal_translate"):
        catalogue(tmp_path / "in")


def test_bands_in_several_resolutions_become_the_finest(tmp_path):
    for name, step in (("B02_10m", 10), ("B02_20m", 20), ("B05_20m", 20), ("SCL_20m", 20)):
        write(tmp_path / "in" / f"mine_20230601_{name}.tif", step=step)
    (item,) = catalogue(tmp_path / "in")
    assert set(item.assets) == {"B02", "B05", "SCL"} and item.assets["B02"].href.endswith("B02_10m.tif")


@pytest.mark.parametrize(
    ("pattern", "names", "scenes"),
    [
        ("{band}/{scene}.tif", ["red/a_20230601.tif", "nir/a_20230601.tif"], {"a_20230601": {"red", "nir"}}),
        ("{scene}-{band}.tif", ["a-20230601-red.tif", "a-20230601-nir.tif"], {"a-20230601": {"red", "nir"}}),
        ("{date}/x_{band}.tif", ["2023-06-01/x_red.tif", "2023-06-01/x_nir.tif"], {"2023-06-01_x": {"red", "nir"}}),
        ("**/{scene}_{date}.tif", ["deep/er/a_20230601.tif", "b_20230601.tif"], {"a": {"image"}, "b": {"image"}}),
    ],
)
def test_files_are_named_by_a_pattern(tmp_path, pattern, names, scenes):
    for name in [*names, "other_20230601.tif"]:
        write(tmp_path / "in" / name)
    items = catalogue(tmp_path / "in", pattern=pattern)
    assert {item.id: set(item.assets) for item in items if "other" not in item.id} == scenes
    assert {item.datetime.date().isoformat() for item in items} == {"2023-06-01"}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{scene}_{kind}.tif", "{kind} is no part; take {scene}, {band} and {date}"),
        ("*.tif", "it must hold {scene} or {band}, each once"),
        ("{band}_{band}.tif", "it must hold {scene} or {band}, each once"),
        ("{scene}.img", "no file below 'in' matches it; correct the pattern"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_said(tmp_path, monkeypatch, pattern, message):
    monkeypatch.chdir(tmp_path)
    write("in/a_20230601.tif")
    with pytest.raises(SystemExit) as error:
        main(["catalog", "in", "--pattern", pattern])
    assert message in str(error.value)


def test_only_new_and_changed_files_are_read_again(tmp_path, monkeypatch):
    folder, reads = tmp_path / "in", []
    for day in (1, 2, 3):
        write(folder / f"a_2023060{day}.tif", bands=3)
    first = [item.to_dict() for item in catalogue(folder)]
    own = header_cache.read_raster
    monkeypatch.setattr(header_cache, "read_raster", lambda path, *more: reads.append(path.name) or own(path, *more))
    assert [item.to_dict() for item in catalogue(folder)] == first and reads == []
    write(folder / "a_20230604.tif", bands=3)
    write(folder / "a_20230602.tif", bands=4)
    (folder / "a_20230601.tif").unlink()
    items = {item.id: len(item.assets["image"].extra_fields["raster:bands"]) for item in catalogue(folder)}
    assert sorted(reads) == ["a_20230602.tif", "a_20230604.tif"]
    assert items == {"a_20230602": 4, "a_20230603": 3, "a_20230604": 3}
    assert {path.stem for path in (tmp_path / "out" / "p").glob("a_*.json")} == set(items), "the item that is gone too"


def test_a_cache_that_is_damaged_is_made_again(tmp_path):
    write(tmp_path / "in" / "a_20230601.tif")
    first = [item.to_dict() for item in catalogue(tmp_path / "in")]
    (tmp_path / "out" / "p" / ".headers.json").write_text("[")
    assert [item.to_dict() for item in catalogue(tmp_path / "in")] == first
    shutil.rmtree(tmp_path / "out")
    assert [item.to_dict() for item in catalogue(tmp_path / "in")] == first
