"""Collections as catalogues publish them, cut to what `segchips init` reads: assets with their size, bands and roles.

Taken from the collection templates of the Planetary Computer, and from items of Earth Search, the Copernicus Data
Space, Digital Earth Australia, swisstopo, LINZ and Maxar's Open Data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
JP2 = "image/jp2"
PC_LINK = {"rel": "preview", "href": "https://planetarycomputer.microsoft.com/api/data/v1/item/map"}
DATA = ["data"]


@dataclass(frozen=True)
class Published:
    """A collection, and what a starting config has to take from it.

    Attributes:
        product: The id of the collection.
        assets: Assets of an item, with hrefs as published.
        bands: The bands that are taken, in order.
        resolution: The pixel size.
        mask: The cloud mask.
        signed: Whether addresses are signed.
        nodata: The nodata value that the config has to name, because neither metadata nor files do.
        undated: Whether the config has no dates.
        properties: Properties of the item.
        in_collection: Descriptions that only the collection's `item_assets` has.
        links: Links of the item.
        missing: A word of the note on credentials.
    """

    product: str
    assets: Mapping[str, Any]
    bands: list[str]
    resolution: float
    mask: Mapping[str, Any] | None = None
    signed: bool = False
    nodata: float | None = None
    undated: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)
    in_collection: Mapping[str, Any] = field(default_factory=dict)
    links: tuple[Any, ...] = ()
    missing: str | None = None


def asset(href: str, kind: str = COG, **more: Any) -> dict[str, Any]:
    return {"href": href, "type": kind, "roles": DATA, **more}


def eo(name: str, common: str | None = None) -> dict[str, Any]:
    return {"eo:bands": [{"name": name} | ({"common_name": common} if common else {})]}


def raster(size: float, **more: Any) -> dict[str, Any]:
    return {"raster:bands": [{"spatial_resolution": size, **more}]}


def at_microsoft(account: str, names: list[str], **more: Any) -> dict[str, Any]:
    return {name: asset(f"https://{account}.blob.core.windows.net/x/{name}.tif", **more) for name in names}


S2_BANDS = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
S2_COMMON = ["blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22"]
S2_SIZES = {"B01": 60, "B09": 60, **dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12", "SCL"), 20)}
S2_COMMON_OF = {
    **{"B01": "coastal", "B02": "blue", "B03": "green", "B04": "red", "B05": "rededge", "B06": "rededge"},
    **{"B07": "rededge", "B08": "nir", "B8A": "rededge", "B11": "swir16", "B12": "swir22"},
}
SCL_CLEAR = [4, 5, 6, 7]

PC_S2 = {
    name: asset(f"https://sentinel2l2a01.blob.core.windows.net/x/{name}.tif", gsd=S2_SIZES.get(name, 10))
    | (eo(name, S2_COMMON_OF.get(name)) if name.startswith("B") else {})
    for name in ("AOT", "B01", *S2_BANDS, "B09", "SCL", "WVP")
}
PC_S2 |= {
    "visual": asset("https://sentinel2l2a01.blob.core.windows.net/x/TCI.tif", gsd=10)
    | {"eo:bands": [{"name": name, "common_name": S2_COMMON_OF[name]} for name in ("B04", "B03", "B02")]},
    "preview": {"href": "https://sentinel2l2a01.blob.core.windows.net/x/PVI.tif", "type": COG, "roles": ["thumbnail"]},
    "tilejson": {"href": "https://planetarycomputer.microsoft.com/api/data/v1/item/tilejson.json"},
}

E84 = "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs/33/T/VM/2024/6/S2A_33TVM_20240613_0_L2A"
E84_FILES = {common: (band, S2_SIZES.get(band, 10)) for band, common in zip(S2_BANDS, S2_COMMON, strict=True)}
E84_FILES |= {"coastal": ("B01", 60), "nir09": ("B09", 60), "aot": ("AOT", 20), "wvp": ("WVP", 20), "scl": ("SCL", 20)}


def e84(scaled: Mapping[str, Any]) -> dict[str, Any]:
    assets = {"thumbnail": {"href": f"{E84}/thumbnail.jpg", "type": "image/jpeg", "roles": ["thumbnail"]}}
    for name, (file, size) in sorted(E84_FILES.items()):
        about = {
            "gsd": size,
            "proj:transform": [size, 0, 399960, 0, -size, 5200020],
            **raster(size, nodata=0, **scaled),
        }
        roles = ["data", "reflectance"] if file.startswith("B") else DATA
        assets[name] = asset(f"{E84}/{file}.tif", **eo(name, name.rstrip("123")), **about) | {"roles": roles}
        assets[f"{name}-jp2"] = assets[name] | {"href": f"s3://sentinel-s2-l2a/tiles/33/T/VM/{file}.jp2", "type": JP2}
    for name, kind, place in (("visual", COG, E84), ("visual-jp2", JP2, "s3://sentinel-s2-l2a/tiles")):
        colours = {"eo:bands": [{"name": one, "common_name": one} for one in ("red", "green", "blue")]}
        assets[name] = asset(f"{place}/TCI", kind, **colours) | {"roles": ["visual"]}
    return assets


CDSE = "s3://eodata/Sentinel-2/MSI/L2A/2024/06/13/S2A_MSIL2A_20240613T100031_N0510_R122_T33TVM.SAFE"
CDSE_S2 = {
    f"{band}_{size}m": asset(f"{CDSE}/{band}_{size}m.jp2", JP2, gsd=size)
    | {
        "bands": [{"name": band, "eo:common_name": common}],
        **{"nodata": 0, "data_type": "uint16", "raster:scale": 0.0001, "raster:offset": -0.1},
        **{
            "auth:refs": ["s3"],
            "alternate": {"https": {"href": "https://download.dataspace.copernicus.eu/odata/v1/x"}},
        },
    }
    for band, common in S2_COMMON_OF.items()
    for size in (10, 20, 60)
    if size >= S2_SIZES.get(band, 10)
}
CDSE_S2 |= {f"SCL_{size}m": asset(f"{CDSE}/SCL_{size}m.jp2", JP2, gsd=size, nodata=0) for size in (20, 60)}
CDSE_S2 |= {"TCI_10m": asset(f"{CDSE}/TCI_10m.jp2", JP2, gsd=10) | {"roles": ["visual"]}}

LANDSAT = ["red", "blue", "green", "nir08", "swir16", "swir22", "coastal"]
LANDSAT_SCALED = raster(30, nodata=0, scale=2.75e-05, offset=-0.2)
LANDSAT_QUALITY = [
    "qa",
    "drad",
    "emis",
    "emsd",
    "trad",
    "urad",
    "atran",
    "cdist",
    "cloud_qa",
    "qa_radsat",
    "atmos_opacity",
]

DEA = "s3://dea-public-data/baseline/ga_ls8c_ard_3/090/084/2024/06/13"
DEA_BANDS = ["blue", "green", "red", "nir", "swir_1", "swir_2"]
SWISS = "swissimage-dop10_2021_2600-1199"

PUBLISHED: dict[str, Published] = {
    "Planetary Computer, Sentinel-2": Published(
        "sentinel-2-l2a",
        PC_S2,
        S2_BANDS,
        10,
        {"asset": "SCL", "clear": SCL_CLEAR},
        signed=True,
        properties={"s2:processing_baseline": "05.10", "proj:epsg": 32633},
    ),
    "Planetary Computer, Landsat": Published(
        "landsat-c2-l2",
        at_microsoft("landsateuwest", LANDSAT)
        | at_microsoft("landsateuwest", ["lwir11", "qa_pixel", "qa_aerosol", *LANDSAT_QUALITY]),
        ["blue", "green", "red", "nir08", "swir16", "swir22"],
        30,
        {"asset": "qa_pixel", "bits": [0, 1, 3, 4]},
        signed=True,
        in_collection={name: LANDSAT_SCALED for name in LANDSAT},
        links=(PC_LINK,),
    ),
    "Planetary Computer, HLS Sentinel-2": Published(
        "hls2-s30",
        at_microsoft("hlssa", ["B01", *S2_BANDS, "B09", "B10", "SAA", "SZA", "VAA", "VZA", "Fmask"]),
        S2_BANDS,
        30,
        {"asset": "Fmask", "bits": [1, 2, 3]},
        signed=True,
        nodata=-9999,
        links=(PC_LINK,),
    ),
    "Planetary Computer, Sentinel-1": Published(
        "sentinel-1-rtc",
        at_microsoft("sentinel1euwestrtc", ["vh", "vv"]),
        ["vv", "vh"],
        10,
        signed=True,
        in_collection={name: raster(10, nodata=-32768, data_type="float32") for name in ("hh", "hv", "vh", "vv")},
        links=(PC_LINK,),
    ),
    "Planetary Computer, elevations": Published(
        "cop-dem-glo-30",
        at_microsoft("elevationeuwest", ["data"]),
        ["data"],
        30,
        signed=True,
        undated=True,
        properties={"gsd": 30},
        links=(PC_LINK,),
    ),
    "Planetary Computer, WorldCover": Published(
        "esa-worldcover",
        at_microsoft("ai4edataeuwest", ["map", "input_quality.1"]),
        ["map"],
        10,
        signed=True,
        undated=True,
        in_collection={"map": raster(10, nodata=0, data_type="uint8")},
        links=(PC_LINK,),
    ),
    "Planetary Computer, NAIP": Published(
        "naip",
        at_microsoft("naipeuwest", ["image"])
        | {"thumbnail": {"href": "https://naipeuwest.blob.core.windows.net/m.jpg", "type": "image/jpeg"}},
        ["Red", "Green", "Blue", "NIR"],
        0.6,
        signed=True,
        properties={"gsd": 0.6, "proj:epsg": 26915},
        in_collection={
            "image": {
                "eo:bands": [{"name": name, "common_name": name.lower()} for name in ("Red", "Green", "Blue", "NIR")]
            }
        },
        links=(PC_LINK,),
    ),
    "Planetary Computer, MODIS": Published(
        "modis-09Q1-061",
        at_microsoft("modiseuwest", ["sur_refl_b01", "sur_refl_b02", "sur_refl_qc_250m", "sur_refl_state_250m"]),
        ["sur_refl_b01", "sur_refl_b02"],
        250,
        signed=True,
        nodata=-28672,
        in_collection={name: raster(250, scale=0.0001) for name in ("sur_refl_b01", "sur_refl_b02")},
        links=(PC_LINK,),
    ),
    "Earth Search, Sentinel-2": Published(
        "sentinel-2-l2a",
        e84({"scale": 0.0001, "offset": -0.1}),
        S2_COMMON,
        10,
        {"asset": "scl", "clear": SCL_CLEAR},
        properties={"earthsearch:boa_offset_applied": True, "s2:processing_baseline": "05.10", "proj:epsg": 32633},
    ),
    "Earth Search, Sentinel-2 Collection 1": Published(
        "sentinel-2-c1-l2a",
        {name: about for name, about in e84({"scale": 0.0001, "offset": -0.1}).items() if "jp2" not in name}
        | {name: asset(f"{E84}/{name}.tif", **raster(20)) | {"roles": ["data", name]} for name in ("cloud", "snow")},
        S2_COMMON,
        10,
        {"asset": "scl", "clear": SCL_CLEAR},
        properties={"s2:processing_baseline": "05.10", "proj:code": "EPSG:32633"},
    ),
    "Earth Search, elevations": Published(
        "cop-dem-glo-30",
        {"data": asset("s3://copernicus-dem-30m/Copernicus_DSM_COG_10_N46_00_E014_00_DEM.tif")},
        ["data"],
        30,
        undated=True,
        properties={"gsd": 30, "proj:epsg": 4326},
        missing="AWS_NO_SIGN_REQUEST",
    ),
    "Copernicus Data Space, Sentinel-2": Published(
        "sentinel-2-l2a",
        CDSE_S2,
        [f"{band}_{S2_SIZES.get(band, 10)}m" for band in S2_BANDS],
        10,
        {"asset": "SCL_20m", "clear": SCL_CLEAR},
        properties={"processing:version": "05.10", "proj:code": "EPSG:32633"},
        missing="AWS_ACCESS_KEY_ID",
    ),
    "Digital Earth Australia, Landsat": Published(
        "ga_ls8c_ard_3",
        {f"nbart_{name}": asset(f"{DEA}/{name}.tif", **eo(f"nbart_{name}")) for name in (*DEA_BANDS, "coastal_aerosol")}
        | {
            f"oa_{name}": asset(f"{DEA}/{name}.tif", **eo(f"oa_{name}"))
            for name in ("fmask", "nbart_contiguity", "solar_azimuth", "time_delta")
        },
        [f"nbart_{name}" for name in DEA_BANDS],
        30,
        {"asset": "oa_fmask", "clear": [1, 4, 5]},
        nodata=-999,
        properties={"gsd": 15, "proj:epsg": 32755},
        missing="AWS_NO_SIGN_REQUEST",
    ),
    "NASA, HLS Landsat": Published(
        "HLSL30_2.0",
        {
            name: {"href": f"https://data.lpdaac.earthdatacloud.nasa.gov/lp-prod-protected/HLSL30.020/{name}.tif"}
            for name in ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B09", "B10", "SAA", "SZA", "Fmask")
        },
        ["B02", "B03", "B04", "B05", "B06", "B07"],
        30,
        {"asset": "Fmask", "bits": [1, 2, 3]},
        nodata=-9999,
        missing="NASA Earthdata",
    ),
    "swisstopo": Published(
        "ch.swisstopo.swissimage-dop10",
        {
            f"{SWISS}_{size}_2056.tif": {
                "href": f"https://data.geo.admin.ch/{SWISS}_{size}_2056.tif",
                **{"type": COG, "eo:gsd": float(size), "proj:epsg": 2056},
            }
            for size in ("0.1", "2")
        },
        ["*_0.1_2056.tif"],
        0.1,
    ),
    "LINZ": Published(
        "nz-auckland-2022",
        {"visual": {"href": "https://nz-imagery.s3.amazonaws.com/a.tiff", "type": COG, **eo("red", "red")}},
        ["visual"],
        0.3,
        properties={"gsd": 0.3},
    ),
    "Maxar Open Data": Published(
        "10300100E6747500",
        {
            "visual": asset("https://maxar-opendata.s3.amazonaws.com/v.tif") | {"roles": ["visual"]},
            "data-mask": {"href": "https://maxar-opendata.s3.amazonaws.com/m.gpkg", "roles": ["data-mask"]},
        },
        ["visual"],
        0.34,
        properties={"gsd": 0.34, "proj:epsg": 32633},
    ),
}
