"""The labels step: the features that touch a tile become one chip on the image's grid."""

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine

from segchips import vectors
from segchips.chips import write_chip
from segchips.code import module_version
from segchips.config import Coverage, LabelLayer, LabelsConfig
from segchips.errors import InputError
from segchips.files import digest, read_parquet, whole
from segchips.grid import Bounds, Tile

# A geometry of more vertices than this is thinned before it is burned.
_LARGE = 256
# Degrees beyond a zone to which features are moved into its CRS, and metres in a degree.
_REACH = 10
_DEGREE = 111_320
WGS84 = pyproj.CRS("EPSG:4326")


@dataclass(frozen=True)
class _Layer:
    """A layer's features with their values, findable by place."""

    crs: pyproj.CRS
    name: str
    geometries: vectors.Geometries
    values: npt.NDArray[np.uint8]

    @cached_property
    def tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.geometries)

    def digests(self) -> list[str]:
        """A digest of each feature's place, shape and value."""
        crs, shapes = digest(self.crs.to_wkt()), shapely.to_wkb(self.geometries)
        return [digest(crs, wkb, value) for wkb, value in zip(shapes, self.values.tolist(), strict=True)]


class Features:
    """All features of a dataset's label layers in burning order; each moves to a tile's CRS once, when first needed."""

    def __init__(self, config: LabelsConfig) -> None:
        self.config = config
        self.notes: list[str] = []
        self._layers = [self._read(layer) for layer in config.layers]
        self._starts = np.cumsum([0, *(len(layer.geometries) for layer in self._layers)])
        self._moved: dict[str, vectors.Geometries] = {}
        self._lock = threading.Lock()
        self._coverage = Features(_as_labels(config.coverage)) if config.coverage else None

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _read(self, layer: LabelLayer) -> _Layer:
        read = vectors.read_layer(layer.path, layer.layer, layer.attribute)
        if read.repaired or read.dropped:
            self.notes.append(
                f"{read}: {read.repaired} invalid polygons repaired, {read.dropped} features without polygon left out"
            )
        values, burned = feature_values(read, layer, self.config.background, self.config.unknown)
        return _Layer(read.crs, str(read), read.geometries[burned], values[burned])

    def touching(self, tiles: Sequence[Tile]) -> list[list[int]]:
        """For each tile the features that meet its padded box, in burning order; tiles may lie in several zones."""
        found: list[list[int]] = [[] for _ in tiles]
        zones: dict[str, list[int]] = {}
        for number, tile in enumerate(tiles):
            zones.setdefault(tile.crs, []).append(number)
        for crs, members in zones.items():
            boxes = shapely.box(*np.array([tiles[number].bounds for number in members]).T)
            for layer, start in zip(self._layers, self._starts, strict=False):
                which, features = layer.tree.query(_around(boxes, crs, layer))
                hits = shapely.intersects(boxes[which], self._in(crs, features + start))
                for number, feature in zip(which[hits].tolist(), (features[hits] + start).tolist(), strict=True):
                    found[members[number]].append(feature)
        return [sorted(features) for features in found]

    def _in(self, crs: str, features: npt.NDArray[np.intp]) -> vectors.Geometries:
        """The features' geometries in a tile's CRS."""
        with self._lock:
            moved = self._moved.setdefault(crs, np.full(len(self), None, dtype=object))
            missing = np.unique(features[shapely.is_missing(moved[features])])
            for layer, start, stop in zip(self._layers, self._starts, self._starts[1:], strict=False):
                here = missing[(missing >= start) & (missing < stop)]
                if here.size:
                    moved[here] = _in_zone(layer.geometries[here - start], layer, crs)
            return moved[features]

    def burn(self, tile: Tile, features: Sequence[int]) -> npt.NDArray[np.uint8]:
        """The tile's label pixels (row, column): each feature's value over the earlier ones', background elsewhere.

        Pixels whose middle lies outside the coverage are unknown.
        """
        pixels = self._burned(tile, features, self.config.all_touched)
        known = self.known(tile)
        if known is not None and self.config.unknown is not None:
            pixels[~known] = self.config.unknown
        return pixels

    def known(self, tile: Tile) -> npt.NDArray[np.bool_] | None:
        """The tile's pixels (row, column) whose middle the coverage holds; None where that is all of them."""
        if self._coverage is None:
            return None
        (touching,) = self._coverage.touching([tile])
        areas = self._coverage._in(tile.crs, np.asarray(touching, np.intp))
        shapely.prepare(areas)
        if shapely.contains_properly(areas, shapely.box(*tile.bounds)).any():
            return None
        known = self._coverage._burned(tile, touching, all_touched=False) == 1
        return None if known.all() else known

    def _burned(self, tile: Tile, features: Sequence[int], all_touched: bool) -> npt.NDArray[np.uint8]:
        shape = (tile.grid.size, tile.grid.size)
        if not features:
            return np.full(shape, self.config.background, np.uint8)
        order = np.asarray(features, np.intp)
        geometries, values = _thinned(self._in(tile.crs, order), tile), self._values[order]
        pairs = [
            (geometry, value)
            for geometry, value in zip(geometries, values.tolist(), strict=True)
            if not geometry.is_empty
        ]
        if not pairs:
            return np.full(shape, self.config.background, np.uint8)
        return rasterize(
            pairs,
            out_shape=shape,
            transform=Affine.from_gdal(*tile.geotransform),
            fill=self.config.background,
            all_touched=all_touched,
            dtype=np.uint8,
        )

    def conflicts(self, tile: Tile, features: Sequence[int]) -> int:
        """How many of the tile's pixels have their middle in features of different values."""
        if len(self.values(features)) < 2:
            return 0
        rising = sorted(features, key=self._values.__getitem__)
        greatest, least = (self._burned(tile, order, all_touched=False) for order in (rising, rising[::-1]))
        return int((least != greatest).sum())

    def digest(self, features: Sequence[int], known: npt.NDArray[np.bool_] | None = None) -> str:
        """Changes exactly when one of the features, their order, how they are burned, or the known pixels do."""
        mask = () if known is None else (np.packbits(known).tobytes(), self.config.unknown)
        return digest(self._common, *mask, *(self._digests[feature] for feature in features))

    def values(self, features: Sequence[int]) -> list[int]:
        """The distinct values of the features."""
        return sorted(set(self._values[list(features)].tolist()))

    @cached_property
    def _values(self) -> npt.NDArray[np.uint8]:
        return np.concatenate([layer.values for layer in self._layers])

    @cached_property
    def _common(self) -> str:
        return digest(module_version("labels"), self.config.background, self.config.all_touched)

    @cached_property
    def _digests(self) -> list[str]:
        return [item for layer in self._layers for item in layer.digests()]


