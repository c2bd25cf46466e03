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

from segchips.arrays import Array, Ints, Mask
from segchips.config.labels import Coverage, LabelLayer, LabelsConfig
from segchips.errors import InputError
from segchips.files import digest
from segchips.grids.geometries import boxes_in_layer, to_tile_crs
from segchips.grids.indices import padded_bounds
from segchips.grids.tile import Tile
from segchips.grids.tile_array import TileArray
from segchips.labels.boundaries import MARGIN, find_boundaries
from segchips.labels.geojson import as_geojson
from segchips.labels.raster_layer import RasterLayer, RasterPixels, check_raster_keys
from segchips.labels.thinning import thin_geometries
from segchips.labels.values import feature_measurements, feature_values
from segchips.tiles.label_rasters import raster_files
from segchips.vectors.geometry import Geometries
from segchips.vectors.layers import read_layer

LabelPixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint32] | npt.NDArray[np.float32]
"""Label values of a tile, row x column: classes as uint8, or measurements as float32."""


@dataclass(frozen=True)
class TileLabels:
    """What the label chip of a tile depends on, and what it holds.

    Attributes:
        digest: A digest of features, pixels of rasters, coverage, and how they are burned.
        values: The distinct classes that its features and rasters have, ascending; empty for measurements.
        known: How many of its pixels have a known label.
    """

    digest: str
    values: list[int]
    known: int


