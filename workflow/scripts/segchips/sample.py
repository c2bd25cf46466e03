"""A synthetic landscape seen over one year: a static STAC catalogue, its polygon labels and an area of interest.

Everything is drawn from polygons in metres: the same polygons, painted in the same order, are the picture and the
labels.
"""

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyogrio
import rasterio
import shapely
import shapely.affinity
from numpy.random import Generator
from numpy.typing import NDArray
from pyogrio.raw import write as write_vector
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.io import MemoryFile
from rasterio.warp import reproject, transform

from segchips.files import write_whole
from segchips.grid import Bounds, Grid, Tile
from segchips.landscape import BANDS, Bools, Floats, Integers, Landscape, Polygons, draw

Json = dict[str, Any]

COLLECTION = "sample-l2a"
PIXEL = 10.0
SOUTH_WEST = Tile(Grid(size=64, pad=2, resolution=PIXEL), zone=33, path=-334, row=8903)
GROUND, NEIGHBOUR, LONLAT = 32633, 32632, 4326
CLEAR, CLOUD, SHADOW, UNSEEN = 0, 1, 2, 255  # values of the cloud mask
CLASSES = {1: "water", 2: "forest", 3: "field", 4: "built", 5: "road"}

MARGIN = 150.0  # metres that the scenes reach beyond the tiles
SWATH = math.radians(14)  # a descending orbit's edge, from north towards east
HAZE = (0.012, 0.006, 0.003, 0.001)
DARKENING = (0.50, 0.56, 0.60, 0.64)
NOISE = 0.0004
STEP = 8  # counts that the sensor tells apart


class Orbit(NamedTuple):
    """Scenes of one orbit: CRS, swath edge as a share of the frame's width, and the side seen: east 1, west -1."""

    epsg: int
    edge: float
    side: int


class Scene(NamedTuple):
    """One acquisition: orbit, time, the share of it that is cloud, and the clouds' height and width in metres."""

    orbit: str
    acquired: datetime
    cloud: float
    height: float
    width: float

    @property
    def day(self) -> int:
        """The day of the year."""
        return self.acquired.timetuple().tm_yday

    @property
    def id(self) -> str:
        """Such as sample_20230705T101029_r022."""
        return f"sample_{self.acquired:%Y%m%dT%H%M%S}_{self.orbit}"


ORBITS = {"r022": Orbit(GROUND, 0.32, 1), "r065": Orbit(NEIGHBOUR, 0.68, -1)}
SCENES = (
    Scene("r065", datetime(2023, 2, 8, 10, 21, 49, tzinfo=UTC), 0.12, 250, 1200),
    Scene("r022", datetime(2023, 2, 15, 10, 11, 29, tzinfo=UTC), 0.02, 250, 900),
    Scene("r022", datetime(2023, 4, 26, 10, 10, 21, tzinfo=UTC), 0.24, 600, 900),
    Scene("r065", datetime(2023, 4, 29, 10, 20, 31, tzinfo=UTC), 0.03, 600, 700),
    Scene("r022", datetime(2023, 6, 5, 10, 10, 31, tzinfo=UTC), 0.10, 800, 700),
    Scene("r065", datetime(2023, 6, 8, 10, 20, 29, tzinfo=UTC), 0.96, 800, 1600),
    Scene("r065", datetime(2023, 6, 28, 10, 20, 31, tzinfo=UTC), 0.10, 800, 800),
    Scene("r022", datetime(2023, 7, 5, 10, 10, 29, tzinfo=UTC), 0.24, 900, 1100),
    Scene("r065", datetime(2023, 8, 7, 10, 20, 29, tzinfo=UTC), 0.34, 800, 900),
    Scene("r022", datetime(2023, 8, 24, 10, 10, 31, tzinfo=UTC), 0.05, 700, 700),
    Scene("r022", datetime(2023, 10, 13, 10, 10, 21, tzinfo=UTC), 0.08, 400, 900),
    Scene("r065", datetime(2023, 10, 16, 10, 20, 21, tzinfo=UTC), 0.02, 400, 700),
)