def _as_labels(coverage: Coverage) -> LabelsConfig:
    """A coverage as labels that are 1 where a pixel's middle lies inside, else 0."""
    return LabelsConfig((LabelLayer(coverage.path, coverage.layer, None, 1, None),), background=0, all_touched=False)


def _in_zone(geometries: vectors.Geometries, layer: _Layer, crs: str) -> vectors.Geometries:
    """The geometries in a tile's CRS; of those that reach far beyond its zone, where UTM ends, the near part."""
    target = pyproj.CRS(crs)
    bounds = shapely.bounds(geometries)
    wide = np.max(bounds[:, 2:] - bounds[:, :2], axis=1) > (_REACH if layer.crs.is_geographic else _REACH * _DEGREE)
    if not wide.any():
        return vectors.transform(geometries, layer.crs, target, layer.name)
    west = 6 * (int(crs[-2:]) - 31)
    near = shapely.box(west - _REACH, -90, west + 6 + _REACH, 90)
    lonlat = vectors.transform(geometries[wide], layer.crs, WGS84, layer.name)
    moved = geometries.copy()
    moved[wide] = vectors.transform(shapely.intersection(lonlat, near), WGS84, target, layer.name)
    if not wide.all():
        moved[~wide] = vectors.transform(geometries[~wide], layer.crs, target, layer.name)
    return moved


