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
from shapely.geometry.base import BaseGeometry

from segchips.files import write_whole
from segchips.grid import Bounds, Grid, Tile

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]
Polygons = NDArray[np.object_]
Layer = tuple[Polygons, Sequence[str]]
Json = dict[str, Any]

COLLECTION = "sample-l2a"
PIXEL = 10.0
SOUTH_WEST = Tile(Grid(size=64, pad=2, resolution=PIXEL), zone=33, path=-334, row=8903)
GROUND, NEIGHBOUR, LONLAT = 32633, 32632, 4326
BANDS = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir"}
CLEAR, CLOUD, SHADOW, UNSEEN = 0, 1, 2, 255  # values of the cloud mask
CLASSES = {1: "water", 2: "forest", 3: "field", 4: "built", 5: "road"}

REGION = np.array([4800.0, 3600.0])  # metres of ground that hold one town, one lake, one river and some woods
BLOCK = 520.0  # metres between farm lanes
LOTS = 15  # house lots along a block
BANK = 35.0
MARGIN = 150.0  # metres that the scenes reach beyond the tiles
SWATH = math.radians(14)  # a descending orbit's edge, from north towards east
HAZE = (0.012, 0.006, 0.003, 0.001)
DARKENING = (0.50, 0.56, 0.60, 0.64)
NOISE = 0.0004
STEP = 8  # counts that the sensor tells apart

SPECTRA = {  # reflectance in blue, green, red, near infrared
    "soil": (0.070, 0.090, 0.120, 0.190),
    "sprout": (0.058, 0.084, 0.088, 0.210),
    "green": (0.030, 0.068, 0.034, 0.480),
    "lush": (0.030, 0.090, 0.036, 0.530),
    "flower": (0.048, 0.165, 0.160, 0.450),
    "ripe": (0.078, 0.138, 0.180, 0.330),
    "stubble": (0.100, 0.132, 0.168, 0.270),
    "grass": (0.036, 0.078, 0.050, 0.400),
    "mown": (0.050, 0.098, 0.082, 0.340),
    "withered": (0.054, 0.078, 0.080, 0.230),
    "needles": (0.016, 0.030, 0.019, 0.215),
    "leaves": (0.020, 0.050, 0.024, 0.420),
    "turning": (0.036, 0.066, 0.092, 0.300),
    "twigs": (0.040, 0.050, 0.062, 0.160),
    "river": (0.046, 0.062, 0.042, 0.016),
    "lake": (0.044, 0.047, 0.026, 0.009),
    "gravel": (0.150, 0.166, 0.184, 0.230),
    "asphalt": (0.082, 0.090, 0.098, 0.140),
    "garden": (0.046, 0.076, 0.062, 0.290),
    "bare garden": (0.052, 0.068, 0.068, 0.200),
    "tiles": (0.078, 0.098, 0.185, 0.240),
    "slate": (0.110, 0.120, 0.130, 0.175),
    "metal": (0.250, 0.265, 0.275, 0.310),
}


class Cover(NamedTuple):
    """A kind of ground: class (0 is unlabelled), spectrum by day of the year, relative texture at 20, 150 and 36 m."""

    class_id: int
    year: str
    fine: float = 0.02
    coarse: float = 0.03
    furrow: float = 0.0