def write_sample(directory: Path, seed: int = 0, columns: int = 8, rows: int = 6) -> None:
    """Write catalog.json with its scenes, labels.gpkg and aoi.gpkg for `columns` x `rows` tiles of 600 m."""
    area = tile_area(columns, rows)
    frames = [Frame.around(epsg, project(area.buffer(MARGIN), GROUND, epsg).bounds) for epsg in (GROUND, NEIGHBOUR)]
    boxes = [project(frame.box, frame.epsg, GROUND) for frame in frames]
    ground = Frame.around(GROUND, shapely.union_all(boxes).bounds)
    landscape = draw(area, ground.box, np.random.default_rng([seed, 0]))
    texture = roughness(landscape, ground, np.random.default_rng([seed, 1]))
    views = {frame.epsg: look(landscape, texture, ground, frame) for frame in frames}
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


def project(geometry: Any, source: int, target: int) -> Any:
    """Geometries moved between EPSG codes, with a vertex at least every 2 km."""

    def move(xy: Floats) -> Floats:
        return np.column_stack(transform(f"EPSG:{source}", f"EPSG:{target}", xy[:, 0], xy[:, 1]))

    return shapely.transform(shapely.segmentize(geometry, 2000), move)


@dataclass(frozen=True)
class Frame:
    """A north-up raster of 10 m pixels; `west` and `north` in metres."""

    epsg: int
    west: float
    north: float
    width: int
    height: int

    @classmethod
    def around(cls, epsg: int, bounds: Bounds) -> "Frame":
        """The smallest frame on whole multiples of 10 m that holds the bounds."""
        west, south = (math.floor(value / PIXEL) for value in bounds[:2])
        east, north = (math.ceil(value / PIXEL) for value in bounds[2:])
        return cls(epsg, west * PIXEL, north * PIXEL, east - west, north - south)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def affine(self) -> rasterio.Affine:
        """Pixel to metres."""
        return rasterio.Affine(PIXEL, 0.0, self.west, 0.0, -PIXEL, self.north)

    @property
    def box(self) -> shapely.Polygon:
        """The outline in metres."""
        return shapely.box(self.west, self.north - self.height * PIXEL, self.west + self.width * PIXEL, self.north)

    @property
    def centres(self) -> tuple[Floats, Floats]:
        """Pixel centres in metres east and north of the frame's middle, as a row and a column."""
        x = (np.arange(self.width, dtype="f4") + 0.5 - self.width / 2) * PIXEL
        y = (self.height / 2 - np.arange(self.height, dtype="f4") - 0.5) * PIXEL
        return x[None, :], y[:, None]


@dataclass(frozen=True)
class View:
    """The landscape on one frame: the polygon seen in every pixel, and the texture that multiplies its spectrum."""

    frame: Frame
    polygon: Integers
    texture: Floats


def look(landscape: Landscape, texture: Floats, ground: Frame, frame: Frame) -> View:
    """The ground as one frame sees it."""
    moved = np.ones(frame.shape, "f4")
    reproject(
        texture,
        moved,
        src_transform=ground.affine,
        src_crs=f"EPSG:{ground.epsg}",
        dst_transform=frame.affine,
        dst_crs=f"EPSG:{frame.epsg}",
        resampling=Resampling.bilinear,
    )
    return View(frame, paint(project(landscape.polygons, ground.epsg, frame.epsg), frame), moved)


def paint(polygons: Polygons, frame: Frame) -> Integers:
    """The last polygon over every pixel's centre."""
    shapes = zip(polygons, range(len(polygons)), strict=True)
    return np.asarray(rasterize(shapes, out_shape=frame.shape, transform=frame.affine, dtype="int32"))


