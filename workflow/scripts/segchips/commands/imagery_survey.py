"""Reads from a catalogue, or a folder of rasters, what a starting config needs to know about the imagery."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from segchips.commands.raster_catalogue import product_name, write_catalogue
from segchips.commands.rasters import MEDIA_TYPES, rasters_below
from segchips.errors import InputError
from segchips.scenes.georeference import georeference_problem
from segchips.scenes.model import Scene, parse_time

_EXAMPLES = 20
"""How many scenes of an API are looked at, or tried to read."""
_NOT_A_BAND = re.compile(
    r"visual|tci|preview|overview|thumbnail|aot|wvp|rendered"
    r"|(^|_)qa($|_)|radsat|aerosol|^st_(atran|cdist|drad|emis|emsd|trad|urad)$|udm|fmask|(^|_)(cld|snw)(prb)?$"
    r"|^[sv][az]a$",
    re.IGNORECASE,
)
"""Pictures, masks, qualities and angles."""
MASKS: Mapping[str, Mapping[str, list[int]]] = {
    "scl": {"clear": [4, 5, 6, 7]},
    "qa_pixel": {"bits": [0, 1, 3, 4]},
    "fmask": {"bits": [1, 2, 3]},
    "udm2": {"clear": [1]},
    "cloud_mask": {"clear": [0]},
}
"""Cloud masks by asset name, with the values or bits that mark clear pixels."""


@dataclass(frozen=True)
class ImagerySurvey:
    """One product of a catalogue.

    `start`, `middle` and `end` are the dates of its first, middle and last scene, `pixel_size` is in metres, and `mask`
    is the `cloud_mask` block of the config. `is_picture` says that the files are colour pictures of 8 bits,
    and `off_utm` that one has a projected CRS that is no UTM zone.
    """

    catalog: str
    product: str
    bands: tuple[str, ...]
    start: date
    middle: date
    end: date
    pixel_size: float
    mask: Mapping[str, Any] | None = None
    nodata: float | None = None
    sign: str | None = None
    is_picture: bool = False
    off_utm: bool = False


@dataclass(frozen=True)
class _Header:
    """The pixel size of a file in metres, its nodata value, and what `ImagerySurvey` says of all files."""

    pixel_size: float
    nodata: float | None
    is_picture: bool
    off_utm: bool


def find_imagery(folder: Path) -> Path:
    """Returns the folder's catalogue, or the folder itself if it has rasters.

    Raises:
        InputError: The folder has neither.
    """
    catalogs = sorted(folder.glob("catalog.json")) or sorted(folder.glob("*/catalog.json"))
    if len(catalogs) == 1:
        return catalogs[0]
    if folder.is_dir() and rasters_below(folder):
        return folder
    raise InputError(f"'{folder}' holds neither catalog.json nor GeoTIFFs; name a catalogue or folder with --imagery")


def survey_imagery(place: str, product: str | None = None, day: datetime | None = None) -> ImagerySurvey:
    """Reads a product's bands, dates, pixel size and mask.

    Args:
        place: Path or URL of a catalogue, or a folder of rasters, for which a catalogue is written below `resources`.
        product: The product; None takes the only one.
        day: The acquisition time of all rasters; None reads it from names and tags.

    Raises:
        InputError: The catalogue or a raster cannot be read, or has several products.
    """
    if "://" not in place and Path(place).is_dir() and not _has_items(Path(place)):
        name = product or product_name(Path(place))
        path = Path("resources") / name / "catalog.json"
        write_catalogue(Path(place), path, name, day)
        return _survey_catalogue(str(path), name)
    return _survey_catalogue(place, product)


def _has_items(folder: Path) -> bool:
    """Whether a folder is a STAC catalogue, or holds items and no rasters."""
    if any((folder / name).exists() for name in ("catalog.json", "collection.json")):
        return True
    suffixes = {path.suffix.lower() for path in folder.rglob("*")}
    return not suffixes & set(MEDIA_TYPES) and bool(suffixes & {".json", ".geojson", ".ndjson", ".parquet"})


def _survey_catalogue(place: str, product: str | None) -> ImagerySurvey:
    """Survey the scenes of a catalogue; of an API some of them, and the period of its collection."""
    from segchips.scenes.stac_api import StacApi
    from segchips.scenes.stac_client import catalogue_errors, open_catalog
    from segchips.scenes.stac_items import ItemError, scene_from_item
    from segchips.scenes.stac_search import ItemSearch

    source, faults, scenes = open_catalog(place), list[str](), list[Scene]()
    with catalogue_errors(f"catalogue {place}: cannot be read"):
        products = source.products()
        name = _only_product(products, product, place) if products else product or Path(place).stem
        collection = source.collection(name)
        for item in source.items(name, ItemSearch(count=_EXAMPLES if isinstance(source, StacApi) else None)):
            try:
                if isinstance(item, ItemError):
                    raise item
                scenes.append(scene_from_item(item, name, place, collection))
            except ItemError as error:
                faults.append(str(error))
    if not scenes:
        reason = f" ({faults[0]})" if faults else ""
        raise InputError(f"catalogue {place}: product '{name}' has no scene that can be used{reason}")
    days = sorted(scene.acquired.date() for scene in scenes)
    if isinstance(source, StacApi):
        days = _latest_year(collection, days)
    sign = "planetary_computer" if "planetarycomputer" in place else None
    return _describe_imagery(scenes, place, days, sign)


def _latest_year(collection: Mapping[str, Any], days: Sequence[date]) -> list[date]:
    """First, middle and last day of the year up to the end of a collection's extent; last year where it has no end.

    Without an extent, the days of some scenes count.
    """
    intervals = ((collection.get("extent") or {}).get("temporal") or {}).get("interval") or [[None, None]]
    first, last = (None if text is None else parse_time(text).date() for text in intervals[0])
    if first is None and last is None:
        return list(days)
    end = last or date(date.today().year - 1, 12, 31)
    if first and first > end:
        end = date.today()
    start = max(first or date.min, date(end.year, 1, 1) if end.month == 12 else end - timedelta(days=365))
    return [start, start + (end - start) / 2, end]


def _only_product(products: Sequence[str], product: str | None, place: str) -> str:
    if product is None and len(products) == 1:
        return products[0]
    if product is None or product not in products:
        problem = "several products" if product is None else f"no product '{product}'"
        listed = ", ".join(products[:20]) + (" ..." if len(products) > 20 else "")
        raise InputError(f"catalogue {place}: {problem}; name one with --product: {listed or 'it has none'}")
    return product


def _describe_imagery(scenes: Sequence[Scene], place: str, days: Sequence[date], sign: str | None) -> ImagerySurvey:
    """The bands of the first scene that can be read, without masks and pictures, with pixel size and nodata."""
    errors: list[InputError] = []
    for scene in scenes[:_EXAMPLES]:
        candidates = _candidates(scene)
        if not candidates:
            errors.append(InputError(f"catalogue {place}: scene '{scene.id}' has no raster asset that can be a band"))
            continue
        headers: dict[str, _Header] = {}
        for key in candidates:
            try:
                headers[key] = _read_header(scene, key) if sign is None else _Header(10.0, None, False, False)
            except InputError as error:
                errors.append(error)
        bands = [name for key in candidates if key in headers for name in _names(scene, key)]
        if bands:
            finest = min(header.pixel_size for header in headers.values())
            nodata = next((header.nodata for header in reversed(headers.values()) if header.nodata is not None), None)
            span = days[0], days[len(days) // 2], days[-1]
            mask, is_picture = _find_mask(scene), all(header.is_picture for header in headers.values())
            off_utm, size = any(header.off_utm for header in headers.values()), _rounded(finest)
            return ImagerySurvey(
                place, scene.product, tuple(bands), *span, size, mask, nodata, sign, is_picture, off_utm
            )
    raise errors[0]


def _candidates(scene: Scene) -> list[str]:
    """The assets that may be bands: neither masks, nor pictures, nor copies as JPEG 2000 of others."""
    return [
        key
        for key in scene.assets
        if key.lower() not in MASKS
        and not _NOT_A_BAND.search(key)
        and not (key.endswith("-jp2") and key.removesuffix("-jp2") in scene.assets)
    ]


def _find_mask(scene: Scene) -> Mapping[str, Any] | None:
    keys = {key.lower(): key for key in scene.assets}
    key, rule = next(((keys[name], rule) for name, rule in MASKS.items() if name in keys), ("", {}))
    return {"asset": key if len(scene.assets[key]) == 1 else f"{key}:1", **rule} if key else None


def _names(scene: Scene, key: str) -> list[str]:
    """The bands of an asset as the config names them."""
    names = [name for name, _ in scene.assets[key]]
    if len(names) == 1:
        return [key]
    matching = [
        name for bands in scene.assets.values() for name, _ in bands if name in names and name not in scene.assets
    ]
    is_unique = len(matching) == len(names) == len(set(names))
    return names if is_unique else [f"{key}:{number}" for number in range(1, len(names) + 1)]


def _read_header(scene: Scene, key: str) -> _Header:
    import rasterio

    _, band = scene.assets[key][0]
    try:
        with rasterio.open(band.href) as file:
            if problem := georeference_problem(file):
                raise InputError(f"{band.href} {problem}")
            colours = {str(colour.name) for colour in file.colorinterp}
            is_picture = file.dtypes[0] == "uint8" and colours >= {"red", "green", "blue"}
            nodata = file.nodata if band.nodata is None else band.nodata
            return _Header(_pixel_size(file), nodata, is_picture, _is_off_utm(file))
    except rasterio.errors.RasterioError as error:
        raise InputError(f"band '{key}' of scene '{scene.id}' cannot be read ({error})") from error


def _is_off_utm(file: Any) -> bool:
    import pyproj

    return bool(file.crs.is_projected) and pyproj.CRS(file.crs.to_wkt()).utm_zone is None


def _pixel_size(file: Any) -> float:
    """The length of a raster's pixel along its rows in metres: as the CRS says, or on the ground at its centre."""
    import pyproj

    if file.crs.is_projected and file.crs.linear_units_factor[1] == 1:
        return float(file.res[0])
    middle = file.width / 2, file.height / 2
    points = [file.transform @ middle, file.transform @ (middle[0] + 1, middle[1])]
    to_lonlat = pyproj.Transformer.from_crs(pyproj.CRS(file.crs.to_wkt()), 4326, always_xy=True)
    xs, ys = (list(axis) for axis in zip(*points, strict=True))
    lon, lat = to_lonlat.transform(xs, ys)
    return float(pyproj.Geod(ellps="WGS84").line_length(lon, lat))


def _rounded(size: float) -> float:
    """A pixel size with two digits if these are close."""
    rounded = float(f"{size:.2g}")
    return rounded if abs(rounded - size) < 0.005 * size else round(size, 6)