def _around(boxes: vectors.Geometries, crs: str, layer: _Layer) -> vectors.Geometries:
    """Boxes in the layer's CRS that hold the tiles' boxes with room to spare."""
    edge = shapely.bounds(boxes)
    reach = 0.02 * np.max(edge[:, 2:] - edge[:, :2])
    wide = shapely.segmentize(shapely.buffer(boxes, reach, join_style="mitre"), max(reach * 10, 1.0))
    moved = vectors.transform(wide, pyproj.CRS(crs), layer.crs, f"the grid of {crs}")
    return shapely.box(*shapely.bounds(moved).T)


def _thinned(geometries: vectors.Geometries, tile: Tile) -> vectors.Geometries:
    """Large geometries without most of the vertices off the tile; they burn the same pixels, to the last digit."""
    large = shapely.get_num_coordinates(geometries) > _LARGE
    if large.any():
        west, south, east, north = tile.bounds
        step = tile.grid.resolution
        box = west - step, south - step, east + step, north + step
        geometries = geometries.copy()
        geometries[large] = [_thin(geometry, box) for geometry in geometries[large]]
    return geometries


def _thin(geometry: Any, box: Bounds) -> Any:
    west, south, east, north = box
    polygons = []
    for part in shapely.get_parts(geometry):
        rings = shapely.get_rings(part)
        left, low, right, high = shapely.bounds(rings).T
        near = (left <= east) & (right >= west) & (low <= north) & (high >= south)
        if near[:1].any():
            shell, *holes = (_thin_ring(ring, box) for ring in rings[near])
            polygons.append(shapely.Polygon(shell, holes))
    return shapely.MultiPolygon(polygons)


def _thin_ring(ring: Any, box: Bounds) -> npt.NDArray[np.float64]:
    """The vertices of a ring but those that lie, with both neighbours, beyond one side of the box.

    So every edge that meets the box stays, and so does the corner by which GDAL tells the ring's direction.
    """
    points = shapely.get_coordinates(ring)[:-1]
    (x, y), (west, south, east, north) = points.T, box
    side = np.select([x < west, x > east, y < south, y > north], [1, 2, 3, 4])
    stay = (side == 0) | (side != np.roll(side, 1)) | (side != np.roll(side, -1))
    lowest = np.flatnonzero(y == y.min())
    corner = lowest[np.argmax(x[lowest])]
    stay[[corner - 1, corner, (corner + 1) % len(points)]] = True
    return points[stay]