crop = partial(Cover, 3, fine=0.015, coarse=0.06, furrow=0.045)
COVERS = {
    "meadow": Cover(0, "50 withered, 110 grass, 155 grass, 165 mown, 190 grass, 290 grass, 345 withered", 0.03, 0.07),
    "wheat": crop("40 sprout, 105 green, 165 green, 188 ripe, 205 ripe, 212 stubble, 255 soil, 285 soil, 320 sprout"),
    "barley": crop("40 sprout, 95 green, 145 green, 166 ripe, 182 ripe, 188 stubble, 235 soil, 270 sprout"),
    "rape": crop("60 sprout, 100 green, 112 flower, 132 flower, 142 green, 175 green, 195 stubble, 225 soil, 265 lush"),
    "maize": crop("60 stubble, 95 soil, 148 soil, 185 green, 250 green, 270 ripe, 284 stubble"),
    "beet": crop("80 soil, 130 soil, 170 lush, 285 lush, 300 soil"),
    "conifer": Cover(2, "0 needles", 0.20, 0.10),
    "broadleaf": Cover(2, "105 twigs, 128 leaves, 262 leaves, 288 turning, 315 twigs", 0.17, 0.10),
    "garden": Cover(4, "60 bare garden, 120 garden, 280 garden, 330 bare garden", 0.10, 0.05),
    "tile roof": Cover(0, "0 tiles", 0.08),
    "slate roof": Cover(0, "0 slate", 0.08),
    "metal roof": Cover(0, "0 metal", 0.06),
    "river": Cover(1, "0 river"),
    "lake": Cover(1, "0 lake"),
    "lane": Cover(5, "0 gravel", 0.04),
    "street": Cover(5, "0 asphalt", 0.04),
}
CROPS = {"wheat": 0.28, "barley": 0.12, "rape": 0.15, "maize": 0.22, "beet": 0.09, "meadow": 0.14}
ROOFS = {"tile roof": 0.68, "slate roof": 0.26, "metal roof": 0.06}
WOODS = {"conifer": 0.55, "broadleaf": 0.45}


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
class Mesh:
    """Crooked blocks of farmland: `nodes` (n, n, 2) in metres by row and column; in between, (u, v) is bilinear."""

    nodes: Floats

    @classmethod
    def over(cls, box: shapely.Polygon, rng: Generator) -> "Mesh":
        """Blocks that cover the box and a block or more around it."""
        west, south, east, north = box.bounds
        count = math.ceil(math.hypot(east - west, north - south) / BLOCK) + 4
        u, v = np.meshgrid(np.arange(count) - (count - 1) / 2, np.arange(count) - (count - 1) / 2)
        swung = np.stack([u + 0.25 * np.sin(0.9 * v), v + 0.25 * np.sin(0.7 * u + 1)], axis=-1)
        crooked = swung + rng.uniform(-0.13, 0.13, swung.shape)
        sine, cosine = math.sin(math.radians(9)), math.cos(math.radians(9))
        turned = crooked @ np.array([[cosine, -sine], [sine, cosine]])
        return cls(turned * BLOCK + [(west + east) / 2, (south + north) / 2])

    def at(self, uv: Floats) -> Floats:
        """Metres at (u, v), for any leading shape."""
        low = np.clip(uv.astype(int), 0, len(self.nodes) - 2)
        i, j = low[..., 0], low[..., 1]
        s, t = np.split(uv - low, 2, axis=-1)
        south = self.nodes[j, i] * (1 - s) + self.nodes[j, i + 1] * s
        north = self.nodes[j + 1, i] * (1 - s) + self.nodes[j + 1, i + 1] * s
        return np.asarray(south * (1 - t) + north * t)

    def quads(self, boxes: Floats) -> Polygons:
        """Polygons of (u0, v0, u1, v1) boxes of shape (n, 4)."""
        return np.asarray(shapely.polygons(self.at(boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]])))

    def line(self, start: Sequence[float], stop: Sequence[float]) -> shapely.LineString:
        """The line from (u, v) to (u, v)."""
        return shapely.LineString(self.at(np.linspace(start, stop, 5 * math.ceil(math.dist(start, stop)) + 1)))

    def lines(self, axis: int) -> list[shapely.LineString]:
        """Every line of nodes, from south to north (axis 0) or from west to east (axis 1)."""
        nodes = self.nodes if axis else np.swapaxes(self.nodes, 0, 1)
        return [shapely.LineString(line) for line in nodes]

    def nearest(self, xy: Floats) -> Integers:
        """Column and row of the node nearest to a place."""
        row, column = np.unravel_index(np.hypot(*np.moveaxis(self.nodes - xy, -1, 0)).argmin(), self.nodes.shape[:2])
        return np.array([column, row])

    def blocks(self, box: shapely.Polygon) -> Integers:
        """Column and row of the blocks that meet the box, (n, 2)."""
        count = len(self.nodes) - 1
        corners = np.array(list(np.ndindex(count, count)))
        return np.asarray(corners[shapely.intersects(self.quads(np.hstack([corners, corners + 1.0])), box)])


