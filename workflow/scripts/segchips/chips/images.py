"""The images step: a tile's pinned scenes become one chip."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio

from segchips.arrays import Mask, Pixels
from segchips.chips import composite
from segchips.chips.chip_file import write_chip
from segchips.chips.composite import Layer
from segchips.chips.image_plan import ImagePlan
from segchips.chips.open_rasters import GDAL_OPTIONS
from segchips.chips.pixel_values import avoid_nodata, chip_nodata, fits_dtype, is_clear, rescale
from segchips.chips.readers import open_reader
from segchips.config.model import CloudMask, Dataset, Product
from segchips.errors import ConfigError, SceneError
from segchips.grids.tile import Tile
from segchips.scenes.model import Scene

NO_ORIGIN = -(2**15)
"""Nodata of provenance files."""


def make_image(plan: ImagePlan, tile: Tile, path: Path, provenance: Path | None = None) -> None:
    """Composite the tile's scenes into the chip at `path`, and write where its pixels come from at `provenance`."""
    with rasterio.Env(**GDAL_OPTIONS):
        parts = [
            ProductCompositor(plan, product, tile, provenance is not None) for product in plan.dataset.imagery.products
        ]
        results = [part.composite() for part in parts]
        pixels = np.concatenate([pixels for pixels, _ in results])
        valid = np.concatenate([valid for _, valid in results])
        declared = [part.nodata for part in parts if part.nodata is not None]
        nodata = chip_nodata(declared, pixels.dtype)
        if declared:
            pixels = avoid_nodata(pixels, valid, nodata)
        tags = {
            "SCENES": json.dumps({part.product.id: part.used for part in parts}),
            "VALID": repr(float(valid.all(axis=0).mean())),
        }
        scaling = [plan.scaling[part.product.id, name] for part in parts for name in part.product.bands]
        filled = np.where(valid, pixels, np.array(nodata, pixels.dtype))
        write_chip(path, filled, tile, _band_names(plan.dataset), nodata, tags, scaling)
        if provenance:
            _write_provenance(provenance, plan, tile, [part.origin for part in parts], tags)


def _write_provenance(
    path: Path, plan: ImagePlan, tile: Tile, origins: Sequence[Mapping[str, Pixels]], tags: Mapping[str, str]
) -> None:
    """Write planes of every kind, int16, for each of the chip's bands; the scenes they number are in the tags."""
    names = [f"{band} {kind}" for kind in origins[0] for band in _band_names(plan.dataset)]
    planes = np.concatenate([origin[kind] for kind in origins[0] for origin in origins])
    write_chip(path, planes, tile, names, NO_ORIGIN, tags)


def _band_names(dataset: Dataset) -> list[str]:
    """Band names in chip order, with the product's id before those that several products have."""
    pairs = [(product.id, name) for product in dataset.imagery.products for name in product.bands]
    count = Counter(name for _, name in pairs)
    return [name if count[name] == 1 else f"{product}/{name}" for product, name in pairs]


