"""The synthetic landscape: overlapping polygons in metres whose reflectance changes with the seasons."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import shapely
from numpy.random import Generator
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from segchips.arrays import Array, Floats, Ints

Polygons = NDArray[np.object_]
Layer = tuple[Polygons, Sequence[str]]

BANDS = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir"}

REGION = np.array([4800.0, 3600.0])  # metres of ground that hold one town, one lake, one river and some woods
BLOCK = 520.0  # metres between farm lanes
LOTS = 15  # house lots along a block
BANK = 35.0

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
    """A land cover: class (0 is unlabelled), spectrum by day of the year, relative texture at 20, 150 and 36 m."""

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


@dataclass(frozen=True)
class Mesh:
    """A distorted grid of farmland blocks.

    `nodes` (n, n, 2) are in metres by row and column; positions (u, v) between them are interpolated bilinearly.
    """

    nodes: Floats

    @classmethod
    def over(cls, box: shapely.Polygon, rng: Generator) -> "Mesh":
        """Returns blocks that cover the box and at least one block around it."""
        west, south, east, north = box.bounds
        count = math.ceil(math.hypot(east - west, north - south) / BLOCK) + 4
        u, v = np.meshgrid(np.arange(count) - (count - 1) / 2, np.arange(count) - (count - 1) / 2)
        waved = np.stack([u + 0.25 * np.sin(0.9 * v), v + 0.25 * np.sin(0.7 * u + 1)], axis=-1)
        jittered = waved + rng.uniform(-0.13, 0.13, waved.shape)
        sine, cosine = math.sin(math.radians(9)), math.cos(math.radians(9))
        rotated = jittered @ np.array([[cosine, -sine], [sine, cosine]])
        return cls(rotated * BLOCK + [(west + east) / 2, (south + north) / 2])

    def at(self, uv: Floats) -> Floats:
        """Returns the positions in metres of (u, v), with any leading shape."""
        low = np.clip(uv.astype(int), 0, len(self.nodes) - 2)
        i, j = low[..., 0], low[..., 1]
        s, t = np.split(uv - low, 2, axis=-1)
        south = self.nodes[j, i] * (1 - s) + self.nodes[j, i + 1] * s
        north = self.nodes[j + 1, i] * (1 - s) + self.nodes[j + 1, i + 1] * s
        return np.asarray(south * (1 - t) + north * t)

    def quads(self, boxes: Floats) -> Polygons:
        """Returns the polygons of (u0, v0, u1, v1) boxes of shape (n, 4)."""
        return np.asarray(shapely.polygons(self.at(boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]])))

    def line(self, start: Sequence[float], stop: Sequence[float]) -> shapely.LineString:
        """Returns the line between two positions (u, v)."""
        return shapely.LineString(self.at(np.linspace(start, stop, 5 * math.ceil(math.dist(start, stop)) + 1)))

    def lines(self, axis: int) -> list[shapely.LineString]:
        """Returns all lines of nodes, from south to north (axis 0) or from west to east (axis 1)."""
        nodes = self.nodes if axis else np.swapaxes(self.nodes, 0, 1)
        return [shapely.LineString(line) for line in nodes]

    def nearest(self, xy: Floats) -> Ints:
        """Returns column and row of the node nearest to a position in metres."""
        row, column = np.unravel_index(np.hypot(*np.moveaxis(self.nodes - xy, -1, 0)).argmin(), self.nodes.shape[:2])
        return np.array([column, row])

    def blocks(self, box: shapely.Polygon) -> Ints:
        """Returns column and row of the blocks that meet the box, (n, 2)."""
        count = len(self.nodes) - 1
        corners = np.array(list(np.ndindex(count, count)))
        return np.asarray(corners[shapely.intersects(self.quads(np.hstack([corners, corners + 1.0])), box)])


class Settlement(NamedTuple):
    """A town or hamlet: its mesh node, its outline, and its extent from the node in lots."""

    node: Ints
    outline: shapely.Polygon
    reach: int


@dataclass(frozen=True)
class Landscape:
    """Polygons in metres in burning order, with land cover, seasonal delay in days, and brightness of each."""

    polygons: Polygons
    covers: Ints
    delay: Floats
    brightness: Floats

    @classmethod
    def of(cls, layers: Sequence[Layer], rng: Generator) -> "Landscape":
        """Stacks layers; later ones cover earlier ones."""
        polygons = np.concatenate([polygons for polygons, _ in layers])
        names = list(COVERS)
        covers = np.array([names.index(cover) for _, covers in layers for cover in covers])
        count = len(polygons)
        return cls(polygons, covers, rng.uniform(-7, 7, count), rng.uniform(0.93, 1.07, count))

    def each(self, attribute: str) -> Array:
        """Returns an attribute of each polygon's land cover."""
        return np.array([getattr(cover, attribute) for cover in COVERS.values()])[self.covers]

    def across(self) -> Floats:
        """Returns unit vectors across each polygon's longer side, (n, 2)."""
        corners = shapely.get_coordinates(shapely.oriented_envelope(self.polygons)).reshape(-1, 5, 2)
        sides = np.diff(corners[:, :3], axis=1)
        lengths = np.hypot(sides[..., 0], sides[..., 1])
        return np.asarray((sides / lengths[..., None])[np.arange(len(sides)), lengths.argmin(axis=1)])

    def reflectance(self, day: int) -> Floats:
        """Returns the reflectance of each polygon on a day of the year, (n, bands)."""
        result = np.empty((len(self.polygons), len(BANDS)))
        for index, cover in enumerate(COVERS.values()):
            members = self.covers == index
            keys = [key.split(" ", 1) for key in cover.year.split(", ")]
            days, spectra = [int(key) for key, _ in keys], np.array([SPECTRA[name] for _, name in keys])
            for band in range(len(BANDS)):
                result[members, band] = np.interp(day - self.delay[members], days, spectra[:, band], period=365)
        return np.asarray(result * self.brightness[:, None], dtype="f4")


