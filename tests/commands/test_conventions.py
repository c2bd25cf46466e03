"""Folders of well-known products become scenes and bands as these products name them."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from segchips.commands.conventions import known_file
from segchips.commands.imagery_survey import survey_imagery
from segchips.commands.raster_catalogue import write_catalogue
from support.datasets import tile_at
from support.rasters import transform_over, write_raster

TILE = tile_at()
LANDSAT = "LC08_L2SP_023032_20230630_20230707_02_T1"
LANDSAT7 = "LE07_L1TP_023032_20030630_20200707_02_T1"
SAFE = "S2A_MSIL2A_20230630T101559_N0509_R065_T33UVP_20230630T141559.SAFE"
GRANULE = f"{SAFE}/GRANULE/L2A_T33UVP_A041886_20230630T101601"
S2 = "T33UVP_20230630T101559"


@pytest.mark.parametrize(
    ("name", "scene", "band", "acquired"),
    [
        (f"{LANDSAT}_SR_B2.TIF", LANDSAT, "SR_B2", (2023, 6, 30, 12)),
        (f"{LANDSAT}_QA_PIXEL.TIF", LANDSAT, "QA_PIXEL", (2023, 6, 30, 12)),
        (f"{LANDSAT7}_B6_VCID_1.TIF", LANDSAT7, "B6_VCID_1", (2003, 6, 30, 12)),
        (f"{S2}_B02_10m.jp2", S2, "B02", (2023, 6, 30, 10, 15, 59)),
        (f"{S2}_B8A.jp2", S2, "B8A", (2023, 6, 30, 10, 15, 59)),
        (f"{S2}_TCI_10m.jp2", S2, None, (2023, 6, 30, 10, 15, 59)),
        ("20230630_101559_12_2415_3B_AnalyticMS_SR_8b_clip.tif", "20230630_101559_12_2415", "image", None),
        ("20230630_101559_2415_3B_AnalyticMS.tif", "20230630_101559_2415", "image", None),
        ("20230630_101559_12_2415_3B_udm2_clip.tif", "20230630_101559_12_2415", "udm2", None),
        ("20230630_101559_12_2415_3B_Visual.tif", "20230630_101559_12_2415", None, None),
        ("HLS.S30.T33UVP.2023181T101559.v2.0.B02.tif", "HLS.S30.T33UVP.2023181T101559.v2.0", "B02", None),
        ("HLS.L30.T33UVP.2023181T101559.v2.0.Fmask.tif", "HLS.L30.T33UVP.2023181T101559.v2.0", "Fmask", None),
    ],
)
def test_names_of_products(name, scene, band, acquired):
    known = known_file(Path("in") / name)
    expected = datetime(*(acquired or (2023, 6, 30, 10, 15, 59)), tzinfo=UTC)
    assert (known.scene, known.band, known.acquired) == (scene, band, expected)


@pytest.mark.parametrize("name", ["a_20230630.tif", "B02.tif", "T33UVP_20231330T101559_B02.jp2", "ortho.tif"])
def test_other_names_follow_no_convention(name):
    assert known_file(Path("in") / name) is None


def write(folder, names, bands=1, steps=None):
    for name in names:
        step = (steps or {}).get(name[-7:-4], 10)
        data = np.full((bands, 400 // step, 400 // step), 7, "uint16")
        write_raster(folder / name, data, transform_over(TILE, data.shape[1:], step), TILE.crs)


def items(folder, out="catalog.json"):
    return write_catalogue(folder, folder.parent / "out" / out, "p")


def test_a_landsat_scene_with_its_mask_scaling_and_cloud_cover(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("SR_B2", "SR_B3", "ST_B10", "QA_PIXEL", "QA_RADSAT", "SR_QA_AEROSOL", "ST_ATRAN", "ST_QA")
    write(tmp_path / "in", [f"{LANDSAT}_{name}.TIF" for name in names])
    (tmp_path / "in" / f"{LANDSAT}_MTL.txt").write_text(
        '  CLOUD_COVER = 12.50\n    SCENE_CENTER_TIME = "16:40:05.1234560Z"\n'
    )
    (item,) = items(tmp_path / "in")
    assert (item.id, item.datetime) == (LANDSAT, datetime(2023, 6, 30, 16, 40, 5, tzinfo=UTC))
    assert item.properties["eo:cloud_cover"] == 12.5 and set(item.assets) == set(names)
    (band,) = item.assets["SR_B2"].extra_fields["raster:bands"]
    assert (band["nodata"], band["scale"], band["offset"]) == (0, 0.0000275, -0.2)
    (band,) = item.assets["QA_RADSAT"].extra_fields["raster:bands"]
    assert "nodata" not in band and (band["scale"], band["offset"]) == (1, 0)
    found = survey_imagery(["in"])[0]
    assert found.bands == ("SR_B2", "SR_B3", "ST_B10")
    assert found.mask == {"asset": "QA_PIXEL", "bits": [0, 1, 3, 4]}


def test_a_sentinel2_safe_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in" / GRANULE
    tif = ".tif"  # GDAL here may not write JPEG 2000
    write(folder / "IMG_DATA" / "R10m", [f"{S2}_{b}_10m{tif}" for b in ("B02", "B04", "TCI", "AOT")])
    write(folder / "IMG_DATA" / "R20m", [f"{S2}_{b}_20m{tif}" for b in ("B02", "B05", "SCL")], steps={"20m": 20})
    write(folder / "QI_DATA", [f"{S2}_B02{tif}"])
    (tmp_path / "in" / SAFE / "MTD_MSIL2A.xml").write_text(
        "<Cloud_Coverage_Assessment>3.25</Cloud_Coverage_Assessment>"
    )
    (item,) = items(tmp_path / "in")
    assert item.id == SAFE.removesuffix(".SAFE") and item.properties["eo:cloud_cover"] == 3.25
    assert set(item.assets) == {"B02", "B04", "B05", "SCL", "AOT"}
    assert "R10m" in item.assets["B02"].href, "of two resolutions the finer one"
    (band,) = item.assets["B02"].extra_fields["raster:bands"]
    assert (band["nodata"], band["scale"], band["offset"]) == (0, 0.0001, -0.1), "since baseline 04.00"
    found = survey_imagery(["in"])[0]
    assert found.bands == ("B02", "B04", "B05") and found.mask["asset"] == "SCL"


def test_a_planetscope_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stem = "20230630_101559_12_2415_3B"
    write(tmp_path / "in" / "PSScene", [f"{stem}_AnalyticMS_SR_clip.tif", f"{stem}_Visual_clip.tif"], 4)
    write(tmp_path / "in" / "PSScene", [f"{stem}_udm2_clip.tif"], 8)
    (item,) = items(tmp_path / "in")
    assert set(item.assets) == {"image", "udm2"}
    found = survey_imagery(["in"])[0]
    assert found.bands == ("image:1", "image:2", "image:3", "image:4")
    assert found.mask == {"asset": "udm2:1", "clear": [1]} and found.nodata_is_declared


def test_files_and_folders_that_begin_with_a_dot_are_left_out(tmp_path):
    write(tmp_path / "in", ["a_20230630.tif", ".Trashes/b_20230630.tif", "__MACOSX/c_20230630.tif"], 3)
    (tmp_path / "in" / "._a_20230630.tif").write_bytes(b"\0\5\26\7Mac OS X        ")
    assert [item.id for item in items(tmp_path / "in")] == ["a_20230630"]