def roughness(landscape: Landscape, ground: Frame, rng: Generator) -> Floats:
    """Crowns and stands, mottled soil and furrows along each field, around 1."""
    x, y = ground.centres
    polygon = paint(landscape.polygons, ground)
    across = landscape.across().astype("f4")
    phase = (across[:, 0][polygon] * x + across[:, 1][polygon] * y) * (2 * math.pi / 36)
    fine, coarse, furrow = (landscape.each(name).astype("f4")[polygon] for name in ("fine", "coarse", "furrow"))
    hills = fine * noise(ground.shape, 20, 2, rng) + coarse * noise(ground.shape, 150, 4, rng)
    return np.asarray(1 + hills + furrow * np.sin(phase))


def noise(shape: tuple[int, int], width: float, slope: float, rng: Generator) -> Floats:
    """Periodic random hills `width` metres wide, of zero mean and unit deviation; a lower slope is rougher."""
    y, x = np.fft.fftfreq(shape[0], PIXEL)[:, None], np.fft.rfftfreq(shape[1], PIXEL)[None, :]
    strength = (1 + (x**2 + y**2) * width**2).astype("f4") ** (-slope / 2)
    strength[0, 0] = 0
    hills = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape, "f4")) * strength, shape)
    return np.asarray(hills / hills.std(), dtype="f4")


def write_scene(directory: Path, scene: Scene, view: View, landscape: Landscape, rng: Generator) -> Json:
    """Write one scene's assets and item; the item."""
    footprint, seen = swath(scene, view.frame, rng)
    sky = noise(view.frame.shape, scene.width, 2.8, rng)
    sky -= np.quantile(sky[seen], 1 - scene.cloud)
    sun = sun_position(scene, footprint)
    shade = np.roll(sky, shadow_offset(scene.height, *sun), axis=(0, 1))
    mask = np.select([~seen, sky > 0, shade > 0], [UNSEEN, CLOUD, SHADOW], CLEAR).astype("u1")
    folder = directory / COLLECTION / scene.id
    write_whole(folder / "cloud_mask.tif", encode(mask, "cloud_mask", UNSEEN, view.frame))
    for name, reflectance in zip(BANDS, expose(scene, view, landscape, sky, shade, rng), strict=True):
        counts = np.clip(np.rint(reflectance * (10000 / STEP)) * STEP, 1, 65535)
        write_whole(folder / f"{name}.tif", encode(np.where(seen, counts, 0).astype("u2"), name, 0, view.frame))
    item = describe(scene, view.frame, footprint, 100 * float(np.mean(mask[seen] == CLOUD)), sun)
    write_json(folder / f"{scene.id}.json", item)
    return item


def swath(scene: Scene, frame: Frame, rng: Generator) -> tuple[shapely.Polygon, Bools]:
    """The part of the frame that the orbit sees: its outline in metres, and the pixels wholly inside."""
    _, share, side = ORBITS[scene.orbit]
    edge = frame.width * PIXEL * (share - 0.5 + rng.uniform(-0.03, 0.03))
    far = (frame.width + frame.height) * PIXEL
    lean = far * math.tan(SWATH)
    near = np.array([(edge - lean, -far), (edge + lean, far)])
    strip = shapely.Polygon([*near, *(near[::-1] + (side * 4 * far, 0))])
    centre = frame.box.centroid
    x, y = frame.centres
    depth = side * ((x - edge) * math.cos(SWATH) - y * math.sin(SWATH))
    outline = shapely.intersection(frame.box, shapely.affinity.translate(strip, centre.x, centre.y))
    return outline, depth > PIXEL * math.sqrt(0.5)


def sun_position(scene: Scene, footprint: shapely.Polygon) -> tuple[float, float]:
    """The sun's azimuth and elevation in degrees."""
    lon, lat = project(footprint.centroid, ORBITS[scene.orbit].epsg, LONLAT).coords[0]
    hours = scene.acquired.hour + scene.acquired.minute / 60 + lon / 15 - 12
    phi, turn = math.radians(lat), math.radians(15 * hours)
    tilt = math.radians(23.44) * math.sin(2 * math.pi * (scene.day + 284) / 365)
    elevation = math.asin(math.sin(phi) * math.sin(tilt) + math.cos(phi) * math.cos(tilt) * math.cos(turn))
    azimuth = math.atan2(math.sin(turn), math.cos(turn) * math.sin(phi) - math.tan(tilt) * math.cos(phi))
    return math.degrees(azimuth) + 180, math.degrees(elevation)