class ProductCompositor:
    """One product's share of a chip."""

    def __init__(self, plan: ImagePlan, product: Product, tile: Tile, traced: bool) -> None:
        self.plan, self.product, self.tile, self.traced = plan, product, tile, traced
        self.scenes = plan.scenes(tile.key, product.id)
        self.reader = open_reader(plan.dataset.imagery)
        self.used: list[dict[str, object]] = []
        self.origin: dict[str, Pixels] = {}
        self.dtype, declared = self.reader.describe(self.scenes[0], product)
        self.nodata = self._nodata(declared)

    def composite(self) -> tuple[Pixels, Mask]:
        """Pixels (band, row, column) and which are valid."""
        drawn: list[Scene] = []
        layers = self._layers(drawn)
        kind = self.plan.dataset.imagery.composite
        if kind == "closest" and not self.traced and (mosaic := self._mosaic()):
            return mosaic
        if kind == "closest":
            shape = len(self.product.bands), self.tile.grid.size, self.tile.grid.size
            origin = np.full(shape, -1, np.int16) if self.traced else None
            pixels, valid, given = composite.closest(layers, origin)
            whole = valid.size
            if origin is not None:
                self.origin = self._numbered(origin, [drawn[number] for number in given], list(given))
        else:
            stack = list(layers)
            pixels, valid, given = {"median": composite.median, "mean": composite.mean}[kind](stack)
            whole = sum(given.values())
            if self.traced:
                self.origin = {"count": np.asarray(np.sum([layer for _, layer in stack], axis=0, dtype=np.int16))}
        self.used = [_share(drawn[number], count / whole) for number, count in given.items()]
        return pixels, valid

    def _mosaic(self) -> Layer | None:
        """The whole composite at once, where no mask counts and the source can do that.

        It does not tell the shares of several scenes.
        """
        if self.plan.dataset.imagery.cloud_mask:
            return None
        if mosaic := self.reader.mosaic(self.scenes, self.product, self.tile):
            share = float(mosaic[1].mean()) if len(self.scenes) == 1 else None
            self.used = [_share(scene, share) for scene in self.scenes]
        return mosaic

    def _numbered(self, origin: Pixels, scenes: Sequence[Scene], layers: Sequence[int]) -> dict[str, Pixels]:
        """Each value's scene, numbered from 1 as in the tags, and its days from the reference date."""
        reference = self.plan.dataset.imagery.reference_date
        numbers, days = (np.full(max(layers, default=0) + 2, NO_ORIGIN, np.int16) for _ in range(2))
        numbers[list(layers)] = range(1, len(scenes) + 1)
        days[list(layers)] = [(scene.acquired.date() - (reference or scene.acquired.date())).days for scene in scenes]
        return {"scene": numbers[origin], "days": days[origin]}

    def _layers(self, drawn: list[Scene]) -> Iterator[Layer]:
        """Each scene on the tile's grid, in order; one whose mask leaves nothing is not read."""
        for scene in self.scenes:
            clear = self._clear(scene)
            if clear is not None and not clear.any() and (drawn or scene is not self.scenes[-1]):
                continue
            pixels, valid = self._read(scene)
            drawn.append(scene)
            yield pixels, valid if clear is None else valid & clear

    def _read(self, scene: Scene) -> Layer:
        bands = [scene.band(name) for name in self.product.bands]
        pixels, valid = self.reader.read(scene, self.product, self.tile)
        if pixels.dtype != self.dtype:
            raise SceneError(
                f"scene '{scene.id}' of product '{self.product.id}' holds {pixels.dtype}, "
                f"but '{self.scenes[0].id}' holds {self.dtype}; "
                "a product's scenes need one dtype"
            )
        goals = [self.plan.scaling[self.product.id, name] for name in self.product.bands]
        if all((band.scale, band.offset) == goal for band, goal in zip(bands, goals, strict=True)):
            return pixels, valid
        return np.stack([rescale(*one) for one in zip(pixels, bands, goals, strict=True)]), valid

    def _clear(self, scene: Scene) -> Mask | None:
        """Which pixels the cloud mask calls clear; none where the acquisition has no mask."""
        mask = self.plan.dataset.imagery.cloud_mask
        if mask is None:
            return None
        clear = np.zeros((self.tile.grid.size, self.tile.grid.size), bool)
        known = clear.copy()
        for other, name in self._mask_bands(scene, mask):
            values, covered = self.reader.read_mask(other, name, self.tile)
            fresh = covered & ~known
            clear |= fresh & is_clear(values, mask)
            known |= fresh
        return clear

    def _mask_bands(self, scene: Scene, mask: CloudMask) -> list[tuple[Scene, str]]:
        """The mask of the scene itself, or those of the mask product acquired with it, its namesake first."""
        if mask.asset:
            return [(scene, mask.asset)]
        paired = [
            other for other in self.plan.scenes(self.tile.key, str(mask.product)) if other.acquired == scene.acquired
        ]
        return [(other, str(mask.band)) for other in sorted(paired, key=lambda other: (other.id != scene.id, other.id))]

    def _nodata(self, of_file: float | None) -> float | None:
        """The product's nodata: configured, else declared by the catalogue, else by the file."""
        configured = self.product.nodata
        if configured is not None and not fits_dtype(configured, self.dtype):
            where = f"datasets.{self.plan.dataset.name}.imagery.products"
            raise ConfigError(
                f"{where}: nodata {configured} of '{self.product.id}' does not fit its {self.dtype}; choose another"
            )
        declared = (configured, self.plan.declared_nodata.get(self.product.id), of_file)
        return next((value for value in declared if value is not None and fits_dtype(value, self.dtype)), None)


def _share(scene: Scene, share: float | None) -> dict[str, object]:
    known = None if share is None else round(share, 6)
    return {"id": scene.id, "acquired": f"{scene.acquired:%Y-%m-%dT%H:%M:%SZ}", "share": known}
