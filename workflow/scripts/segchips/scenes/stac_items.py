"""STAC items turned into scenes: time, outline, cloud cover and assets."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
import shapely

from segchips.errors import SegchipsError
from segchips.files import Json
from segchips.scenes.library_reasons import library_reason
from segchips.scenes.model import Band, Scene, parse_time
from segchips.scenes.stac_addresses import asset_address
from segchips.scenes.stac_bands import asset_bands, is_raster
from segchips.vectors.longitudes import unwrap_longitudes, within_globe

_WIDEST_SCENE = 30.0
"""Degrees of latitude: a ring that leaps across 180 degrees and is higher is a map of the world, not a cut scene."""


class ItemError(Exception):
    """An item, or a part of one, cannot be used; the text says why, to follow `is left out: `."""


@contextmanager
def unusable(what: str) -> Iterator[None]:
    """Turn any error into ItemError: an item can hold anything."""
    try:
        yield
    except (SegchipsError, ItemError):
        raise
    except Exception as error:
        raise ItemError(f"{what} ({library_reason(error)})") from error


def item_interval(item: Json) -> tuple[datetime, datetime] | None:
    """Return the first and last moment of an item's acquisition (UTC); None where it declares no time.

    Raises:
        ItemError: A time cannot be read.
    """
    if not isinstance(item.get("properties"), dict):
        raise ItemError("it has no properties")
    with unusable("its time cannot be read"):
        properties = item["properties"]
        start = properties.get("datetime") or properties.get("start_datetime")
        end = properties.get("datetime") or properties.get("end_datetime") or start
        return (parse_time(start), parse_time(end)) if start else None


def item_outline(item: Json) -> shapely.Geometry | None:
    """Return the item's geometry in longitude and latitude, valid and cut at 180 degrees; None where it has none.

    An empty geometry counts as the item's bbox.

    Raises:
        ItemError: The geometry cannot be used.
    """
    if not item.get("geometry"):
        return None
    with unusable("its geometry cannot be used"):
        outline = shapely.geometry.shape(_without_empty_parts(item["geometry"]))
        if outline.is_empty and item.get("bbox"):
            corners = item["bbox"]
            half = len(corners) // 2
            outline = shapely.box(corners[0], corners[1], corners[half], corners[half + 1])
        coordinates = shapely.get_coordinates(outline)
        if not len(coordinates) or not np.isfinite(coordinates).all():
            raise ValueError("it is empty or not finite")
        if np.abs(coordinates).max(axis=0)[0] > 720 or np.abs(coordinates).max(axis=0)[1] > 90.1:
            raise ValueError("it is not in longitude and latitude")
        if _leaps_across_antimeridian(outline):
            outline = unwrap_longitudes(np.array([outline], dtype=object))[0][0]
        outline = shapely.make_valid(outline)
        wrapped: shapely.Geometry = within_globe(np.array([outline], dtype=object))[0]
        return wrapped


def _without_empty_parts(geometry: Any) -> Any:
    """A GeoJSON geometry without polygons and rings that have no coordinates."""
    kind, parts = geometry.get("type"), geometry.get("coordinates")
    if kind == "MultiPolygon":
        polygons = [[ring for ring in polygon if ring] for polygon in parts]
        return {**geometry, "coordinates": [polygon for polygon in polygons if polygon]}
    if kind == "Polygon":
        return {**geometry, "coordinates": [ring for ring in parts if ring]}
    return geometry


def _leaps_across_antimeridian(outline: shapely.Geometry) -> bool:
    """Whether an edge goes round the earth because the ring was not cut at 180 degrees."""
    if outline.geom_type not in ("Polygon", "MultiPolygon") or np.ptp(outline.bounds[1::2]) > _WIDEST_SCENE:
        return _encloses_pole(outline)
    longitudes, owners = _ring_longitudes(outline)
    leaps = np.abs(np.diff(longitudes))[np.diff(owners) == 0]
    return bool(((leaps > 270) & (leaps < 360)).any())


def _encloses_pole(outline: shapely.Geometry) -> bool:
    """Whether a ring runs once round the globe without being closed along its pole."""
    if outline.geom_type not in ("Polygon", "MultiPolygon") or outline.bounds[1] <= -89.9 or outline.bounds[3] >= 89.9:
        return False
    if not (outline.bounds[1] > 0 or outline.bounds[3] < 0):
        return False
    longitudes, owners = _ring_longitudes(outline)
    for owner in np.unique(owners):
        unwrapped = np.unwrap(longitudes[owners == owner], period=360)
        if abs(unwrapped[-1] - unwrapped[0]) > 180:
            return True
    return False


def _ring_longitudes(outline: shapely.Geometry) -> tuple[np.ndarray, np.ndarray]:
    coordinates, owners = shapely.get_coordinates(shapely.get_rings(outline), return_index=True)
    return coordinates[:, 0], owners


def scene_from_item(
    item: Json, product: str, catalog: str, collection: Mapping[str, Any], faults: list[str] | None = None
) -> Scene:
    """Build the scene of an item that has a time and a geometry.

    Args:
        item: The item as JSON; `_base` is its own address in a static catalogue.
        product: The id of its product.
        catalog: The catalogue as the config names it.
        collection: The collection that the product is, as JSON; empty where there is none.
        faults: Receives a line for each asset that is left out because its description cannot be used.

    Raises:
        InputError: An asset points where the catalogue must not.
        ItemError: The item is not valid STAC.
    """
    with unusable("it is not valid STAC"):
        name = str(item["id"])
        cover = item["properties"].get("eo:cloud_cover")
        cloud = None if cover is None else float(cover) / 100
        assets = {key: asset for key, asset in sorted(item["assets"].items()) if is_raster(asset)}
    interval, outline = item_interval(item), item_outline(item)
    if interval is None or outline is None:
        missing = "geometry" if interval else "time" if outline is not None else "geometry and time"
        raise ItemError(f"it has no {missing}")
    bands: dict[str, list[tuple[str, Band]]] = {}
    for key, asset in assets.items():
        try:
            with unusable("its description cannot be used"):
                bands[key] = asset_bands(item, key, asset_address(item, key, asset, catalog), collection)
        except ItemError as error:
            if faults is not None:
                faults.append(f"asset '{key}' of scene {name!r} of product '{product}' is left out: {error}")
    start, end = interval
    return Scene(product, name, start + (end - start) / 2, cloud, bands, shapely.to_wkb(outline))
