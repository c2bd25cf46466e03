"""Vector features of a dataset's label layers, found by tile and burned into label pixels."""

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine

from segchips.arrays import Mask
from segchips.config.labels import Coverage, LabelLayer, LabelsConfig
from segchips.files import digest
from segchips.grids.tile import Tile
from segchips.grids.utm import crs_longitudes
from segchips.labels.thinning import thin_geometries
from segchips.labels.values import feature_values
from segchips.vectors.geometry import Geometries, reproject_geometries
from segchips.vectors.layers import read_layer
from segchips.vectors.longitudes import within_globe

LabelPixels = npt.NDArray[np.uint8]
"""Label values of a tile, row x column."""
_WGS84 = pyproj.CRS("EPSG:4326")
_METRES_PER_DEGREE = 111_320
# Features are reprojected up to this many degrees beyond a UTM zone, where the projection is still accurate.
_MAX_DEGREES_BEYOND_ZONE = 10
# A tile's box in a layer's CRS is enlarged by this share of its width, so that curved edges stay inside.
_SEARCH_MARGIN = 0.02


@dataclass(frozen=True)
class FeatureLayer:
    """The features of one layer that are burned, with their label values and a spatial index.

    Attributes:
        crs: The CRS of the geometries.
        name: The layer as messages name it.
        geometries: Polygons, lines and points (n).
        values: The label value of each (n).
    """

    crs: pyproj.CRS
    name: str
    geometries: Geometries
    values: npt.NDArray[np.uint8]

    @cached_property
    def tree(self) -> shapely.STRtree:
        """The spatial index."""
        return shapely.STRtree(self.geometries)

    def digests(self) -> list[str]:
        """A digest of each feature's CRS, geometry and value."""
        # The CRS as the file names it: the WKT that PROJ writes differs among its releases.
        crs, shapes = digest(self.crs.srs), shapely.to_wkb(self.geometries)
        return [digest(crs, wkb, value) for wkb, value in zip(shapes, self.values.tolist(), strict=True)]


class LabelFeatures:
    """The features of a dataset's label layers, indexed in burning order.

    Features are reprojected to a tile's CRS once, when a tile first needs them. Threads may share an instance.

    Args:
        config: The labels block of the dataset's config.

    Attributes:
        config: As given.
        layers: The features of each layer, in burning order.
        notes: Lines about polygons that were repaired and features that were left out.

    Raises:
        InputError: A layer cannot be read, or a feature's value cannot be burned.
    """

    def __init__(self, config: LabelsConfig) -> None:
        self.config = config
        self.notes: list[str] = []
        self.layers = [self._read_layer(layer) for layer in config.layers]
        self._offsets = np.cumsum([0, *(len(layer.geometries) for layer in self.layers)])
        self._geometries_by_crs: dict[str, Geometries] = {}
        self._lock = threading.Lock()
        self._coverage = LabelFeatures(_coverage_as_labels(config.coverage)) if config.coverage else None

    def __len__(self) -> int:
        return int(self._offsets[-1])

    def _read_layer(self, config: LabelLayer) -> FeatureLayer:
        layer = read_layer(config.path, config.layer, config.attribute, config.options)
        self.notes += layer.notes()
        values, burned = feature_values(layer, config, self.config.background, self.config.unknown)
        return FeatureLayer(layer.crs, str(layer), layer.geometries[burned], values[burned])

    def intersecting(self, tiles: Sequence[Tile]) -> list[list[int]]:
        """Find the features that intersect each tile's padded box.

        Args:
            tiles: Tiles of one or several UTM zones.

        Returns:
            For each tile the indices of its features, ascending, which is the burning order.
        """
        matches: list[list[int]] = [[] for _ in tiles]
        positions_by_crs: dict[str, list[int]] = {}
        for position, tile in enumerate(tiles):
            positions_by_crs.setdefault(tile.crs, []).append(position)
        for crs, positions in positions_by_crs.items():
            boxes = shapely.box(*np.array([tiles[position].bounds for position in positions]).T)
            for layer, offset in zip(self.layers, self._offsets, strict=False):
                box_numbers, candidates = layer.tree.query(_search_boxes(boxes, crs, layer))
                hits = shapely.intersects(boxes[box_numbers], self._geometries_in(crs, candidates + offset))
                pairs = zip(box_numbers[hits].tolist(), (candidates[hits] + offset).tolist(), strict=True)
                for box_number, feature in pairs:
                    matches[positions[box_number]].append(feature)
        return [sorted(features) for features in matches]

    def _geometries_in(self, crs: str, features: npt.NDArray[np.intp]) -> Geometries:
        """The features' geometries in a tile's CRS."""
        with self._lock:
            geometries = self._geometries_by_crs.setdefault(crs, np.full(len(self), None, dtype=object))
            missing = np.unique(features[shapely.is_missing(geometries[features])])
            for layer, start, stop in zip(self.layers, self._offsets, self._offsets[1:], strict=False):
                of_layer = missing[(missing >= start) & (missing < stop)]
                if of_layer.size:
                    geometries[of_layer] = _reproject_to_zone(layer.geometries[of_layer - start], layer, crs)
            return geometries[features]

    def burn(self, tile: Tile, features: Sequence[int]) -> LabelPixels:
        """Burn features into the tile's label pixels.

        Args:
            tile: The tile.
            features: The indices of the features to burn, in burning order.

        Returns:
            uint8, row x column, padding included. A later feature's value replaces an earlier one's; the background
            is where no feature lies, the unknown value where a pixel's centre lies outside the coverage.
        """
        pixels = self._rasterize(tile, features, self.config.all_touched)
        covered = self.coverage_mask(tile)
        if covered is not None and self.config.unknown is not None:
            pixels[~covered] = self.config.unknown
        return pixels

    def coverage_mask(self, tile: Tile) -> Mask | None:
        """Which of the tile's pixels have their centre inside the coverage.

        Returns:
            Booleans, row x column, or None where there is no coverage or all pixels are inside.
        """
        if self._coverage is None:
            return None
        (features,) = self._coverage.intersecting([tile])
        areas = self._coverage._geometries_in(tile.crs, np.asarray(features, np.intp))
        shapely.prepare(areas)
        if shapely.contains_properly(areas, shapely.box(*tile.bounds)).any():
            return None
        covered = self._coverage._rasterize(tile, features, all_touched=False) == 1
        return None if covered.all() else covered

    def _rasterize(self, tile: Tile, features: Sequence[int], all_touched: bool) -> LabelPixels:
        shape = (tile.grid.size, tile.grid.size)
        if not features:
            return np.full(shape, self.config.background, np.uint8)
        indices = np.asarray(features, np.intp)
        geometries, values = thin_geometries(self._geometries_in(tile.crs, indices), tile), self._values[indices]
        present = ~shapely.is_empty(geometries)
        geometries, values = geometries[present], values[present]
        if not geometries.size:
            return np.full(shape, self.config.background, np.uint8)
        pixels = np.full(shape, self.config.background, np.uint8)
        for touched, some in _runs(geometries, all_touched):
            rasterize(
                zip(geometries[some], values[some].tolist(), strict=True),
                out=pixels,
                transform=Affine.from_gdal(*tile.geotransform),
                all_touched=touched,
            )
        return pixels

    def count_conflicts(self, tile: Tile, features: Sequence[int]) -> int:
        """Count the tile's pixels whose centre lies in features of different values.

        Burning in ascending and in descending order of values gives the greatest and the least value of each pixel.
        """
        if len(self.distinct_values(features)) < 2:
            return 0
        ascending = sorted(features, key=self._values.__getitem__)
        greatest, least = (self._rasterize(tile, order, all_touched=False) for order in (ascending, ascending[::-1]))
        return int((least != greatest).sum())

    def chip_digest(self, features: Sequence[int], covered: Mask | None) -> str:
        """A digest of all that a label chip's pixels depend on.

        Args:
            features: The indices of the features that are burned, in burning order.
            covered: The tile's `coverage_mask`.
        """
        mask = () if covered is None else (np.packbits(covered).tobytes(), self.config.unknown)
        return digest(self._settings_digest, *mask, *(self._feature_digests[feature] for feature in features))

    def distinct_values(self, features: Sequence[int]) -> list[int]:
        """The distinct label values of the features, ascending."""
        return sorted(set(self._values[list(features)].tolist()))

    @cached_property
    def _values(self) -> npt.NDArray[np.uint8]:
        return np.concatenate([layer.values for layer in self.layers])

    @cached_property
    def _settings_digest(self) -> str:
        return digest(self.config.background, self.config.all_touched)

    @cached_property
    def _feature_digests(self) -> list[str]:
        return [feature_digest for layer in self.layers for feature_digest in layer.digests()]


