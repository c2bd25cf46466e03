"""Writes the sample's scenes as a static STAC catalogue."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely
from pystac.extensions.eo import EOExtension
from pystac.extensions.raster import RasterExtension
from pystac.extensions.view import ViewExtension

from segchips.files import write_json
from segchips.sample.acquisitions import Acquisition
from segchips.sample.frames import OUTSIDE_SWATH, PIXEL_SIZE, WGS84_EPSG, Frame, project
from segchips.sample.landscape import BANDS

COLLECTION = "sample-l2a"
_EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v1.1.0/schema.json",  # later versions have no proj:epsg
    EOExtension.get_schema_uri(),
    RasterExtension.get_schema_uri(),
    ViewExtension.get_schema_uri(),
]


def scene_item(
    scene: Acquisition, frame: Frame, footprint: shapely.Polygon, cloud_cover: float, sun: tuple[float, float]
) -> pystac.Item:
    """Returns the STAC item of a scene, with assets relative to its folder.

    Args:
        scene: The acquisition.
        frame: The raster of all its assets.
        footprint: The visible part of the frame, in the frame's CRS.
        cloud_cover: Percentage of cloudy pixels.
        sun: Azimuth and elevation in degrees.
    """
    outline = shapely.transform(project(footprint, frame.epsg, WGS84_EPSG), partial(np.round, decimals=7))
    properties = {
        "gsd": PIXEL_SIZE,
        "eo:cloud_cover": round(cloud_cover, 6),
        "proj:epsg": frame.epsg,
        "proj:shape": list(frame.shape),
        "proj:transform": list(frame.affine)[:6],
        "view:sun_azimuth": round(sun[0], 2),
        "view:sun_elevation": round(sun[1], 2),
    }
    geometry = shapely.geometry.mapping(shapely.orient_polygons(outline))
    bbox = list(outline.bounds)
    item = pystac.Item(scene.id, geometry, bbox, scene.acquired, properties, stac_extensions=_EXTENSIONS)
    for name, colour in BANDS.items():
        raster = {"data_type": "uint16", "nodata": 0, "scale": 0.0001}
        fields = {"eo:bands": [{"name": name, "common_name": colour}], "raster:bands": [raster]}
        item.add_asset(name, _asset(name, f"{colour}, reflectance x 10000", ["data"], fields))
    raster = {"data_type": "uint8", "nodata": OUTSIDE_SWATH}
    fields = {"eo:bands": [{"name": "cloud_mask"}], "raster:bands": [raster]}
    title = "0 clear, 1 cloud, 2 cloud shadow"
    item.add_asset("cloud_mask", _asset("cloud_mask", title, ["cloud", "cloud-shadow"], fields))
    return item


def _asset(name: str, title: str, roles: list[str], fields: dict[str, Any]) -> pystac.Asset:
    return pystac.Asset(f"./{name}.tif", title, media_type=pystac.MediaType.COG, roles=roles, extra_fields=fields)


def write_catalogue(folder: Path, items: Sequence[pystac.Item]) -> None:
    """Writes the items, then their collection, then catalog.json."""
    description = "A synthetic landscape seen by two overlapping orbits over one year"
    collection = pystac.Collection(COLLECTION, description, pystac.Extent.from_items(items), license="CC0-1.0")
    catalog = pystac.Catalog("sample", "A synthetic landscape for trying the workflow")
    catalog.catalog_type = pystac.CatalogType.SELF_CONTAINED
    catalog.add_child(collection)
    collection.add_items(items)
    catalog.normalize_hrefs(os.path.abspath(folder))
    for entry in (*items, collection, catalog):
        write_json(Path(entry.self_href), entry.to_dict(include_self_link=False))