class Settlement(NamedTuple):
    """A town or hamlet: the mesh node it lies at, its outline, and how many lots it reaches from the node."""

    node: Integers
    outline: shapely.Polygon
    reach: int


@dataclass(frozen=True)
class Landscape:
    """Polygons in ground metres in painting order, with the cover, days of delay and brightness of each."""

    polygons: Polygons
    covers: Integers
    delay: Floats
    brightness: Floats

    @classmethod
    def of(cls, layers: Sequence[Layer], rng: Generator) -> "Landscape":
        """Stack the layers, first painted first."""
        polygons = np.concatenate([polygons for polygons, _ in layers])
        names = list(COVERS)
        covers = np.array([names.index(cover) for _, covers in layers for cover in covers])
        count = len(polygons)
        return cls(polygons, covers, rng.uniform(-7, 7, count), rng.uniform(0.93, 1.07, count))

    def each(self, attribute: str) -> NDArray[Any]:
        """That attribute of every polygon's cover."""
        return np.array([getattr(cover, attribute) for cover in COVERS.values()])[self.covers]

    def across(self) -> Floats:
        """Unit vectors across every polygon's longer side, (n, 2)."""
        corners = shapely.get_coordinates(shapely.oriented_envelope(self.polygons)).reshape(-1, 5, 2)
        sides = np.diff(corners[:, :3], axis=1)
        lengths = np.hypot(sides[..., 0], sides[..., 1])
        return np.asarray((sides / lengths[..., None])[np.arange(len(sides)), lengths.argmin(axis=1)])

    def reflectance(self, day: int) -> Floats:
        """Every polygon's reflectance on a day of the year, (n, bands)."""
        result = np.empty((len(self.polygons), len(BANDS)))
        for index, cover in enumerate(COVERS.values()):
            members = self.covers == index
            keys = [key.split(" ", 1) for key in cover.year.split(", ")]
            days, spectra = [int(key) for key, _ in keys], np.array([SPECTRA[name] for _, name in keys])
            for band in range(len(BANDS)):
                result[members, band] = np.interp(day - self.delay[members], days, spectra[:, band], period=365)
        return np.asarray(result * self.brightness[:, None], dtype="f4")


def draw(area: shapely.Polygon, box: shapely.Polygon, rng: Generator) -> Landscape:
    """Everything within the box, with a town, a lake, a river and woods in each region of the area."""
    low, high = np.array(area.bounds).reshape(2, 2)
    count = np.maximum(1, np.round((high - low) / REGION)).astype(int)
    size = (high - low) / count
    centres = low + size * (np.array(list(np.ndindex(*count))) + 0.5)
    mesh = Mesh.over(box, rng)
    rivers = np.array([river(x, box, size, rng) for x in np.unique(centres[:, 0])])
    towns, lakes, woods = zip(*(region(centre, size, mesh, rng) for centre in centres), strict=True)
    trees, ponds = np.concatenate(woods), np.array(lakes)
    banks = shapely.union_all([*rivers, *ponds]).buffer(BANK)
    taken = shapely.union_all([*trees, *ponds, *(town.outline for town in towns)])
    hamlets = scatter(mesh, box, shapely.union(banks, taken), rng)
    layers = [
        (np.array([box]), ["meadow"]),
        parcels(mesh, box, banks, taken, rng),
        (trees, choose(WOODS, len(trees), rng)),
        *built(mesh, [*towns, *hamlets], rng),
        (rivers, ["river"] * len(rivers)),
        (ponds, ["lake"] * len(ponds)),
        *roads(mesh, towns, rivers, box.buffer(50).difference(shapely.union_all(ponds).buffer(15))),
    ]
    return Landscape.of(layers, rng)


