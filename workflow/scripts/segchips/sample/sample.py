"""Writes the sample: scenes of a synthetic landscape over one year, its polygon labels and an area of interest.

Scenes and labels are made from the same polygons, drawn in the same order.
"""

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyogrio
import pystac
import shapely
import shapely.affinity
from numpy.random import Generator
from pyogrio.raw import write as write_vector

from segchips.arrays import Array
from segchips.files import atomic_write
from segchips.sample.acquisitions import ACQUISITIONS, ORBITS, Acquisition, shadow_offset, sun_position, visible_swath
from segchips.sample.catalogue import COLLECTION, scene_item, write_catalogue
from segchips.sample.frames import (
    CLEAR,
    CLOUD,
    COUNT_STEP,
    GROUND_EPSG,
    MARGIN,
    NEIGHBOUR_EPSG,
    OUTSIDE_SWATH,
    SHADOW,
    SOUTH_WEST_TILE,
    WGS84_EPSG,
    Frame,
    encode_cog,
    project,
)
from segchips.sample.landscape import BANDS, Landscape, Polygons, draw_landscape
from segchips.sample.rendering import RenderedGround, correlated_noise, ground_texture, render_bands, render_ground

CLASSES = {1: "water", 2: "forest", 3: "field", 4: "built", 5: "road"}


def write_sample(directory: Path, seed: int = 0, columns: int = 8, rows: int = 6) -> None:
    """Writes catalog.json with its scenes, labels.gpkg and aoi.gpkg.

    Args:
        directory: The folder that receives the files.
        seed: Another number makes another landscape.
        columns: Number of tiles of 600 m from west to east.
        rows: Number of tiles from south to north.
    """
    area = tile_area(columns, rows)
    frames = [
        Frame.around(epsg, project(area.buffer(MARGIN), GROUND_EPSG, epsg).bounds)
        for epsg in (GROUND_EPSG, NEIGHBOUR_EPSG)
    ]
    boxes = [project(frame.box, frame.epsg, GROUND_EPSG) for frame in frames]
    ground = Frame.around(GROUND_EPSG, shapely.union_all(boxes).bounds)
    landscape = draw_landscape(area, ground.box, np.random.default_rng([seed, 0]))
    texture = ground_texture(landscape, ground, np.random.default_rng([seed, 1]))
    renderings = {frame.epsg: render_ground(landscape, texture, ground, frame) for frame in frames}
    write_labels(directory / "labels.gpkg", landscape)
    write_aoi(directory / "aoi.gpkg", area, np.random.default_rng([seed, 2]))

    def write(index: int) -> pystac.Item:
        scene = ACQUISITIONS[index]
        rendered = renderings[ORBITS[scene.orbit].epsg]
        return write_scene(directory, scene, rendered, landscape, np.random.default_rng([seed, 3, index]))

    with ThreadPoolExecutor(2) as pool:
        items = list(pool.map(write, range(len(ACQUISITIONS))))
    write_catalogue(directory, items)


def tile_area(columns: int, rows: int) -> shapely.Polygon:
    """Returns the outline of the tiles' core boxes in metres."""
    west, south, _, _ = SOUTH_WEST_TILE.core_bounds
    return shapely.box(
        west, south, west + columns * SOUTH_WEST_TILE.grid.core, south + rows * SOUTH_WEST_TILE.grid.core
    )


def write_scene(
    directory: Path, scene: Acquisition, rendered: RenderedGround, landscape: Landscape, rng: Generator
) -> pystac.Item:
    """Writes the assets of a scene and returns its item."""
    footprint, seen = visible_swath(scene, rendered.frame, rng)
    cloud_field = correlated_noise(rendered.frame.shape, scene.width, 2.8, rng)
    cloud_field -= np.quantile(cloud_field[seen], 1 - scene.cloud)
    sun = sun_position(scene, footprint)
    shadow_field = np.roll(cloud_field, shadow_offset(scene.height, *sun), axis=(0, 1))
    mask = np.select([~seen, cloud_field > 0, shadow_field > 0], [OUTSIDE_SWATH, CLOUD, SHADOW], CLEAR).astype("u1")
    folder = directory / COLLECTION / scene.id
    atomic_write(folder / "cloud_mask.tif", encode_cog(mask, "cloud_mask", OUTSIDE_SWATH, rendered.frame))
    for name, reflectance in zip(
        BANDS, render_bands(scene, rendered, landscape, cloud_field, shadow_field, rng), strict=True
    ):
        counts = np.clip(np.rint(reflectance * (10000 / COUNT_STEP)) * COUNT_STEP, 1, 65535)
        atomic_write(
            folder / f"{name}.tif", encode_cog(np.where(seen, counts, 0).astype("u2"), name, 0, rendered.frame)
        )
    return scene_item(scene, rendered.frame, footprint, 100 * float(np.mean(mask[seen] == CLOUD)), sun)


def write_labels(path: Path, landscape: Landscape) -> None:
    """Writes the labelled polygons in burning order with `class` and `class_id`."""
    classes = landscape.each("class_id")
    labelled = classes > 0
    names = np.array([CLASSES[number] for number in classes[labelled]], dtype=object)
    fields = {"class": names, "class_id": classes[labelled].astype("int32")}
    write_vector_layer(path, "landcover", project(landscape.polygons[labelled], GROUND_EPSG, WGS84_EPSG), fields)


def write_aoi(path: Path, area: shapely.Polygon, rng: Generator) -> None:
    """Writes an irregular outline inside the tiles' area that meets every tile."""
    tile = SOUTH_WEST_TILE.grid.core
    inner = shapely.segmentize(area.buffer(-tile / 5, join_style="mitre"), tile / 2)
    ring = shapely.get_coordinates(inner)[:-1]
    outline = shapely.Polygon(ring + rng.uniform(-tile / 7, tile / 7, ring.shape))
    fields = {"name": np.array(["sample"], dtype=object)}
    write_vector_layer(path, "aoi", np.array([project(outline, GROUND_EPSG, WGS84_EPSG)]), fields)


def write_vector_layer(path: Path, layer: str, polygons: Polygons, fields: Mapping[str, Array]) -> None:
    """Writes a GeoPackage layer in longitude and latitude, with a fixed date so that its bytes do not change."""
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
            crs=f"EPSG:{WGS84_EPSG}",
        )
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})
    atomic_write(path, memory.getvalue())