def shadow_offset(height: float, azimuth: float, elevation: float) -> tuple[int, int]:
    """Rows and columns from a cloud to its shadow."""
    length, angle = height / math.tan(math.radians(elevation)) / PIXEL, math.radians(azimuth)
    return round(length * math.cos(angle)), round(-length * math.sin(angle))


def expose(
    scene: Scene, view: View, landscape: Landscape, sky: Floats, shade: Floats, rng: Generator
) -> Iterable[Floats]:
    """Reflectance band by band: ground, shadows, haze, clouds lit from the sun's side, sensor noise."""
    spectra, haze = landscape.reflectance(scene.day), rng.uniform(0.3, 1.2)
    opacity, darkness = (np.clip(field / 0.3, 0, 1) for field in (sky, shade))
    cloud = np.clip(0.5 + 0.25 * np.clip(sky, 0, 1) + sky - np.roll(sky, (-2, -2), axis=(0, 1)), 0.35, 0.95)
    for band in range(len(BANDS)):
        ground = blur(spectra[:, band][view.polygon] * view.texture)
        lit = ground * (1 - DARKENING[band] * darkness) + haze * HAZE[band]
        yield lit + opacity * (cloud - lit) + NOISE * rng.standard_normal(view.frame.shape, "f4")


def blur(image: Floats) -> Floats:
    """The sensor's point spread: a little of each pixel reaches its neighbours."""
    wide = np.pad(image, 1, mode="edge")
    tall = 0.74 * wide[1:-1] + 0.13 * (wide[:-2] + wide[2:])
    return np.asarray(0.74 * tall[:, 1:-1] + 0.13 * (tall[:, :-2] + tall[:, 2:]))


def encode(pixels: Integers, band: str, nodata: int, frame: Frame) -> bytes:
    """One band as a Cloud-Optimized GeoTIFF."""
    profile = {
        "driver": "COG",
        "width": frame.width,
        "height": frame.height,
        "count": 1,
        "dtype": pixels.dtype,
        "crs": f"EPSG:{frame.epsg}",
        "transform": frame.affine,
        "nodata": nodata,
        "compress": "DEFLATE",
        "level": 4,
        "predictor": "YES",
        "num_threads": "ALL_CPUS",
        "blocksize": 512,
        "overview_resampling": "nearest",
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(pixels, 1)
            dataset.set_band_description(1, band)
        return bytes(memory.read())


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
    write_whole(path, json.dumps(document, indent=1) + "\n")


def write_labels(path: Path, landscape: Landscape) -> None:
    """Write the labelled polygons in painting order with `class` and `class_id`."""
    classes = landscape.each("class_id")
    labelled = classes > 0
    names = np.array([CLASSES[number] for number in classes[labelled]], dtype=object)
    fields = {"class": names, "class_id": classes[labelled].astype("int32")}
    write_layer(path, "landcover", project(landscape.polygons[labelled], GROUND, LONLAT), fields)


def write_aoi(path: Path, area: shapely.Polygon, rng: Generator) -> None:
    """Write an uneven outline inside the tiles' area that still meets every tile."""
    tile = SOUTH_WEST.grid.core
    inner = shapely.segmentize(area.buffer(-tile / 5, join_style="mitre"), tile / 2)
    ring = shapely.get_coordinates(inner)[:-1]
    outline = shapely.Polygon(ring + rng.uniform(-tile / 7, tile / 7, ring.shape))
    fields = {"name": np.array(["sample"], dtype=object)}
    write_layer(path, "aoi", np.array([project(outline, GROUND, LONLAT)]), fields)


def write_layer(path: Path, layer: str, polygons: Polygons, fields: Mapping[str, NDArray[Any]]) -> None:
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
    write_whole(path, memory.getvalue())