def choose(shares: Mapping[str, float], count: int, rng: Generator) -> list[str]:
    """Random names by their shares."""
    return [str(name) for name in rng.choice(list(shares), count, p=list(shares.values()))]


def blob(centre: Floats, radius: float, rng: Generator, waves: int = 6) -> shapely.Polygon:
    """A roundish polygon with a wavy outline."""
    angle = np.linspace(0, 2 * math.pi, 20 * waves, endpoint=False)
    k = np.arange(2, 2 + waves)[:, None]
    wobble = rng.uniform(0.1, 0.35, k.shape) / k * np.cos(k * angle + rng.uniform(0, 2 * math.pi, k.shape))
    r = radius * (1 + wobble.sum(axis=0))
    return shapely.Polygon(np.column_stack([centre[0] + r * np.cos(angle), centre[1] + r * np.sin(angle)]))


def river(x: float, box: shapely.Polygon, size: Floats, rng: Generator) -> shapely.Polygon:
    """A river that meanders from north to south around `x`."""
    _, south, _, north = box.bounds
    y = np.arange(south - 100, north + 100, 25.0)
    scale, phase = float(min(size / REGION)), rng.uniform(0, 2 * math.pi, 3)
    bend = 270 * np.sin((y - south) / (520 * scale) + phase[0]) + 90 * np.sin((y - south) / (190 * scale) + phase[1])
    middle, half = x + scale * bend, 34 + 8 * np.sin(y / 300 + phase[2])
    banks = [np.column_stack([middle - half, y]), np.column_stack([middle + half, y])[::-1]]
    return shapely.Polygon(np.concatenate(banks)).union(shapely.LineString(np.column_stack([middle, y])).buffer(30))


def region(centre: Floats, size: Floats, mesh: Mesh, rng: Generator) -> tuple[Settlement, shapely.Polygon, Polygons]:
    """One town, one lake with an island, and woods, each in a quarter of the region."""
    scale = float(min(size / REGION))
    quarters = rng.permutation(np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)])) * size / 4 + centre
    node = mesh.nearest(quarters[0])
    town = Settlement(node, blob(mesh.at(node.astype(float)), 540 * scale, rng), 24)
    lake = blob(quarters[1], 400 * scale, rng).difference(blob(quarters[1], 70 * scale, rng))
    large = [blob(quarters[2] + rng.uniform(-0.14, 0.14, 2) * size, 470 * scale, rng, 14) for _ in range(4)]
    small = [blob(centre + rng.uniform(-0.5, 0.5, 2) * size, rng.uniform(90, 260) * scale, rng, 10) for _ in range(8)]
    return town, lake, np.array([*large, *small])


def parcels(mesh: Mesh, box: shapely.Polygon, banks: BaseGeometry, taken: BaseGeometry, rng: Generator) -> Layer:
    """Fields and meadows in strips, clear of the banks, none wholly hidden."""
    strips = mesh.quads(np.concatenate([cut(block, rng) for block in mesh.blocks(box)]))
    shapely.prepare([banks, taken])
    strips = strips[~shapely.covered_by(strips, taken)]
    wet = shapely.intersects(strips, banks)
    pieces = shapely.get_parts(np.concatenate([strips[~wet], shapely.difference(strips[wet], banks)]))
    pieces = pieces[shapely.area(pieces) > 1500]
    return pieces, choose(CROPS, len(pieces), rng)


def cut(block: Integers, rng: Generator) -> Floats:
    """One block in strips, as (u0, v0, u1, v1) boxes."""
    edges = np.concatenate([[0.0], np.cumsum(rng.uniform(0.5, 1.5, rng.integers(3, 8)))])
    edges /= edges[-1]
    ends = np.array([0.0, 1.0] if rng.random() < 0.5 else [0.0, rng.uniform(0.4, 0.6), 1.0])
    a, b = (index.ravel() for index in np.indices((len(edges) - 1, len(ends) - 1)))
    boxes = np.column_stack([edges[a], ends[b], edges[a + 1], ends[b + 1]])
    return (boxes if rng.random() < 0.5 else boxes[:, [1, 0, 3, 2]]) + np.tile(block, 2)


