"""A synthetic landscape seen over one year: a static STAC catalogue, its polygon labels and an area of interest.

Everything is drawn from polygons in metres: the same polygons, painted in the same order, are the picture and the
labels.
"""

import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
import shapely.affinity
from numpy.random import Generator
from pyogrio.raw import write as write_vector

from segchips.arrays import Array
from segchips.files import atomic_write
from segchips.sample.frames import (
    CLEAR,
    CLOUD,
    GROUND,
    LONLAT,
    MARGIN,
    NEIGHBOUR,
    ORBITS,
    PIXEL,
    SCENES,
    SHADOW,
    SOUTH_WEST,
    STEP,
    UNSEEN,
    Frame,
    Scene,
    View,
    compute_view,
    encode,
    expose,
    noise,
    project,
    roughness,
    shadow_offset,
    sun_position,
    swath,
)
from segchips.sample.landscape import BANDS, Landscape, Polygons, draw

Json = dict[str, Any]

COLLECTION = "sample-l2a"
CLASSES = {1: "water", 2: "forest", 3: "field", 4: "built", 5: "road"}


def write_sample(directory: Path, seed: int = 0, columns: int = 8, rows: int = 6) -> None:
    """Write catalog.json with its scenes, labels.gpkg and aoi.gpkg for `columns` x `rows` tiles of 600 m."""
    area = tile_area(columns, rows)
    frames = [Frame.around(epsg, project(area.buffer(MARGIN), GROUND, epsg).bounds) for epsg in (GROUND, NEIGHBOUR)]
    boxes = [project(frame.box, frame.epsg, GROUND) for frame in frames]
    ground = Frame.around(GROUND, shapely.union_all(boxes).bounds)
    landscape = draw(area, ground.box, np.random.default_rng([seed, 0]))
    texture = roughness(landscape, ground, np.random.default_rng([seed, 1]))
    views = {frame.epsg: compute_view(landscape, texture, ground, frame) for frame in frames}
    write_labels(directory / "labels.gpkg", landscape)
    write_aoi(directory / "aoi.gpkg", area, np.random.default_rng([seed, 2]))

    def shoot(index: int) -> Json:
        scene = SCENES[index]
        view = views[ORBITS[scene.orbit].epsg]
        return write_scene(directory, scene, view, landscape, np.random.default_rng([seed, 3, index]))

    with ThreadPoolExecutor(2) as pool:
        items = list(pool.map(shoot, range(len(SCENES))))
    write_catalogue(directory, items)


def tile_area(columns: int, rows: int) -> shapely.Polygon:
    """The outline of the tiles' cores in ground metres."""
    west, south, _, _ = SOUTH_WEST.core_bounds
    return shapely.box(west, south, west + columns * SOUTH_WEST.grid.core, south + rows * SOUTH_WEST.grid.core)


def write_scene(directory: Path, scene: Scene, view: View, landscape: Landscape, rng: Generator) -> Json:
    """Write one scene's assets and item; the item."""
    footprint, seen = swath(scene, view.frame, rng)
    sky = noise(view.frame.shape, scene.width, 2.8, rng)
    sky -= np.quantile(sky[seen], 1 - scene.cloud)
    sun = sun_position(scene, footprint)
    shade = np.roll(sky, shadow_offset(scene.height, *sun), axis=(0, 1))
    mask = np.select([~seen, sky > 0, shade > 0], [UNSEEN, CLOUD, SHADOW], CLEAR).astype("u1")
    folder = directory / COLLECTION / scene.id
    atomic_write(folder / "cloud_mask.tif", encode(mask, "cloud_mask", UNSEEN, view.frame))
    for name, reflectance in zip(BANDS, expose(scene, view, landscape, sky, shade, rng), strict=True):
        counts = np.clip(np.rint(reflectance * (10000 / STEP)) * STEP, 1, 65535)
        atomic_write(folder / f"{name}.tif", encode(np.where(seen, counts, 0).astype("u2"), name, 0, view.frame))
    item = describe(scene, view.frame, footprint, 100 * float(np.mean(mask[seen] == CLOUD)), sun)
    write_json(folder / f"{scene.id}.json", item)
    return item