def feature_values(
    read: vectors.Layer, layer: LabelLayer, background: int, unknown: int | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Each feature's value and whether it is burned; InputError names features whose value cannot be."""
    count = len(read.geometries)
    if read.values is None or layer.attribute is None:
        return np.full(count, layer.value, np.uint8), np.ones(count, bool)
    where = f"attribute '{layer.attribute}' of {read}"
    missing = np.array([_is_missing(value) for value in read.values.tolist()], bool)
    if missing.any() and "" not in (layer.classes or {}):
        advice = "give them one, remove them, or map '' in labels.classes, to null to leave them out"
        raise InputError(f"{where}: {_named(read, missing)} no value; {advice}")
    if layer.classes is not None:
        return _mapped(read, layer.classes, where)
    try:
        numbers = np.asarray(read.values, dtype=np.float64)
        if read.values.dtype.kind not in "iufb":
            raise ValueError
    except (TypeError, ValueError):
        texts = sorted({str(value) for value in read.values.tolist()})
        example = ", ".join(f"{text or repr(text)}: {number}" for number, text in enumerate(texts[:3], 1))
        raise InputError(f"{where} holds text; map it to numbers with labels.classes, such as {{{example}}}") from None
    wrong = (numbers != np.floor(numbers)) | (numbers < 0) | (numbers > 255)
    if wrong.any():
        raise InputError(
            f"{where}: {_named(read, wrong)} a value that is no whole number from 0 to 255; map it with labels.classes"
        )
    for name, reserved in (("background", background), ("unknown", unknown)):
        same = numbers == reserved
        if same.any():
            raise InputError(
                f"{where}: {_named(read, same)} the value of the {name}; "
                f"choose another labels.{name}, or map it with labels.classes"
            )
    return numbers.astype(np.uint8), np.ones(count, bool)


def _mapped(
    read: vectors.Layer, classes: Mapping[str, int | None], where: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    texts = np.array([_text(value) for value in np.asarray(read.values).tolist()], dtype=object)
    unknown = np.array([text not in classes for text in texts], bool)
    if unknown.any():
        raise InputError(
            f"{where}: {_named(read, unknown)} a value that labels.classes does not map; "
            "add it, or map it to null to leave it out"
        )
    chosen = [classes[text] for text in texts]
    return np.array([value or 0 for value in chosen], np.uint8), np.array([value is not None for value in chosen], bool)


def _is_missing(value: Any) -> bool:
    return value is None or value != value


def _text(value: Any) -> str:
    if _is_missing(value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _named(read: vectors.Layer, chosen: npt.NDArray[np.bool_]) -> str:
    """Such as `3 features have (FID 4: '300', 9: '301', ...)`."""
    values = np.asarray(read.values)[chosen].tolist()
    shown = [f"{fid}: {str(value)!r}" for fid, value in zip(read.fids[chosen].tolist(), values, strict=True)]
    listed = ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")
    return f"{len(shown)} feature{'s have' if len(shown) > 1 else ' has'} (FID {listed})"


@dataclass(frozen=True)
class LabelLock:
    """For each tile the features that touch it, in burning order, and a digest of all its chip shows.

    `values` are those of the features, `known` counts the pixels inside the coverage.
    """

    digests: Mapping[str, str]
    features: Mapping[str, Sequence[int]]
    values: Mapping[str, Sequence[int]]
    known: Mapping[str, int]


def lock_labels(features: Features, tiles: Sequence[Tile]) -> LabelLock:
    """Work out which features each tile's chip depends on."""
    touching = {tile.key: found for tile, found in zip(tiles, features.touching(tiles), strict=True)}
    digests, known = {}, {}
    for tile in tiles:
        mask = features.known(tile)
        digests[tile.key] = features.digest(touching[tile.key], mask)
        known[tile.key] = tile.grid.size**2 if mask is None else int(mask.sum())
    values = {key: features.values(found) for key, found in touching.items()}
    return LabelLock(digests, touching, values, known)


def write_label_lock(path: Path, lock: LabelLock) -> None:
    """Write the lock as Parquet: tile, digest, features, values, known."""
    table = pa.table(
        {
            "tile": pa.array(list(lock.digests), pa.string()),
            "digest": pa.array(list(lock.digests.values()), pa.string()),
            "features": pa.array([lock.features[key] for key in lock.digests], pa.list_(pa.int32())),
            "values": pa.array([lock.values[key] for key in lock.digests], pa.list_(pa.uint8())),
            "known": pa.array([lock.known[key] for key in lock.digests], pa.int32()),
        }
    )
    with whole(path) as part:
        pq.write_table(table, part, compression="zstd")


def read_label_lock(path: Path) -> LabelLock:
    """Read what `write_label_lock` wrote."""
    columns = read_parquet(path).to_pydict()
    return LabelLock(
        dict(zip(columns["tile"], columns["digest"], strict=True)),
        dict(zip(columns["tile"], columns["features"], strict=True)),
        dict(zip(columns["tile"], columns["values"], strict=True)),
        dict(zip(columns["tile"], columns["known"], strict=True)),
    )


def is_own(folder: Path) -> bool:
    """Whether a dataset's folder of label chips holds chips of its own, and is no link to those of another dataset."""
    return folder.is_dir() and not folder.is_symlink()


def share_labels(folder: Path, owner: Path) -> None:
    """Let a dataset's folder of label chips be a link to that of another, or no longer be one where both are one."""
    if folder.is_symlink():
        folder.unlink()
    if folder != owner:
        folder.symlink_to(os.path.relpath(owner, folder.parent), target_is_directory=True)


def make_label(features: Features, tile: Tile, touching: Sequence[int], path: Path) -> None:
    """Burn the features that touch the tile into the chip at `path`: uint8, background as nodata."""
    pixels = features.burn(tile, touching)
    write_chip(path, pixels[None], tile, ["label"], features.config.background, {})