def scatter(mesh: Mesh, box: shapely.Polygon, taken: BaseGeometry, rng: Generator) -> list[Settlement]:
    """Hamlets in corners of blocks where nothing else is."""
    blocks = mesh.blocks(box)
    blocks = blocks[rng.random(len(blocks)) < 0.08]
    outlines = mesh.quads(np.tile(blocks, 2) + np.array([0.01, 0.01, 0.24, 0.18]))
    shapely.prepare(taken)
    free = shapely.disjoint(outlines, taken)
    return [Settlement(block, outline, 4) for block, outline in zip(blocks[free], outlines[free], strict=True)]


def built(mesh: Mesh, settlements: Sequence[Settlement], rng: Generator) -> list[Layer]:
    """The settlements' gardens and the roofs on them."""
    outlines = np.array([settlement.outline for settlement in settlements])
    roofs = np.concatenate([houses(mesh, settlement, rng) for settlement in settlements])
    return [(outlines, ["garden"] * len(outlines)), (roofs, choose(ROOFS, len(roofs), rng))]


def houses(mesh: Mesh, settlement: Settlement, rng: Generator) -> Polygons:
    """Roofs on most lots of a settlement."""
    lots = np.arange(-settlement.reach, settlement.reach) + 0.5
    middles = np.stack(np.meshgrid(lots, lots), axis=-1).reshape(-1, 2) / LOTS + settlement.node
    middles = middles[rng.random(len(middles)) < 0.85]
    half = rng.uniform(0.24, 0.40, middles.shape) / LOTS
    roofs = mesh.quads(np.hstack([middles - half, middles + half]))
    inner = settlement.outline.buffer(-8)
    shapely.prepare(inner)
    return np.asarray(roofs[shapely.covered_by(roofs, inner)])


def roads(mesh: Mesh, towns: Sequence[Settlement], rivers: Polygons, land: BaseGeometry) -> list[Layer]:
    """Streets of the towns, a lane on every third line of the mesh, and a highway each way through every town."""
    main = [{int(town.node[axis]) for town in towns} for axis in (0, 1)]
    east, north = (mesh.lines(axis) for axis in (1, 0))
    dry = shapely.union_all(rivers).buffer(BANK)
    lanes = [line for k, line in enumerate(east) if k % 3 == 0 and k not in main[1]]
    lanes += [line.difference(dry) for k, line in enumerate(north) if k % 3 == 0 and k not in main[0]]
    streets = [line.intersection(town.outline.buffer(-6)) for town in towns for line in street_grid(mesh, town.node)]
    highways = [east[k] for k in sorted(main[1])] + [north[k] for k in sorted(main[0])]
    return [paved(lanes, 11, "lane", land), paved(streets, 11, "street", land), paved(highways, 19, "street", land)]


def street_grid(mesh: Mesh, node: Integers) -> list[shapely.LineString]:
    """Streets every fifth of a block around a node."""
    u, v = node.tolist()
    offsets = np.arange(-7, 8) / 5
    along = [mesh.line((u + k, v - 1.6), (u + k, v + 1.6)) for k in offsets]
    return along + [mesh.line((u - 1.6, v + k), (u + 1.6, v + k)) for k in offsets]


def paved(lines: Sequence[BaseGeometry], width: float, cover: str, land: BaseGeometry) -> Layer:
    """Lines on land as roads of a width in metres, without stubs."""
    pieces = shapely.get_parts(shapely.intersection(np.array(lines), land))
    pieces = pieces[shapely.length(pieces) > 20 * width]
    return shapely.buffer(pieces, width / 2, cap_style="flat", join_style="mitre"), [cover] * len(pieces)


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
