"""Small rasters, vector layers, STAC catalogues and configs that tests make, and the slow reading they are held to."""

import json
import math
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyogrio.raw
import pyproj
import rasterio
import shapely
from rasterio.transform import Affine

from segchips.config.loading import load_config
from segchips.grids.tile import Grid, Tile

SCHEMA = Path(__file__).parents[1] / "workflow" / "schemas" / "config.schema.yaml"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
OUTSIDE = object()


def write_raster(path, data, transform, crs, nodata=None, mask=None, **profile):
    """A GeoTIFF of data (band, row, column) or (row, column)."""
    data = np.atleast_3d(data.T).T if data.ndim == 2 else data
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = data.shape
    shape = {"count": count, "height": height, "width": width, "dtype": data.dtype}
    with rasterio.open(
        path, "w", driver="GTiff", crs=crs, transform=transform, nodata=nodata, **shape, **profile
    ) as file:
        file.write(data)
        if mask is not None:
            file.write_mask(mask)
    return path


def write_vectors(path, geometries, crs, layer=None, **attributes):
    """A vector layer of shapely geometries with attributes."""
    wkb = np.array([shapely.to_wkb(geometry) for geometry in geometries], dtype=object)
    fields = [
        np.array(values, dtype=object if isinstance(values[0], str | None) else None) for values in attributes.values()
    ]
    pyogrio.raw.write(
        str(path), wkb, fields, list(attributes), geometry_type="Unknown", crs=crs, layer=layer, append=path.exists()
    )
    return str(path)


def under(tile, shape, step, crs=None, shift=(0.0, 0.0), rotate=0.0, south_up=False):
    """The geotransform that centres a raster of `shape` (rows, columns) and pixels of `step` on a tile, then shifts."""
    crs = crs or tile.crs
    west, south, east, north = tile.bounds
    x, y = pyproj.Transformer.from_crs(tile.crs, crs, always_xy=True).transform((west + east) / 2, (south + north) / 2)
    across, down = step if isinstance(step, tuple) else (step, step)
    x, y = x + shift[0] * across, y - shift[1] * down
    flip = Affine.scale(across, down if south_up else -down)
    return Affine.translation(x, y) @ Affine.rotation(rotate) @ flip @ Affine.translation(-shape[1] / 2, -shape[0] / 2)


def lonlat_outline(path):
    """The GeoJSON outline of a raster in lon/lat."""
    with rasterio.open(path) as file:
        corners = [(0, 0), (file.width, 0), (file.width, file.height), (0, file.height), (0, 0)]
        ring = [file.transform @ corner for corner in corners]
        moved = pyproj.Transformer.from_crs(file.crs, 4326, always_xy=True).itransform(ring)
        return shapely.geometry.mapping(shapely.Polygon(list(moved)))


def asset(href, **extra):
    """A raster asset."""
    return {"href": str(href), "type": COG, **extra}


def item(name, when, assets, geometry, collection="s2", cloud=None, **properties):
    """A STAC item as plain JSON; `when` is RFC 3339 text or None."""
    cover = {} if cloud is None else {"eo:cloud_cover": cloud}
    content = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": collection,
        "geometry": geometry,
        "properties": {"datetime": when, **cover, **properties},
        "links": [],
        "assets": assets,
    }
    if geometry:
        content["bbox"] = list(shapely.geometry.shape(geometry).bounds)
    return content


def collection(name, links=()):
    """A STAC collection as plain JSON."""
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2000-01-01T00:00:00Z", None]]}}
    content = {"type": "Collection", "stac_version": "1.0.0", "id": name, "description": name, "license": "other"}
    return {**content, "extent": extent, "links": list(links)}