def describe(scene: Scene, frame: Frame, footprint: shapely.Polygon, cloud: float, sun: tuple[float, float]) -> Json:
    """The STAC item of a scene; links and assets are relative."""
    outline = shapely.transform(project(footprint, frame.epsg, LONLAT), partial(np.round, decimals=7))
    extensions = ("projection/v1.1.0", "eo/v1.1.0", "raster/v1.1.0", "view/v1.0.0")
    root, parent = "../../catalog.json", "../collection.json"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [f"https://stac-extensions.github.io/{name}/schema.json" for name in extensions],
        "id": scene.id,
        "collection": COLLECTION,
        "geometry": shapely.geometry.mapping(shapely.orient_polygons(outline)),
        "bbox": list(outline.bounds),
        "properties": {
            "datetime": f"{scene.acquired:%Y-%m-%dT%H:%M:%SZ}",
            "gsd": PIXEL,
            "eo:cloud_cover": round(cloud, 6),
            "proj:epsg": frame.epsg,
            "proj:shape": list(frame.shape),
            "proj:transform": list(frame.affine)[:6],
            "view:sun_azimuth": round(sun[0], 2),
            "view:sun_elevation": round(sun[1], 2),
        },
        "assets": {**{name: band_asset(name) for name in BANDS}, "cloud_mask": mask_asset()},
        "links": [link("root", root), link("parent", parent), link("collection", parent)],
    }


def band_asset(name: str) -> Json:
    """One spectral band's asset."""
    return {
        "href": f"./{name}.tif",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"],
        "title": f"{BANDS[name]}, reflectance x 10000",
        "eo:bands": [{"name": name, "common_name": BANDS[name]}],
        "raster:bands": [{"data_type": "uint16", "nodata": 0, "scale": 0.0001}],
    }


def mask_asset() -> Json:
    """The cloud mask's asset."""
    return {
        "href": "./cloud_mask.tif",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["cloud", "cloud-shadow"],
        "title": "0 clear, 1 cloud, 2 cloud shadow",
        "eo:bands": [{"name": "cloud_mask"}],
        "raster:bands": [{"data_type": "uint8", "nodata": UNSEEN}],
    }


def link(rel: str, href: str) -> Json:
    """A STAC link; items are GeoJSON."""
    return {"rel": rel, "href": href, "type": "application/geo+json" if rel == "item" else "application/json"}


def write_catalogue(directory: Path, items: Sequence[Json]) -> None:
    """Write the collection over the items, then the catalogue over the collection."""
    boxes = np.array([item["bbox"] for item in items])
    times = sorted(item["properties"]["datetime"] for item in items)
    collection = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": COLLECTION,
        "description": "A synthetic landscape seen by two overlapping orbits over one year",
        "license": "CC0-1.0",
        "extent": {
            "spatial": {"bbox": [[*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]]},
            "temporal": {"interval": [[times[0], times[-1]]]},
        },
        "links": [
            link("root", "../catalog.json"),
            link("parent", "../catalog.json"),
            *(link("item", f"./{item['id']}/{item['id']}.json") for item in items),
        ],
    }
    write_json(directory / COLLECTION / "collection.json", collection)
    catalogue = {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "sample",
        "description": "A synthetic landscape for trying the workflow",
        "links": [link("root", "./catalog.json"), link("child", f"./{COLLECTION}/collection.json")],
    }
    write_json(directory / "catalog.json", catalogue)


def write_json(path: Path, document: Json) -> None:
    """Write a document, indented."""
    atomic_write(path, json.dumps(document, indent=1) + "\n")


def write_labels(path: Path, landscape: Landscape) -> None:
    """Write the labelled polygons in painting order with `class` and `class_id`."""
    classes = landscape.each("class_id")
    labelled = classes > 0
    names = np.array([CLASSES[number] for number in classes[labelled]], dtype=object)
    fields = {"class": names, "class_id": classes[labelled].astype("int32")}
    write_vector_layer(path, "landcover", project(landscape.polygons[labelled], GROUND, LONLAT), fields)


def write_aoi(path: Path, area: shapely.Polygon, rng: Generator) -> None:
    """Write an uneven outline inside the tiles' area that still meets every tile."""
    tile = SOUTH_WEST.grid.core
    inner = shapely.segmentize(area.buffer(-tile / 5, join_style="mitre"), tile / 2)
    ring = shapely.get_coordinates(inner)[:-1]
    outline = shapely.Polygon(ring + rng.uniform(-tile / 7, tile / 7, ring.shape))
    fields = {"name": np.array(["sample"], dtype=object)}
    write_vector_layer(path, "aoi", np.array([project(outline, GROUND, LONLAT)]), fields)


def write_vector_layer(path: Path, layer: str, polygons: Polygons, fields: Mapping[str, Array]) -> None:
    """Write one layer of a GeoPackage in longitude and latitude, dated so that its bytes do not change."""
    memory = io.BytesIO()
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2023-12-31T00:00:00.000Z"})
    try:
        write_vector(
            memory,
            shapely.to_wkb(polygons),
            list(fields.values()),
            list(fields),
            layer=layer,
            driver="GPKG",
            geometry_type="Polygon",
            crs=f"EPSG:{LONLAT}",
        )
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
    atomic_write(path, memory.getvalue())
