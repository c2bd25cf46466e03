"""Reads from a catalogue, or a folder of rasters, what a starting config needs to know about the imagery."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from segchips.commands.raster_catalogue import product_name, write_catalogue
from segchips.commands.rasters import MEDIA_TYPES
from segchips.errors import InputError
from segchips.vectors.geometry import EARTH_RADIUS

_NOT_A_BAND = re.compile(r"visual|tci|preview|overview|thumbnail|aot|wvp|rendered", re.IGNORECASE)
MASKS: Mapping[str, Mapping[str, list[int]]] = {
    "scl": {"clear": [4, 5, 6, 7]},
    "qa_pixel": {"bits": [0, 1, 3, 4]},
    "cloud_mask": {"clear": [0]},
}
"""Cloud masks by asset name, with the values or bits that mark clear pixels."""


@dataclass(frozen=True)
class ImagerySurvey:
    """One product of a catalogue.

    `start`, `middle` and `end` are the dates of its first, middle and last scene, `pixel_size` is in metres, and `mask`
    is the `cloud_mask` block of the config.
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


def find_imagery(folder: Path) -> Path:
    """Returns the folder's catalogue, or the folder itself if it has rasters.

    Raises:
        InputError: The folder has neither.
    """
    catalogs = sorted(folder.glob("catalog.json")) or sorted(folder.glob("*/catalog.json"))
    if len(catalogs) == 1:
        return catalogs[0]
    if any(path.suffix.lower() in MEDIA_TYPES for path in folder.rglob("*")):
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
    if place.startswith(("http://", "https://")):
        return _survey_api(place, product)
    if not Path(place).is_dir():
        return _survey_catalogue(place, product)
    name = product or product_name(Path(place))
    path = Path("resources") / name / "catalog.json"
    write_catalogue(Path(place), path, name, day)
    return _survey_catalogue(str(path), name)


def _survey_catalogue(path: str, product: str | None) -> ImagerySurvey:
    from segchips.scenes.stac_client import example_scene, open_catalog

    client = open_catalog(path)
    try:
        items = [item for item in client.get_items(recursive=True) if item.assets]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"catalogue {path}: cannot be read as STAC ({error})") from error
    name = _only_product(sorted({str(item.collection_id) for item in items}), product, path)
    times = (item.datetime or item.common_metadata.start_datetime for item in items if str(item.collection_id) == name)
    days = sorted(when.date() for when in times if when)
    if not days:
        raise InputError(f"catalogue {path}: product '{name}' has no scene with a time")
    return _describe_imagery(example_scene(client, name, path), path, days, None)


def _survey_api(url: str, product: str | None) -> ImagerySurvey:
    from segchips.scenes.stac_client import example_scene, open_catalog

    client = open_catalog(url)
    products = sorted(collection.id for collection in client.get_collections())
    name = _only_product(products, product, url)
    year = date.today().year - 1
    sign = "planetary_computer" if "planetarycomputer" in url else None
    days = [date(year, 1, 1), date(year, 6, 30), date(year, 12, 31)]
    return _describe_imagery(example_scene(client, name, url), url, days, sign)


def _only_product(products: Sequence[str], product: str | None, place: str) -> str:
    if product is None and len(products) == 1:
        return products[0]
    if product is None or product not in products:
        problem = "several products" if product is None else f"no product '{product}'"
        listed = ", ".join(products[:20]) + (" ..." if len(products) > 20 else "")
        raise InputError(f"catalogue {place}: {problem}; name one with --product: {listed or 'it has none'}")
    return product


def _describe_imagery(scene: Any, place: str, days: Sequence[date], sign: str | None) -> ImagerySurvey:
    """The bands of a scene without masks and pictures, with pixel size and nodata from their files."""
    if scene is None:
        raise InputError(f"catalogue {place}: it has no scene; check the catalogue or write the config by hand")
    masks = {key.lower(): key for key in scene.assets}
    mask = next(({"asset": masks[name], **rule} for name, rule in MASKS.items() if name in masks), None)
    bands: list[str] = []
    for key, parts in scene.assets.items():
        if key.lower() not in MASKS and not _NOT_A_BAND.search(key):
            names = [name for name, _ in parts]
            unique = len(parts) > 1 and all(scene.find_band(name) for name in names)
            bands += [key] if len(parts) == 1 else names if unique else [f"{key}:{n}" for n in range(1, len(parts) + 1)]
    if not bands:
        raise InputError(f"catalogue {place}: scene '{scene.id}' has no raster asset that can be a band")
    pixel_size, nodata = _read_pixel_size(scene, bands) if sign is None else (10.0, None)
    span = days[0], days[len(days) // 2], days[-1]
    return ImagerySurvey(place, scene.product, tuple(bands), *span, pixel_size, mask, nodata, sign)


def _read_pixel_size(scene: Any, bands: Sequence[str]) -> tuple[float, float | None]:
    """The finest pixel size of the bands in metres, rounded to two digits if these are close, and the nodata value."""
    import rasterio
    from rasterio.warp import transform_bounds

    sizes, nodata = [], None
    for name in bands:
        band = scene.band(name)
        try:
            with rasterio.open(band.href) as file:
                west, south, east, north = transform_bounds(file.crs, "EPSG:3857", *file.bounds)
                in_metres = file.crs.is_projected and file.crs.linear_units_factor[1] == 1
                sizes.append(file.res[0] if in_metres else _ground_size((west, south, east, north), file.width))
                nodata = file.nodata if band.nodata is None else band.nodata
        except (rasterio.errors.RasterioError, AttributeError) as error:
            raise InputError(f"band '{name}' of scene '{scene.id}' cannot be read ({error})") from error
    finest = min(sizes)
    rounded = float(f"{finest:.2g}")
    return (rounded if abs(rounded - finest) < 0.005 * finest else round(finest, 6)), nodata


def _ground_size(mercator: tuple[float, float, float, float], width: int) -> float:
    """The size on the ground, in metres, of one of `width` pixels across a box in Web Mercator."""
    west, south, east, north = mercator
    latitude = math.atan(math.sinh((south + north) / 2 / EARTH_RADIUS))
    return (east - west) * math.cos(latitude) / width
