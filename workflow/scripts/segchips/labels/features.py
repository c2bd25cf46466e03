"""The labels step: the features that touch a tile become one chip on the image's grid."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine

from segchips.arrays import Mask
from segchips.config.model import Coverage, LabelLayer, LabelsConfig
from segchips.files import digest
from segchips.grids.tile import Tile
from segchips.labels.thinning import thin_geometries
from segchips.labels.values import feature_values
from segchips.vectors.geometry import Geometries, reproject_geometries
from segchips.vectors.layers import read_layer

# Degrees beyond a zone to which features are moved into its CRS, and metres in a degree.
_REACH = 10
_DEGREE = 111_320
WGS84 = pyproj.CRS("EPSG:4326")


@dataclass(frozen=True)
class _Layer:
    """A layer's features with their values, findable by place."""

    crs: pyproj.CRS
    name: str
    geometries: Geometries
    values: npt.NDArray[np.uint8]

    @cached_property
    def tree(self) -> shapely.STRtree:
        return shapely.STRtree(self.geometries)

    def digests(self) -> list[str]:
        """A digest of each feature's place, shape and value."""
        crs, shapes = digest(self.crs.to_wkt()), shapely.to_wkb(self.geometries)
        return [digest(crs, wkb, value) for wkb, value in zip(shapes, self.values.tolist(), strict=True)]


class LabelFeatures:
    """All features of a dataset's label layers in burning order; each moves to a tile's CRS once, when first needed."""

    def __init__(self, config: LabelsConfig) -> None:
        self.config = config
        self.notes: list[str] = []
        self._layers = [self._read(layer) for layer in config.layers]
        self._starts = np.cumsum([0, *(len(layer.geometries) for layer in self._layers)])
        self._moved: dict[str, Geometries] = {}
        self._lock = threading.Lock()
        self._coverage = LabelFeatures(_as_labels(config.coverage)) if config.coverage else None

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _read(self, layer: LabelLayer) -> _Layer:
        read = read_layer(layer.path, layer.layer, layer.attribute)
        if read.repaired or read.dropped:
            self.notes.append(
                f"{read}: {read.repaired} invalid polygons repaired, {read.dropped} features without polygon left out"
            )
        values, burned = feature_values(read, layer, self.config.background, self.config.unknown)
        return _Layer(read.crs, str(read), read.geometries[burned], values[burned])

    def intersecting(self, tiles: Sequence[Tile]) -> list[list[int]]:
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

    def _in(self, crs: str, features: npt.NDArray[np.intp]) -> Geometries:
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
        known = self.coverage_mask(tile)
        if known is not None and self.config.unknown is not None:
            pixels[~known] = self.config.unknown
        return pixels

    def coverage_mask(self, tile: Tile) -> Mask | None:
        """The tile's pixels (row, column) whose middle the coverage holds; None where that is all of them."""
        if self._coverage is None:
            return None
        (touching,) = self._coverage.intersecting([tile])
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
        geometries, values = thin_geometries(self._in(tile.crs, order), tile), self._values[order]
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

    def count_conflicts(self, tile: Tile, features: Sequence[int]) -> int:
        """How many of the tile's pixels have their middle in features of different values."""
        if len(self.distinct_values(features)) < 2:
            return 0
        rising = sorted(features, key=self._values.__getitem__)
        greatest, least = (self._burned(tile, order, all_touched=False) for order in (rising, rising[::-1]))
        return int((least != greatest).sum())

    def chip_digest(self, features: Sequence[int], known: Mask | None = None) -> str:
        """Changes exactly when one of the features, their order, how they are burned, or the known pixels do."""
        mask = () if known is None else (np.packbits(known).tobytes(), self.config.unknown)
        return digest(self._common, *mask, *(self._digests[feature] for feature in features))

    def distinct_values(self, features: Sequence[int]) -> list[int]:
        """The distinct values of the features."""
        return sorted(set(self._values[list(features)].tolist()))

    @cached_property
    def _values(self) -> npt.NDArray[np.uint8]:
        return np.concatenate([layer.values for layer in self._layers])

    @cached_property
    def _common(self) -> str:
        return digest(self.config.background, self.config.all_touched)

    @cached_property
    def _digests(self) -> list[str]:
        return [item for layer in self._layers for item in layer.digests()]


def _as_labels(coverage: Coverage) -> LabelsConfig:
    """A coverage as labels that are 1 where a pixel's middle lies inside, else 0."""
    return LabelsConfig((LabelLayer(coverage.path, coverage.layer, None, 1, None),), background=0, all_touched=False)


def _in_zone(geometries: Geometries, layer: _Layer, crs: str) -> Geometries:
    """The geometries in a tile's CRS; of those that reach far beyond its zone, where UTM ends, the near part."""
    target = pyproj.CRS(crs)
    bounds = shapely.bounds(geometries)
    wide = np.max(bounds[:, 2:] - bounds[:, :2], axis=1) > (_REACH if layer.crs.is_geographic else _REACH * _DEGREE)
    if not wide.any():
        return reproject_geometries(geometries, layer.crs, target, layer.name)
    west = 6 * (int(crs[-2:]) - 31)
    near = shapely.box(west - _REACH, -90, west + 6 + _REACH, 90)
    lonlat = reproject_geometries(geometries[wide], layer.crs, WGS84, layer.name)
    moved = geometries.copy()
    moved[wide] = reproject_geometries(shapely.intersection(lonlat, near), WGS84, target, layer.name)
    if not wide.all():
        moved[~wide] = reproject_geometries(geometries[~wide], layer.crs, target, layer.name)
    return moved


def _around(boxes: Geometries, crs: str, layer: _Layer) -> Geometries:
    """Boxes in the layer's CRS that hold the tiles' boxes with room to spare."""
    edge = shapely.bounds(boxes)
    reach = 0.02 * np.max(edge[:, 2:] - edge[:, :2])
    wide = shapely.segmentize(shapely.buffer(boxes, reach, join_style="mitre"), max(reach * 10, 1.0))
    moved = reproject_geometries(wide, pyproj.CRS(crs), layer.crs, f"the grid of {crs}")
    return shapely.box(*shapely.bounds(moved).T)
