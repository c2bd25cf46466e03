"""Items as public collections publish them, cut to what decides: names, nodata, scale, offset, times of their bands."""

from datetime import UTC, datetime

import pytest

from segchips.errors import InputError
from segchips.scenes.stac_items import scene_from_item
from support.catalogues import COG_MEDIA_TYPE, make_item
from support.stac_scenes import DAY, HERE

E84 = "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs/33/T/VM"
PC = "https://account.blob.core.windows.net"
YEAR = {"start_datetime": "2021-01-01T00:00:00Z", "end_datetime": "2022-01-01T00:00:00Z"}


def cog(href, *eo_bands, **more):
    bands = {"eo:bands": [{"name": name, "common_name": common} for name, common in eo_bands]} if eo_bands else {}
    return {"href": href, "type": COG_MEDIA_TYPE, **bands, **more}


def raster(**fields):
    return {"raster:bands": [fields]}


S2_SCALED = raster(nodata=0, data_type="uint16", scale=0.0001, offset=-0.1)
COLLECTIONS = {
    "earth-search sentinel-2-l2a": {
        "properties": {"earthsearch:boa_offset_applied": True, "s2:processing_baseline": "05.09"},
        "assets": {
            "red": cog(f"{E84}/B04.tif", ("red", "red"), **S2_SCALED),
            "red-jp2": {"href": "s3://sentinel-s2-l2a/tiles/B04.jp2", "type": "image/jp2", **S2_SCALED},
            "aot": cog(f"{E84}/AOT.tif", **raster(nodata=0, scale=0.001, offset=0)),
            "scl": cog(f"{E84}/SCL.tif", **raster(nodata=0, data_type="uint8")),
            "visual": cog(f"{E84}/TCI.tif", ("red", "red"), ("green", "green"), ("blue", "blue")),
            "thumbnail": {"href": f"{E84}/preview.jpg", "type": "image/jpeg"},
        },
        "bands": {
            "red": ("red", 1, 0, 0.0001, 0.0),
            "red-jp2": ("red-jp2", 1, 0, 0.0001, -0.1),
            "aot": ("aot", 1, 0, 0.001, 0.0),
            "scl": ("scl", 1, 0, 1.0, 0.0),
            "visual:3": ("visual", 3, None, 1.0, 0.0),
        },
        "missing": ["thumbnail"],
    },
    "planetary computer sentinel-2-l2a": {
        "properties": {"s2:processing_baseline": "05.10"},
        "assets": {
            "B04": cog(f"{PC}/B04.tif", ("B04", "red")),
            "SCL": cog(f"{PC}/SCL.tif"),
            "visual": cog(f"{PC}/TCI.tif", ("B04", "red"), ("B03", "green"), ("B02", "blue")),
        },
        "bands": {
            "B04": ("B04", 1, None, 1.0, -1000.0),
            "red": ("B04", 1, None, 1.0, -1000.0),
            "SCL": ("SCL", 1, None, 1.0, 0.0),
            "green": ("visual", 2, None, 1.0, 0.0),
        },
    },
    "planetary computer landsat-c2-l2": {
        "assets": {
            "red": cog(f"{PC}/SR_B4.TIF", ("OLI_B4", "red"), **raster(nodata=0, scale=2.75e-05, offset=-0.2)),
            "lwir11": cog(f"{PC}/ST_B10.TIF", ("TIRS_B10", "lwir11"), **raster(nodata=0, scale=0.00341802, offset=149)),
            "qa_pixel": cog(f"{PC}/QA_PIXEL.TIF", **raster(nodata=1, data_type="uint16")),
            "mtl.json": {"href": f"{PC}/MTL.json", "type": "application/json"},
        },
        "bands": {
            "red": ("red", 1, 0, 2.75e-05, -0.2),
            "OLI_B4": ("red", 1, 0, 2.75e-05, -0.2),
            "lwir11": ("lwir11", 1, 0, 0.00341802, 149.0),
            "qa_pixel": ("qa_pixel", 1, 1, 1.0, 0.0),
        },
        "missing": ["mtl.json"],
    },
    "planetary computer sentinel-1-rtc": {
        "assets": {name: cog(f"{PC}/{name}.rtc.tiff") for name in ("vv", "vh")},
        "item_assets": {name: raster(nodata=-32768, data_type="float32") for name in ("vv", "vh", "hh", "hv")},
        "bands": {"vv": ("vv", 1, -32768, 1.0, 0.0)},
        "missing": ["hh"],
    },
    "hls without media types": {
        "assets": {
            "B04": {"href": "https://data.lpdaac.earthdatacloud.nasa.gov/HLS.S30.B04.tif", "title": "B04"},
            "Fmask": {"href": "https://data.lpdaac.earthdatacloud.nasa.gov/HLS.S30.Fmask.tif"},
            "browse": {"href": "https://data.lpdaac.earthdatacloud.nasa.gov/HLS.S30.jpg", "type": "image/jpeg"},
            "metadata": {"href": "https://cmr.earthdata.nasa.gov/G2.xml", "type": "application/xml"},
        },
        "bands": {"B04": ("B04", 1, None, 1.0, 0.0), "Fmask": ("Fmask", 1, None, 1.0, 0.0)},
        "missing": ["browse", "metadata"],
    },
    "naip": {
        "assets": {
            "image": cog(f"{PC}/m.tif", ("Red", "red"), ("Green", "green"), ("Blue", "blue"), ("NIR", "nir")),
            "thumbnail": {"href": f"{PC}/m.200.jpg", "type": "image/jpeg"},
        },
        "bands": {"nir": ("image", 4, None, 1.0, 0.0), "Green": ("image", 2, None, 1.0, 0.0)},
        "counts": {"image": 4},
    },
    "cop-dem-glo-30": {"assets": {"data": cog(f"{PC}/dem.tif")}, "bands": {"data": ("data", 1, None, 1.0, 0.0)}},
    "esa-worldcover": {
        "when": None,
        "properties": YEAR,
        "assets": {"map": cog(f"{PC}/map.tif", **raster(nodata=0)), "input_quality.1": cog(f"{PC}/q.tif")},
        "bands": {"map": ("map", 1, 0, 1.0, 0.0)},
        "acquired": datetime(2021, 7, 2, 12, tzinfo=UTC),
    },
    "modis 8 days": {
        "when": None,
        "properties": {"start_datetime": "2021-01-01T00:00:00Z", "end_datetime": "2021-01-08T23:59:59Z"},
        "assets": {
            "sur_refl_b01": cog(f"{PC}/b01.tif", ("sur_refl_b01", "red"), **raster(scale=0.0001, data_type="int16")),
            "hdf": {"href": f"{PC}/a.hdf", "type": "application/x-hdf"},
        },
        "bands": {"red": ("sur_refl_b01", 1, None, 0.0001, 0.0)},
        "missing": ["hdf"],
    },
    "copernicus data space sentinel-2-l2a": {
        "assets": {
            f"B04_{size}m": {
                "href": f"s3://eodata/B04_{size}m.jp2",
                "type": "image/jp2",
                "bands": [{"name": "B04", "eo:common_name": "red"}],
                **{"nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1},
                "alternate": {"https": {"href": "https://download.dataspace.copernicus.eu/B04"}},
            }
            for size in (10, 20)
        },
        "bands": {"B04_10m": ("B04_10m", 1, 0, 0.0001, -0.1), "*_20m": ("B04_20m", 1, 0, 0.0001, -0.1)},
        "ambiguous": ["B04", "red", "B04_*"],
    },
    "swisstopo": {
        "assets": {
            f"swissimage-dop10_2021_2600-1199_{size}_2056.tif": cog(f"https://data.geo.admin.ch/{size}.tif")
            for size in ("0.1", "2")
        },
        "bands": {"*_0.1_2056.tif": ("swissimage-dop10_2021_2600-1199_0.1_2056.tif", 1, None, 1.0, 0.0)},
        "ambiguous": ["swissimage-*"],
        "missing": ["*_0.5_2056.tif"],
    },
    "io-lulc-annual-v02": {
        "when": None,
        "properties": YEAR,
        "assets": {"data": cog(f"{PC}/lulc.tif", **raster(nodata=0))},
        "bands": {"data": ("data", 1, 0, 1.0, 0.0)},
    },
    "before STAC 0.9": {
        "properties": {"eo:bands": [{"name": "B1", "common_name": "coastal"}, {"name": "B4", "common_name": "red"}]},
        "assets": {"four": {"href": f"{PC}/B4.TIF", "type": "image/x.geotiff", "eo:bands": [1]}},
        "bands": {"B4": ("four", 1, None, 1.0, 0.0), "red": ("four", 1, None, 1.0, 0.0)},
        "missing": ["B1"],
    },
}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_bands_of_public_collections(name):
    about = COLLECTIONS[name]
    item = make_item("i", about.get("when", DAY), about["assets"], HERE, "c", **about.get("properties", {}))
    collection = {"type": "Collection", "id": "c", "item_assets": about.get("item_assets", {})}
    faults = []
    scene = scene_from_item(item, "c", "https://example.com/stac", collection, faults)
    assert faults == [] and scene.acquired == about.get("acquired", scene.acquired)
    for band_name, (asset, index, nodata, scale, offset) in about["bands"].items():
        band = scene.band(band_name)
        assert band.href == about["assets"][asset]["href"]
        assert (band.index, band.nodata) == (index, nodata)
        assert (band.scale, band.offset) == pytest.approx((scale, offset), rel=1e-12)
    for asset, count in about.get("counts", {}).items():
        assert [band.index for band in scene.find_bands(asset)] == list(range(1, count + 1))
    for missing in about.get("missing", ()):
        assert scene.find_bands(missing) == []
    for ambiguous in about.get("ambiguous", ()):
        with pytest.raises(InputError, match="is ambiguous; name one of the assets .*, "):
            scene.find_bands(ambiguous)


@pytest.mark.parametrize(
    ("in_band", "in_asset", "in_collection_band", "in_collection", "expected"),
    [
        (1, 2, 3, 4, 1),
        (None, 2, 3, 4, 2),
        (None, None, 3, 4, 3),
        (None, None, None, 4, 4),
        (None, None, None, None, None),
        (0, 2, 3, 4, 0),
    ],
)
def test_the_nearest_description_counts(in_band, in_asset, in_collection_band, in_collection, expected):
    def described(band, asset):
        return {"bands": [{"name": "B1", "nodata": band}], "nodata": asset}

    item = make_item("i", DAY, {"x": cog(f"{PC}/x.tif", **described(in_band, in_asset))}, HERE)
    collection = {"item_assets": {"x": described(in_collection_band, in_collection)}}
    assert scene_from_item(item, "c", "https://e.com", collection).band("x").nodata == expected
