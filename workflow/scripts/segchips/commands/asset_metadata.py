"""What STAC says of an asset beside its bands: size of pixels, CRS, kind of data, and how it is reached."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyproj
from pyproj.exceptions import CRSError

from segchips.files import Json

_METRES_PER_DEGREE = 111_195.0
_NOT_DATA = {"thumbnail", "overview", "metadata", "cloud", "cloud-shadow", "snow-ice", "water-mask", "data-mask"}
_NOT_DATA |= {"saturation", "incidence-angle", "azimuth", "sun-azimuth", "sun-elevation", "land-water"}


class AssetMetadata:
    """The descriptions of one asset: those of the item, then those of the collection's `item_assets`.

    Args:
        item: The item.
        key: The asset's key.
        collection: The item's collection; empty where it has none.
    """

    def __init__(self, item: Json, key: str, collection: Mapping[str, Any]) -> None:
        own = item["assets"].get(key) or {}
        common = (collection.get("item_assets") or {}).get(key) or {}
        self._asset, self._layers = own, [own, common]
        self._item, self._collection = item, collection

    def pixel_size(self) -> float | None:
        """Return metres along a pixel as the metadata say; None where they do not."""
        for layer in self._layers:
            for entry in (*_entries(layer, "raster:bands"), *_entries(layer, "bands"), layer):
                for name in ("spatial_resolution", "raster:spatial_resolution"):
                    if size := _positive(entry.get(name)):
                        return size
        if size := self._from_transform():
            return size
        for layer in self._layers:
            for entry in (layer, *_entries(layer, "eo:bands"), *_entries(layer, "bands")):
                for name in ("gsd", "eo:gsd"):
                    if size := _positive(entry.get(name)):
                        return size
        properties = self._item.get("properties") or {}
        listed = (self._collection.get("summaries") or {}).get("gsd")
        only = listed[0] if isinstance(listed, list) and len(listed) == 1 else None
        return _positive(properties.get("gsd")) or _positive(properties.get("eo:gsd")) or _positive(only)

    def _from_transform(self) -> float | None:
        transform = self._first("proj:transform")
        if not isinstance(transform, list) or len(transform) < 6:
            return None
        step = _positive(abs(transform[0])) if isinstance(transform[0], int | float) else None
        crs = self.crs()
        if step is None or crs is None:
            return None
        unit = crs.axis_info[0].unit_conversion_factor if crs.is_projected else _METRES_PER_DEGREE
        return round(step * unit, 6)

    def crs(self) -> pyproj.CRS | None:
        """Return the CRS of the asset or of its item; None where neither names one that PROJ knows."""
        code = self._first("proj:code") or self._first("proj:epsg") or self._first("proj:wkt2")
        if code is None:
            return None
        try:
            return pyproj.CRS(f"EPSG:{code}" if isinstance(code, int) else str(code))
        except CRSError:
            return None

    def is_byte(self) -> bool:
        """Return whether all bands are said to be of 8 bits."""
        kinds = {
            entry.get("data_type")
            for layer in self._layers
            for entry in (*_entries(layer, "raster:bands"), *_entries(layer, "bands"), layer)
            if entry.get("data_type")
        }
        return kinds == {"uint8"}

    def is_data(self) -> bool:
        """Return whether the roles of the asset allow it to be a band: it is no picture, mask or quality."""
        roles = next((list(layer["roles"]) for layer in self._layers if layer.get("roles")), list[Any]())
        return not _NOT_DATA.intersection(map(str, roles))

    def authentication(self) -> str | None:
        """Return the scheme by which the asset is protected; None where it is open, as far as the metadata say."""
        schemes = {**(self._collection.get("auth:schemes") or {}), **self._properties("auth:schemes")}
        for layer in self._layers:
            for reference in layer.get("auth:refs") or ():
                scheme = schemes.get(reference) or {}
                return str(scheme.get("type") or reference)
        return None

    def is_paid_by_requester(self) -> bool:
        """Return whether the one who reads the asset pays for it."""
        if self._first("storage:requester_pays") is True:
            return True
        schemes = {**(self._collection.get("storage:schemes") or {}), **self._properties("storage:schemes")}
        references = self._first("storage:refs") or ()
        return any((schemes.get(name) or {}).get("requester_pays") is True for name in references)

    def _properties(self, name: str) -> Mapping[str, Any]:
        value = (self._item.get("properties") or {}).get(name)
        return value if isinstance(value, dict) else {}

    def _first(self, name: str) -> Any:
        layers = [*self._layers, self._item.get("properties") or {}]
        return next((value for layer in layers if (value := layer.get(name)) is not None), None)


def _entries(layer: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    for entry in layer.get(name) or ():
        if isinstance(entry, dict):
            yield entry


def _positive(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        return None
    return float(value)
