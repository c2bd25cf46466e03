"""Public collections by name: their bands, resolution, cloud mask, fill and scaling, and what to know before use.

To add a collection, append an entry to `COLLECTIONS` and its published metadata to
`tests/commands/published_collections.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class KnownCollection:
    """What the documentation of a collection says.

    Attributes:
        layer: A short name, for a layer of a dataset.
        ids: The ids that catalogues give it.
        bands: For each band in the order of a chip, the names that catalogues give it; the first that fits is taken.
        resolution: Metres along a pixel of the finest of these bands; None where it differs between items.
        masks: Names of the asset that says which pixels are clear.
        clear: Which values of the mask are clear, as in the config's `cloud_mask`.
        nodata: The value of fill in the bands; None where there is none.
        scaling: Scale and offset from pixels to physical values; None where pixels are physical values.
        resampling: How its pixels are resampled, if not nearest.
        undated: Whether items have no acquisition day to choose by, such as maps and elevations.
        unusable: Why no chip can be made of it, and what to take in its place.
    """

    layer: str
    ids: re.Pattern[str]
    bands: Sequence[tuple[str, ...]]
    resolution: float | None = None
    masks: Sequence[str] = ()
    clear: Mapping[str, Any] = field(default_factory=dict)
    nodata: float | None = None
    scaling: tuple[float, float] | None = None
    resampling: str | None = None
    undated: bool = False
    unusable: str | None = None


def known_collection(product: str) -> KnownCollection | None:
    """Return what is known of a collection by its id; None where it is not in the table."""
    return next((known for known in COLLECTIONS if known.ids.fullmatch(product)), None)


def _ids(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def _alone(*names: str) -> list[tuple[str, ...]]:
    return [(name,) for name in names]


def _sentinel2(level: str) -> list[tuple[str, ...]]:
    """The bands of 10 and 20 m by their names at ESA, Earth Search and the Copernicus Data Space."""
    common = {"B02": "blue", "B03": "green", "B04": "red", "B05": "rededge1", "B06": "rededge2", "B07": "rededge3"}
    common |= {"B08": "nir", "B8A": "nir08", "B11": "swir16", "B12": "swir22"}
    size = {"B02": 10, "B03": 10, "B04": 10, "B08": 10}
    suffix = "_{}m" if level == "2A" else ""
    return [(name, f"{name}{suffix.format(size.get(name, 20))}", other) for name, other in common.items()]


def _elevation(ids: str, band: str, resolution: float) -> KnownCollection:
    return KnownCollection("dem", _ids(ids), _alone(band), resolution, resampling="bilinear", undated=True)


_SCL_CLEAR = {"clear": [4, 5, 6, 7]}
"""Vegetation, bare ground, water, and unclassified."""
_FMASK_CLEAR = {"bits": [1, 2, 3]}
"""Not clear: cloud, next to cloud, and cloud shadow."""
_QA_PIXEL_CLEAR = {"bits": [0, 1, 3, 4]}
"""Not clear: fill, dilated cloud, cloud, and cloud shadow."""
_DEA_CLEAR = {"clear": [1, 4, 5]}
"""Valid, snow and water."""
_WITHOUT_GRID = "its files have ground control points in place of a grid; take sentinel-1-rtc, or warp the files"

COLLECTIONS: tuple[KnownCollection, ...] = (
    KnownCollection(
        "s2",
        _ids(r"sentinel-?2-(pre-)?(c\d-)?l2a|sentinel-s2-l2a(-cogs)?|s2[-_]l2a([-_]\d)?|sentinel-2-l2a-cogs"),
        _sentinel2("2A"),
        10,
        ("SCL", "scl", "SCL_20m"),
        _SCL_CLEAR,
        nodata=0,
        scaling=(0.0001, -0.1),
    ),
    KnownCollection(
        "s2",
        _ids(r"sentinel-?2-l1c|sentinel-s2-l1c|s2[-_]l1c"),
        _sentinel2("1C"),
        10,
        nodata=0,
        scaling=(0.0001, -0.1),
    ),
    KnownCollection(
        "s2",
        _ids(r"sentinel-2-global-mosaics"),
        _alone("B02", "B03", "B04", "B08"),
        10,
        nodata=-32768,
        scaling=(0.0001, 0.0),
    ),
    KnownCollection(
        "landsat",
        _ids(r"landsat-c2-?l2(-sr)?|landsat-8-c2-l2|usgs-landsat-c2-l2"),
        _alone("blue", "green", "red", "nir08", "swir16", "swir22"),
        30,
        ("qa_pixel",),
        _QA_PIXEL_CLEAR,
        nodata=0,
        scaling=(0.0000275, -0.2),
    ),
    KnownCollection(
        "hls",
        _ids(r"hls2?-?s30|HLSS30([._]v?2\.0)?"),
        _alone("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
        30,
        ("Fmask",),
        _FMASK_CLEAR,
        nodata=-9999,
        scaling=(0.0001, 0.0),
    ),
    KnownCollection(
        "hls",
        _ids(r"hls2?-?l30|HLSL30([._]v?2\.0)?"),
        _alone("B02", "B03", "B04", "B05", "B06", "B07"),
        30,
        ("Fmask",),
        _FMASK_CLEAR,
        nodata=-9999,
        scaling=(0.0001, 0.0),
    ),
    KnownCollection("s1", _ids(r"sentinel-1-rtc"), _alone("vv", "vh"), 10, nodata=-32768, resampling="bilinear"),
    KnownCollection("s1", _ids(r"sentinel-1-(grd|slc)(-cog)?"), (), unusable=_WITHOUT_GRID),
    KnownCollection(
        "dem", _ids(r"cop-dem-glo-30(-dged-cog)?"), _alone("data"), 30, resampling="bilinear", undated=True
    ),
    KnownCollection(
        "dem", _ids(r"cop-dem-glo-90(-dged-cog)?"), _alone("data"), 90, resampling="bilinear", undated=True
    ),
    KnownCollection("dem", _ids(r"alos-dem"), _alone("data"), 30, resampling="bilinear", undated=True),
    KnownCollection("dem", _ids(r"nasadem"), _alone("elevation"), 30, resampling="bilinear", undated=True),
    KnownCollection("dem", _ids(r"3dep-seamless"), _alone("data"), 10, resampling="bilinear", undated=True),
    KnownCollection("worldcover", _ids(r"esa-worldcover"), _alone("map"), 10, nodata=0, undated=True),
    KnownCollection("lulc", _ids(r"io-lulc(-9-class|-annual-v02)?"), _alone("data"), 10, nodata=0, undated=True),
    KnownCollection("naip", _ids(r"naip"), _alone("image")),
    KnownCollection(
        "aster",
        _ids(r"aster-l1t"),
        _alone("VNIR_Band1", "VNIR_Band2", "VNIR_Band3N"),
        15,
        nodata=0,
    ),
    KnownCollection(
        "modis",
        _ids(r"modis-09A1-061"),
        _alone(*(f"sur_refl_b0{number}" for number in range(1, 8))),
        500,
        nodata=-28672,
        scaling=(0.0001, 0.0),
    ),
    KnownCollection(
        "modis",
        _ids(r"modis-09Q1-061"),
        _alone("sur_refl_b01", "sur_refl_b02"),
        250,
        nodata=-28672,
        scaling=(0.0001, 0.0),
    ),
    KnownCollection(
        "modis",
        _ids(r"modis-13Q1-061"),
        _alone("250m_16_days_NDVI", "250m_16_days_EVI"),
        250,
        nodata=-3000,
        scaling=(0.0001, 0.0),
    ),
    # Digital Earth Australia
    KnownCollection(
        "landsat",
        _ids(r"ga_ls(5t|7e|8c|9c)_ard_3"),
        _alone("nbart_blue", "nbart_green", "nbart_red", "nbart_nir", "nbart_swir_1", "nbart_swir_2"),
        30,
        ("oa_fmask",),
        _DEA_CLEAR,
        nodata=-999,
        scaling=(0.0001, 0.0),
    ),
    KnownCollection(
        "s2",
        _ids(r"ga_s2[abc]m_ard_3"),
        _alone(
            *("nbart_blue", "nbart_green", "nbart_red", "nbart_red_edge_1", "nbart_red_edge_2", "nbart_red_edge_3"),
            *("nbart_nir_1", "nbart_nir_2", "nbart_swir_2", "nbart_swir_3"),
        ),
        10,
        ("oa_fmask",),
        _DEA_CLEAR,
        nodata=-999,
        scaling=(0.0001, 0.0),
    ),
    # Brazil Data Cube
    KnownCollection(
        "s2",
        _ids(r"S2-16D(-STK)?-\d"),
        _alone("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
        10,
        ("SCL",),
        _SCL_CLEAR,
        nodata=-9999,
        scaling=(0.0001, 0.0),
    ),
)