def draw_landscape(area: shapely.Polygon, box: shapely.Polygon, rng: Generator) -> Landscape:
    """Draws the landscape in the box, with a town, a lake, a river and woods in each region of the area."""
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
    hamlets = hamlets_on(mesh, box, shapely.union(banks, taken), rng)
    layers = [
        (np.array([box]), ["meadow"]),
        parcels(mesh, box, banks, taken, rng),
        (trees, choose(WOODS, len(trees), rng)),
        *buildings(mesh, [*towns, *hamlets], rng),
        (rivers, ["river"] * len(rivers)),
        (ponds, ["lake"] * len(ponds)),
        *roads(mesh, towns, rivers, box.buffer(50).difference(shapely.union_all(ponds).buffer(15))),
    ]
    return Landscape.of(layers, rng)


def choose(shares: Mapping[str, float], count: int, rng: Generator) -> list[str]:
    """Returns random names by their shares."""
    return [str(name) for name in rng.choice(list(shares), count, p=list(shares.values()))]


def blob(centre: Floats, radius: float, rng: Generator, waves: int = 6) -> shapely.Polygon:
    """Returns a round polygon with a wavy outline."""
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
    strips = mesh.quads(np.concatenate([cut_into_strips(block, rng) for block in mesh.blocks(box)]))
    shapely.prepare([banks, taken])
    strips = strips[~shapely.covered_by(strips, taken)]
    wet = shapely.intersects(strips, banks)
    pieces = shapely.get_parts(np.concatenate([strips[~wet], shapely.difference(strips[wet], banks)]))
    pieces = pieces[shapely.area(pieces) > 1500]
    return pieces, choose(CROPS, len(pieces), rng)


def cut_into_strips(block: Ints, rng: Generator) -> Floats:
    """Cuts a block into strips, as (u0, v0, u1, v1) boxes."""
    edges = np.concatenate([[0.0], np.cumsum(rng.uniform(0.5, 1.5, rng.integers(3, 8)))])
    edges /= edges[-1]
    ends = np.array([0.0, 1.0] if rng.random() < 0.5 else [0.0, rng.uniform(0.4, 0.6), 1.0])
    a, b = (index.ravel() for index in np.indices((len(edges) - 1, len(ends) - 1)))
    boxes = np.column_stack([edges[a], ends[b], edges[a + 1], ends[b + 1]])
    return (boxes if rng.random() < 0.5 else boxes[:, [1, 0, 3, 2]]) + np.tile(block, 2)


def hamlets_on(mesh: Mesh, box: shapely.Polygon, taken: BaseGeometry, rng: Generator) -> list[Settlement]:
    """Hamlets in corners of blocks where nothing else is."""
    blocks = mesh.blocks(box)
    blocks = blocks[rng.random(len(blocks)) < 0.08]
    outlines = mesh.quads(np.tile(blocks, 2) + np.array([0.01, 0.01, 0.24, 0.18]))
    shapely.prepare(taken)
    free = shapely.disjoint(outlines, taken)
    return [Settlement(block, outline, 4) for block, outline in zip(blocks[free], outlines[free], strict=True)]


def buildings(mesh: Mesh, settlements: Sequence[Settlement], rng: Generator) -> list[Layer]:
    """The settlements' gardens and the roofs on them."""
    outlines = np.array([settlement.outline for settlement in settlements])
    roofs = np.concatenate([houses(mesh, settlement, rng) for settlement in settlements])
    return [(outlines, ["garden"] * len(outlines)), (roofs, choose(ROOFS, len(roofs), rng))]


def houses(mesh: Mesh, settlement: Settlement, rng: Generator) -> Polygons:
    """Returns roofs on most lots of a settlement."""
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


def street_grid(mesh: Mesh, node: Ints) -> list[shapely.LineString]:
    """Streets every fifth of a block around a node."""
    u, v = node.tolist()
    offsets = np.arange(-7, 8) / 5
    along = [mesh.line((u + k, v - 1.6), (u + k, v + 1.6)) for k in offsets]
    return along + [mesh.line((u - 1.6, v + k), (u + 1.6, v + k)) for k in offsets]


def paved(lines: Sequence[BaseGeometry], width: float, cover: str, land: BaseGeometry) -> Layer:
    """Returns lines on land as roads of a width in metres, without short ends."""
    pieces = shapely.get_parts(shapely.intersection(np.array(lines), land))
    pieces = pieces[shapely.length(pieces) > 20 * width]
    return shapely.buffer(pieces, width / 2, cap_style="flat", join_style="mitre"), [cover] * len(pieces)