@dataclass(frozen=True)
class FeatureLayer:
    """The features of one layer that are burned, with their label values and a spatial index.

    Attributes:
        crs: The CRS of the geometries.
        name: The layer as messages name it.
        geometries: Polygons, lines and points (n).
        values: The label value of each (n): uint8, or float32 for measurements.
        fids: The id of each in its file (n).
    """

    crs: pyproj.CRS
    name: str
    geometries: Geometries
    values: LabelPixels
    fids: Ints

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
        layers: The features of each vector layer, in burning order.
        rasters: The layers of rasters, in burning order.
        has_rasters: Whether there are any.
        notes: Lines about polygons that were repaired and features that were left out.

    Raises:
        InputError: A layer cannot be read, or a feature's value cannot be burned.
    """

    def __init__(self, config: LabelsConfig) -> None:
        self.config = config
        self.notes: list[str] = []
        self._continuous = config.kind == "continuous"
        self._parts = [self._read_layer(layer) for layer in config.layers]
        self.layers = [part for part in self._parts if isinstance(part, FeatureLayer)]
        self.rasters = [part for part in self._parts if isinstance(part, RasterLayer)]
        self.has_rasters = bool(self.rasters)
        self._offsets = np.cumsum([0, *(len(layer.geometries) for layer in self.layers)])
        self._geometries_by_crs: dict[str, Geometries] = {}
        self._lock = threading.Lock()
        self._coverage = LabelFeatures(_coverage_as_labels(config.coverage)) if config.coverage else None

    def __len__(self) -> int:
        return int(self._offsets[-1])

    def _read_layer(self, config: LabelLayer) -> FeatureLayer | RasterLayer:
        if raster_files(config.path, config.asset):
            check_raster_keys(config)
            if self.config.kind == "instances":
                raise InputError(
                    f"'{config.path}' is a raster, and objects (labels.kind 'instances') come from features"
                )
            if self.config.boundary is not None:
                raise InputError(
                    f"'{config.path}' is a raster, and labels.boundary is for features; remove one of them"
                )
            return RasterLayer(config, self._continuous, self.config.background)
        layer = read_layer(config.path, config.layer, config.attribute, config.options)
        self.notes += layer.notes()
        values: LabelPixels
        if self._continuous:
            values, burned = feature_measurements(layer, config)
        else:
            names = ("background", "unknown", "boundary") if self.config.kind == "classes" else ()
            reserved = {name: getattr(self.config, name) for name in names}
            values, burned = feature_values(layer, config, reserved)
        return FeatureLayer(layer.crs, str(layer), layer.geometries[burned], values[burned], layer.fids[burned])

    def intersecting(self, tiles: Sequence[Tile]) -> list[list[int]]:
        """Find the features that intersect each tile's padded box.

        Args:
            tiles: Tiles of one grid, in one or several CRSs.

        Returns:
            For each tile the indices of its features, ascending, which is the burning order.
        """
        if not len(tiles):
            return []
        array, pairs = TileArray.of(tiles), [np.empty((2, 0), np.int64)]
        for zone in np.unique(array.indices[:, 0]).tolist():
            crs, positions = array.grid.crs(zone), np.flatnonzero(array.indices[:, 0] == zone)
            boxes = shapely.box(*padded_bounds(array.indices[positions], array.grid).T)
            for layer, offset in zip(self.layers, self._offsets, strict=False):
                box_numbers, candidates = layer.tree.query(boxes_in_layer(boxes, crs, layer.crs))
                hits = shapely.intersects(boxes[box_numbers], self.geometries_in(crs, candidates + offset))
                pairs.append(np.stack([positions[box_numbers[hits]], candidates[hits] + offset]))
        found, features = np.concatenate(pairs, axis=1)
        of_all = features[np.lexsort((features, found))].tolist()
        stops = np.cumsum(np.bincount(found, minlength=len(tiles))).tolist()
        return [of_all[start:stop] for start, stop in itertools.pairwise([0, *stops])]

    def geometries_in(self, crs: str, features: npt.NDArray[np.intp]) -> Geometries:
        """The geometries of features, by their indices (n), in a tile's CRS."""
        with self._lock:
            geometries = self._geometries_by_crs.setdefault(crs, np.full(len(self), None, dtype=object))
            missing = np.unique(features[shapely.is_missing(geometries[features])])
            for layer, start, stop in zip(self.layers, self._offsets, self._offsets[1:], strict=False):
                of_layer = missing[(missing >= start) & (missing < stop)]
                if of_layer.size:
                    geometries[of_layer] = to_tile_crs(layer.geometries[of_layer - start], layer.crs, crs, layer.name)
            return geometries[features]

    def burn(self, tile: Tile, features: Sequence[int]) -> LabelPixels:
        """Burn features into the tile's label pixels.

        Args:
            tile: The tile.
            features: The indices of the features to burn, in burning order.

        Returns:
            uint8 or float32, row x column, padding included. A later feature or raster replaces an earlier one; the
            background is where none is, the unknown value where a raster has no data and nothing else lies, and where
            a pixel's centre lies outside the coverage.
        """
        return self._burn(tile, features, self._read_rasters(tile), self.coverage_mask(tile))[0]

    def describe(self, tile: Tile, features: Sequence[int]) -> TileLabels:
        """Describe the label chip of a tile.

        Args:
            tile: The tile.
            features: The indices of the features that are burned, in burning order.

        Raises:
            InputError: A raster cannot be read, or holds a value that is no class.
        """
        covered, rasters = self.coverage_mask(tile), self._read_rasters(tile)
        mask = () if covered is None else (np.packbits(covered).tobytes(), self.config.unknown)
        pixels = [
            part.tobytes()
            for raster in rasters
            for part in (_burned_values(raster), np.packbits([raster.valid, raster.burned]))
        ]
        found = digest(self._settings_digest, *mask, *pixels, *(self._feature_digests[feature] for feature in features))
        classes = set() if self._continuous else set(self.distinct_values(features))
        if rasters or self._continuous or self.config.unknown in classes:
            known_pixels = int(self._burn(tile, features, rasters, covered)[1].sum())
        else:
            known_pixels = tile.grid.size**2 if covered is None else int(covered.sum())
        for raster in rasters if not self._continuous else ():
            classes |= set(np.unique(raster.values[raster.burned]).tolist())
        if self.config.kind == "classes":
            classes -= {self.config.background, self.config.unknown}
        return TileLabels(found, sorted(classes), known_pixels)

    @cached_property
    def follow_from_features(self) -> bool:
        """Whether what `describe` says of a tile depends on its features alone, not on where it lies."""
        has_unknown = self.config.unknown is not None and bool((self.label_values == self.config.unknown).any())
        return not (self.rasters or self._coverage or self._continuous or has_unknown)

    def _read_rasters(self, tile: Tile) -> list[RasterPixels]:
        return [raster.read(tile) for raster in self.rasters]

    def _burn(
        self, tile: Tile, features: Sequence[int], rasters: Sequence[RasterPixels], covered: Mask | None
    ) -> tuple[LabelPixels, Mask]:
        """The tile's label pixels, and which of them are known."""
        if not self.has_rasters:
            pixels = self._rasterize(tile, features, self.config.all_touched)
            known = np.ones(pixels.shape, bool)
        else:
            pixels, known = self._burn_parts(tile, features, rasters)
        if self._continuous:
            known &= ~np.isnan(pixels)
        elif self.config.unknown is not None:
            known &= pixels != self.config.unknown
        if self.config.boundary is not None and features:
            pixels[self._boundaries(tile, features)] = self.config.boundary
        if covered is not None:
            known &= covered
        unknown = np.nan if self._continuous else self.config.unknown
        if unknown is not None and not known.all():
            np.copyto(pixels, unknown, where=~known)
        return pixels, known

    def _boundaries(self, tile: Tile, features: Sequence[int]) -> Mask:
        """Which pixels lie along the edges of features; those of the background's value have none."""
        side = tile.grid.size + 2 * MARGIN
        numbers = np.arange(1, len(features) + 1, dtype=np.uint32)
        numbers[self.label_values[list(features)] == self.config.background] = 0
        objects = np.zeros((side, side), np.uint32)
        burned = self._rasterize(tile, features, self.config.all_touched, objects, numbers, MARGIN)
        return find_boundaries(np.asarray(burned, np.uint32))

    def _burn_parts(
        self, tile: Tile, features: Sequence[int], rasters: Sequence[RasterPixels]
    ) -> tuple[LabelPixels, Mask]:
        """Burn rasters and features in the order of their layers."""
        pixels, remaining, number = self._empty(tile), list(rasters), 0
        known = np.zeros(pixels.shape, bool)
        for part in self._parts:
            if isinstance(part, RasterLayer):
                raster = remaining.pop(0)
                if raster.burned.all():
                    pixels = raster.values.copy()
                else:
                    np.copyto(pixels, raster.values, where=raster.burned)
                known |= raster.valid
                continue
            start, stop = self._offsets[number : number + 2]
            number += 1
            some = [feature for feature in features if start <= feature < stop]
            touched = np.zeros(pixels.shape, np.uint8)
            self._rasterize(tile, some, self.config.all_touched, pixels)
            known |= self._rasterize(tile, some, self.config.all_touched, touched, np.ones(len(some), np.uint8)) == 1
        return pixels, known

    def burn_order(self, tile: Tile, features: Sequence[int]) -> npt.NDArray[np.uint32]:
        """Burn the place of each feature in the burning order, from 1; 0 where there is none."""
        places = np.arange(1, len(features) + 1, dtype=np.uint32)
        empty = np.zeros((tile.grid.size, tile.grid.size), np.uint32)
        return np.asarray(self._rasterize(tile, features, self.config.all_touched, empty, places), np.uint32)

    def identify(self, feature: int) -> tuple[int, int, int]:
        """Return the layer of a feature, from 0, its id there, and its class."""
        number = int(np.searchsorted(self._offsets, feature, side="right")) - 1
        layer, place = self.layers[number], feature - int(self._offsets[number])
        return number, int(layer.fids[place]), int(layer.values[place])

    def coverage_mask(self, tile: Tile) -> Mask | None:
        """Which of the tile's pixels have their centre inside the coverage.

        Returns:
            Booleans, row x column, or None where there is no coverage or all pixels are inside.
        """
        if self._coverage is None:
            return None
        (features,) = self._coverage.intersecting([tile])
        areas = self._coverage.geometries_in(tile.crs, np.asarray(features, np.intp))
        shapely.prepare(areas)
        if shapely.contains_properly(areas, shapely.box(*tile.bounds)).any():
            return None
        covered = self._coverage._rasterize(tile, features, all_touched=False) == 1
        return None if covered.all() else covered

    def _empty(self, tile: Tile) -> LabelPixels:
        background = np.nan if self.config.background is None else self.config.background
        return np.full((tile.grid.size, tile.grid.size), background, self.config.dtype)

    def _rasterize(
        self,
        tile: Tile,
        features: Sequence[int],
        all_touched: bool,
        pixels: LabelPixels | None = None,
        values: Array | None = None,
        margin: int = 0,
    ) -> LabelPixels:
        """Burn features over pixels, in place: their own values, or others. Without pixels, over the background.

        The pixels may have a margin of so many around the tile's.
        """
        pixels = self._empty(tile) if pixels is None else pixels
        if not features:
            return pixels
        indices = np.asarray(features, np.intp)
        geometries, values = (
            thin_geometries(self.geometries_in(tile.crs, indices), tile),
            self.label_values[indices] if values is None else values,
        )
        present = ~shapely.is_empty(geometries)
        geometries, values = geometries[present], values[present]
        for touched, some in _runs(geometries, all_touched):
            rasterize(
                zip(as_geojson(geometries[some]), values[some].tolist(), strict=True),
                out=pixels,
                transform=Affine.from_gdal(*tile.geotransform) @ Affine.translation(-margin, -margin),
                all_touched=touched,
            )
        return pixels

    def count_conflicts(self, tile: Tile, features: Sequence[int]) -> int:
        """Count the tile's pixels whose centre lies in features of different values.

        Burning in ascending and in descending order of values gives the greatest and the least value of each pixel.
        Measurements have no conflicts, and pixels of rasters none with features.
        """
        if self._continuous or len(self.distinct_values(features)) < 2:
            return 0
        ascending = sorted(features, key=self.label_values.__getitem__)
        greatest, least = (self._rasterize(tile, order, all_touched=False) for order in (ascending, ascending[::-1]))
        return int((least != greatest).sum())

    def distinct_values(self, features: Sequence[int]) -> list[int]:
        """The distinct label values of the features, ascending."""
        return sorted(set(self.label_values[list(features)].tolist()))

    @cached_property
    def label_values(self) -> LabelPixels:
        """The label value of each feature (n): uint8, or float32 for measurements."""
        return np.concatenate([np.zeros(0, self.config.dtype), *(layer.values for layer in self.layers)])

    @cached_property
    def _settings_digest(self) -> str:
        kind = () if self.config.kind == "classes" else (self.config.kind,)
        order = [isinstance(part, RasterLayer) for part in self._parts] if self.has_rasters else []
        unknown = [self.config.unknown] if self.has_rasters and self.config.unknown is not None else []
        boundary = [] if self.config.boundary is None else [("boundary", self.config.boundary)]
        return digest(self.config.background, self.config.all_touched, *kind, *order, *unknown, *boundary)

    @cached_property
    def _feature_digests(self) -> list[str]:
        digests = [feature_digest for layer in self.layers for feature_digest in layer.digests()]
        if self.config.kind != "instances":
            return digests
        ids = [(number, fid) for number, layer in enumerate(self.layers) for fid in layer.fids.tolist()]
        return [digest(of_shape, *of_id) for of_shape, of_id in zip(digests, ids, strict=True)]


def _burned_values(raster: RasterPixels) -> Array:
    """The values of a raster, 0 where it burns none."""
    return raster.values if raster.burned.all() else np.where(raster.burned, raster.values, 0)


def _runs(geometries: Geometries, all_touched: bool) -> Iterator[tuple[bool, slice]]:
    """Successive geometries that burn alike: lines and points every pixel that they touch, polygons as configured."""
    touched = all_touched | (shapely.get_dimensions(geometries) < 2)
    limits = [0, *(np.flatnonzero(np.diff(touched)) + 1).tolist(), len(touched)]
    yield from ((bool(touched[start]), slice(start, stop)) for start, stop in itertools.pairwise(limits))


def _coverage_as_labels(coverage: Coverage) -> LabelsConfig:
    """A labels config that burns 1 where a pixel's centre lies inside the coverage, else 0."""
    return LabelsConfig((LabelLayer(coverage.path, coverage.layer, crs=coverage.crs),), background=0, all_touched=False)