def _runs(geometries: Geometries, all_touched: bool) -> Iterator[tuple[bool, slice]]:
    """Successive geometries that burn alike: lines and points every pixel that they touch, polygons as configured."""
    touched = all_touched | (shapely.get_dimensions(geometries) < 2)
    limits = [0, *(np.flatnonzero(np.diff(touched)) + 1).tolist(), len(touched)]
    yield from ((bool(touched[start]), slice(start, stop)) for start, stop in itertools.pairwise(limits))


def _coverage_as_labels(coverage: Coverage) -> LabelsConfig:
    """A labels config that burns 1 where a pixel's centre lies inside the coverage, else 0."""
    return LabelsConfig((LabelLayer(coverage.path, coverage.layer, crs=coverage.crs),), background=0, all_touched=False)


def _reproject_to_zone(geometries: Geometries, layer: FeatureLayer, crs: str) -> Geometries:
    """Reproject to the CRS of a UTM zone; wide geometries are clipped to the zone's surroundings first."""
    target = pyproj.CRS(crs)
    bounds = shapely.bounds(geometries)
    limit = _MAX_DEGREES_BEYOND_ZONE * (1 if layer.crs.is_geographic else _METRES_PER_DEGREE)
    wide = np.max(bounds[:, 2:] - bounds[:, :2], axis=1) > limit
    if not wide.any():
        return reproject_geometries(geometries, layer.crs, target, layer.name)
    west, east = crs_longitudes(crs)
    box = shapely.box(west - _MAX_DEGREES_BEYOND_ZONE, -90, east + _MAX_DEGREES_BEYOND_ZONE, 90)
    (surroundings,) = within_globe(np.array([box]))
    lonlat = reproject_geometries(geometries[wide], layer.crs, _WGS84, layer.name)
    reprojected = geometries.copy()
    clipped = shapely.intersection(lonlat, surroundings)
    reprojected[wide] = reproject_geometries(clipped, _WGS84, target, layer.name)
    if not wide.all():
        reprojected[~wide] = reproject_geometries(geometries[~wide], layer.crs, target, layer.name)
    return reprojected


def _search_boxes(boxes: Geometries, crs: str, layer: FeatureLayer) -> Geometries:
    """Boxes in the layer's CRS that enclose the tiles' boxes, with a margin for curved edges."""
    bounds = shapely.bounds(boxes)
    margin = _SEARCH_MARGIN * np.max(bounds[:, 2:] - bounds[:, :2])
    enlarged = shapely.segmentize(shapely.buffer(boxes, margin, join_style="mitre"), max(margin * 10, 1.0))
    reprojected = reproject_geometries(enlarged, pyproj.CRS(crs), layer.crs, f"the grid of {crs}")
    return shapely.box(*shapely.bounds(reprojected).T)
