"""A static STAC catalogue as the platform's products, images and bands."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from shapely.geometry.base import BaseGeometry

Json = dict[str, Any]
DATA_TYPES = {"uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32"}
DATA_TYPES |= {"int32": "Int32", "float32": "Float32", "float64": "Float64"}


@dataclass(frozen=True)
class BandSource:
    """The file of one band of one image, the band's index there, and its nodata value.

    With `alpha`, the pixels are 1 where that band is valid, else 0.
    """

    path: str
    index: int
    nodata: float | None
    alpha: bool = False


@dataclass(frozen=True)
class Image:
    """One scene of a product."""

    attributes: Json
    footprint: BaseGeometry
    sources: dict[str, BandSource]

    @property
    def id(self) -> str:
        return f"{self.attributes['product_id']}:{self.attributes['name']}"


class ImageCatalogue:
    """Products, bands and images by id; bands carry the attributes of the product's first image that has them.

    With `alpha`, image products have an alpha band, made from each image's first band.
    """

    def __init__(self, path: Path, alpha: bool = False) -> None:
        self._alpha = alpha
        self.products: dict[str, Json] = {}
        self.bands: dict[str, Json] = {}
        self.images: dict[str, Image] = {}
        for item, folder in _items(path.resolve()):
            self._add(item, folder)

    def _add(self, item: Json, folder: Path) -> None:
        masks = {name for name, asset in item["assets"].items() if "data" not in asset.get("roles", ["data"])}
        self._add_image(item["collection"], item, folder, item["assets"], masks)
        for name in masks:
            self._add_image(f"{item['collection']}:{name}", item, folder, {name: item["assets"][name]}, masks)

    def _add_image(self, product: str, item: Json, folder: Path, assets: Json, masks: set[str]) -> None:
        self.products.setdefault(product, {"name": product, "description": f"{product} of {item['collection']}"})
        sources = {}
        for asset, content in assets.items():
            path = str((folder / content["href"]).resolve())
            for index, stored in enumerate(content.get("raster:bands", [{}]), 1):
                name = content["eo:bands"][index - 1]["name"] if "eo:bands" in content else asset
                sources[name] = BandSource(path, index, stored.get("nodata"))
                self._add_band(product, name, "class" if asset in masks else "spectral", sources[name])
        if self._alpha and not masks.issuperset(assets):
            sources["alpha"] = replace(next(iter(sources.values())), alpha=True)
            self._add_band(product, "alpha", "mask", sources["alpha"])
        image = Image(_image(product, item, sources), shapely.geometry.shape(item["geometry"]), sources)
        self.images[image.id] = image

    def _add_band(self, product: str, name: str, kind: str, source: BandSource) -> None:
        if f"{product}:{name}" not in self.bands:
            number = sum(band["product_id"] == product for band in self.bands.values())
            self.bands[f"{product}:{name}"] = _band(product, name, kind, number, source)


def _items(path: Path) -> Iterator[tuple[Json, Path]]:
    """Every item under a catalogue, with its folder."""
    content = json.loads(path.read_text())
    for link in content["links"]:
        if link["rel"] == "child":
            yield from _items((path.parent / link["href"]).resolve())
        elif link["rel"] == "item":
            item = (path.parent / link["href"]).resolve()
            yield json.loads(item.read_text()), item.parent


@dataclass(frozen=True)
class _Header:
    """What a file declares about its grid and its bands."""

    grid: Json
    step: float
    unit: str
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]


@cache
def _header(path: str) -> _Header:
    with rasterio.open(path) as file:
        grid = {
            "cs_code": f"EPSG:{file.crs.to_epsg()}",
            "geotrans": list(file.transform.to_gdal()),
            "x_pixels": file.width,
            "y_pixels": file.height,
        }
        unit = "degrees" if file.crs.is_geographic else "meters"
        return _Header(grid, file.transform.a, unit, file.dtypes, file.nodatavals)


def _image(product: str, item: Json, sources: dict[str, BandSource]) -> Json:
    properties = item["properties"]
    cover = properties.get("eo:cloud_cover")
    return {
        "name": item["id"],
        "product_id": product,
        "acquired": properties.get("datetime") or properties["start_datetime"],
        "acquired_end": properties.get("end_datetime"),
        "geometry": item["geometry"],
        "cloud_fraction": None if cover is None else cover / 100,
        "storage_state": "available",
        "tags": [],
        **_header(next(iter(sources.values())).path).grid,
    }


def _band(product: str, name: str, kind: str, number: int, source: BandSource) -> Json:
    header = _header(source.path)
    dtype = np.dtype("u1" if source.alpha else header.dtypes[source.index - 1])
    limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    whole = [0, 1] if source.alpha else [float(limits.min), float(limits.max)]
    nodata = header.nodata[source.index - 1] if source.nodata is None else source.nodata
    return {
        "name": name,
        "product_id": product,
        "type": kind,
        "data_type": DATA_TYPES[dtype.name],
        "data_range": whole,
        "display_range": [0, 4000] if kind == "spectral" else whole,
        "nodata": None if source.alpha else nodata,
        "is_alpha": source.alpha,
        "band_index": number,
        "sort_order": number,
        "resolution": {"value": header.step, "unit": header.unit},
    }