def write_json(path, content):
    """A JSON file in a folder that may be new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_catalog(folder, items, version="1.0.0"):
    """A static catalogue: one collection for each that the items name, every item in a file of its own."""
    names = list(dict.fromkeys(content["collection"] for content in items))
    for name in names:
        members = [content for content in items if content["collection"] == name]
        links = [link("item", f"./{number}.json") for number in range(len(members))]
        write_json(folder / name / "collection.json", {**collection(name, links), "stac_version": version})
        for number, content in enumerate(members):
            up = [link("collection", "./collection.json"), link("parent", "./collection.json")]
            write_json(
                folder / name / f"{number}.json", {**content, "stac_version": version, "links": content["links"] + up}
            )
    root = {"type": "Catalog", "stac_version": version, "id": "root", "description": "root"}
    return write_json(
        folder / "catalog.json", {**root, "links": [link("child", f"./{name}/collection.json") for name in names]}
    )


def link(rel, href):
    """A STAC link."""
    return {"rel": rel, "href": href, "type": "application/json"}


def make_dataset(tiles=None, imagery=None, labels=None, tfrecords=None, splitting=None, select=None):
    """A dataset from a config of few keys."""
    usual = {
        "products": [{"id": "s2", "bands": ["B1"]}],
        "start": "2017-01-01",
        "end": "2017-12-31",
        "reference_date": "2017-06-30",
    }
    places = {"catalog": "catalog.json", "path": "labels.gpkg"}
    imagery, labels = usual | (imagery or {}), dict(labels or {})
    catalog, path = imagery.pop("catalog", places["catalog"]), labels.pop("path", places["path"])
    rest = {"tfrecords": tfrecords or {}, "splitting": splitting or {}, "select": select or {}}
    blocks = {"tiles": tiles or {}, "imagery": imagery, "labels": labels, **rest}
    imagery["catalog"], labels["path"] = places.values()
    # most tests differ in nothing but places, and the schema takes long to read
    if repr(blocks) not in _datasets:
        _datasets[repr(blocks)] = load_config({"datasets": {"d": blocks}}, SCHEMA).datasets["d"]
    known = _datasets[repr(blocks)]
    layers = [replace(layer, path=path) if layer.path == places["path"] else layer for layer in known.labels.layers]
    return replace(
        known, imagery=replace(known.imagery, catalog=catalog), labels=replace(known.labels, layers=tuple(layers))
    )


_datasets = {}


def utc(text):
    """An RFC 3339 time."""
    return datetime.fromisoformat(text).astimezone(UTC)


def nearest_by_loop(path, tile, bands=(1,)):
    """What lies under each of the tile's pixel centres, point by point: [band][row][column], OUTSIDE if nothing."""
    with rasterio.open(path) as file:
        data, inverse, crs = file.read(list(bands)), ~file.transform, pyproj.CRS(file.crs.to_wkt())
    project = None if crs == pyproj.CRS(tile.crs) else pyproj.Transformer.from_crs(tile.crs, crs, always_xy=True)
    west, step, _, north, _, _ = tile.geotransform
    size = tile.grid.size
    found = [[[OUTSIDE] * size for _ in range(size)] for _ in bands]
    for row in range(size):
        for column in range(size):
            point = west + (column + 0.5) * step, north - (row + 0.5) * step
            across, down = inverse @ (project.transform(*point) if project else point)
            # a centre on an edge belongs to the pixel right of and below it
            i, j = math.floor(down + 1e-6), math.floor(across + 1e-6)
            if 0 <= i < data.shape[1] and 0 <= j < data.shape[2]:
                for number in range(len(bands)):
                    found[number][row][column] = data[number, i, j]
    return found


def lonlat_box(tile):
    """A tile's padded box in lon/lat."""
    moved = pyproj.Transformer.from_crs(tile.crs, 4326, always_xy=True)
    west, south, east, north = tile.bounds
    ring = [(west, south), (east, south), (east, north), (west, north)]
    return shapely.Polygon(list(moved.itransform(ring)))


def tile_at(size=16, pad=2, resolution=10.0, zone=33, east=0, north=0):
    """A small tile at 14 degrees east, 46 degrees north, where nothing else is said, or so many tiles beside it."""
    grid = Grid(size, pad, resolution)
    return Tile(grid, zone, math.floor(-77_000 / grid.core) + east, math.floor(5_094_000 / grid.core) + north)


def real_data():
    """The folder of real scenes, where the environment names one."""
    return os.environ.get("SEGCHIPS_REAL_DATA")
