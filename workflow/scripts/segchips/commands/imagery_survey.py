"""TODO: describe."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from segchips.commands.raster_catalogue import plain_name, write_catalogue
from segchips.commands.rasters import MEDIA_TYPES
from segchips.errors import InputError
from segchips.vectors.geometry import EARTH_RADIUS

_NO_BAND = re.compile(r"visual|tci|preview|overview|thumbnail|aot|wvp|rendered", re.IGNORECASE)
MASKS: Mapping[str, Mapping[str, list[int]]] = {
    "scl": {"clear": [4, 5, 6, 7]},
    "qa_pixel": {"bits": [0, 1, 3, 4]},
    "cloud_mask": {"clear": [0]},
}
"""Masks that are known by name, and what they say of a clear pixel."""


@dataclass(frozen=True)
class Imagery:
    """A catalogue's product: bands, days of the first, middle and last scene, pixel size in metres, a known mask."""

    catalog: str
    product: str
    bands: tuple[str, ...]
    start: date
    middle: date
    end: date
    step: float
    mask: Mapping[str, Any] | None = None
    nodata: float | None = None
    sign: str | None = None


def find_imagery(folder: Path) -> Path:
    """A folder's catalogue, else the folder itself where rasters lie in it; InputError where there is neither."""
    catalogs = sorted(folder.glob("catalog.json")) or sorted(folder.glob("*/catalog.json"))
    if len(catalogs) == 1:
        return catalogs[0]
    if any(path.suffix.lower() in MEDIA_TYPES for path in folder.rglob("*")):
        return folder
    raise InputError(f"'{folder}' holds neither catalog.json nor GeoTIFFs; name a catalogue or folder with --imagery")


def survey_imagery(place: str, product: str | None = None, day: datetime | None = None) -> Imagery:
    """What a catalogue (path or URL), or a folder of rasters that is made into one, tells of its product."""
    if place.startswith(("http://", "https://")):
        return _look_at_api(place, product)
    if not Path(place).is_dir():
        return _look_at_catalogue(place, product)
    name = product or plain_name(Path(place))
    path = Path("resources") / name / "catalog.json"
    write_catalogue(Path(place), path, name, day)
    return _look_at_catalogue(str(path), name)


def _look_at_catalogue(path: str, product: str | None) -> Imagery:
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
    return _described(example_scene(client, name, path), path, days, None)


def _look_at_api(url: str, product: str | None) -> Imagery:
    from segchips.scenes.stac_client import example_scene, open_catalog

    client = open_catalog(url)
    known = sorted(collection.id for collection in client.get_collections())
    name = _only_product(known, product, url)
    year = date.today().year - 1
    sign = "planetary_computer" if "planetarycomputer" in url else None
    days = [date(year, 1, 1), date(year, 6, 30), date(year, 12, 31)]
    return _described(example_scene(client, name, url), url, days, sign)


def _only_product(known: Sequence[str], product: str | None, place: str) -> str:
    if product is None and len(known) == 1:
        return known[0]
    if product is None or product not in known:
        what = "several products" if product is None else f"no product '{product}'"
        listed = ", ".join(known[:20]) + (" ..." if len(known) > 20 else "")
        raise InputError(f"catalogue {place}: {what}; name one with --product: {listed or 'it has none'}")
    return product


def _described(scene: Any, place: str, days: Sequence[date], sign: str | None) -> Imagery:
    """The bands of a scene that are no mask or picture, and what the first one's file tells."""
    if scene is None:
        raise InputError(f"catalogue {place}: no scene to look at; check the catalogue or write the config by hand")
    masks = {key.lower(): key for key in scene.assets}
    mask = next(({"asset": masks[name], **rule} for name, rule in MASKS.items() if name in masks), None)
    bands: list[str] = []
    for key, parts in scene.assets.items():
        if key.lower() not in MASKS and not _NO_BAND.search(key):
            names = [name for name, _ in parts]
            clear = len(parts) > 1 and all(scene.find_band(name) for name in names)
            bands += [key] if len(parts) == 1 else names if clear else [f"{key}:{n}" for n in range(1, len(parts) + 1)]
    if not bands:
        raise InputError(f"catalogue {place}: scene '{scene.id}' has no raster asset that could be a band")
    step, nodata = _step(scene, bands) if sign is None else (10.0, None)
    span = days[0], days[len(days) // 2], days[-1]
    return Imagery(place, scene.product, tuple(bands), *span, step, mask, nodata, sign)


def _step(scene: Any, bands: Sequence[str]) -> tuple[float, float | None]:
    """The finest pixel among the bands, in metres, to two digits where it is near them; and nodata."""
    import rasterio
    from rasterio.warp import transform_bounds

    steps, nodata = [], None
    for name in bands:
        band = scene.band(name)
        try:
            with rasterio.open(band.href) as file:
                west, south, east, north = transform_bounds(file.crs, "EPSG:3857", *file.bounds)
                metres = file.crs.is_projected and file.crs.linear_units_factor[1] == 1
                steps.append(file.res[0] if metres else _ground((west, south, east, north), file.width))
                nodata = file.nodata if band.nodata is None else band.nodata
        except (rasterio.errors.RasterioError, AttributeError) as error:
            raise InputError(f"band '{name}' of scene '{scene.id}' cannot be read ({error})") from error
    finest = min(steps)
    near = float(f"{finest:.2g}")
    return (near if abs(near - finest) < 0.005 * finest else round(finest, 6)), nodata


def _ground(mercator: tuple[float, float, float, float], width: int) -> float:
    """Metres on the ground of one of `width` pixels across a box in Web Mercator."""
    import math

    west, south, east, north = mercator
    latitude = math.atan(math.sinh((south + north) / 2 / EARTH_RADIUS))
    return (east - west) * math.cos(latitude) / width
