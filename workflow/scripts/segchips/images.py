"""The images step: a tile's pinned scenes become one chip."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from segchips import composite
from segchips.chips import write_chip
from segchips.code import foreign_to_images, module_version
from segchips.composite import Layer, Mask, Pixels
from segchips.config import CloudMask, Dataset, Product
from segchips.errors import ConfigError, SceneError
from segchips.files import digest
from segchips.grid import Tile
from segchips.pixels import open_reader
from segchips.raster import GDAL_OPTIONS
from segchips.scenes import Band, Lock, Scene, closest_order, natural_order

Scaling = tuple[float, float]
NO_ORIGIN = -(2**15)
"""Nodata of provenance files."""


@dataclass(frozen=True)
class Plan:
    """What every image chip of a dataset is made from, worked out once for all tiles."""

    dataset: Dataset
    lock: Lock

    @cached_property
    def _ranks(self) -> Mapping[int, int]:
        """Each scene's place in the order in which the composite takes scenes."""
        imagery, scenes = self.dataset.imagery, self.lock.scenes
        if imagery.composite == "closest" and imagery.reference_date:
            ordered = closest_order(scenes, datetime.combine(imagery.reference_date, time.min, UTC))
        else:
            ordered = natural_order(scenes)
        place = {(scene.product, scene.id): rank for rank, scene in enumerate(ordered)}
        return {index: place[scene.product, scene.id] for index, scene in enumerate(scenes)}

    @cached_property
    def scaling(self) -> Mapping[tuple[str, str], Scaling]:
        """The scale and offset of each product's bands in the chips: the offset nearest to zero among its scenes."""
        found: dict[tuple[str, str], set[Scaling]] = {}
        for product in self.dataset.imagery.products:
            for scene in (scene for scene in self.lock.scenes if scene.product == product.id):
                for name in product.bands:
                    band = scene.band(name)
                    found.setdefault((product.id, name), set()).add((band.scale, band.offset))
        return {key: min(pairs, key=lambda pair: (abs(pair[1]), pair)) for key, pairs in found.items()}

    @cached_property
    def declared_nodata(self) -> Mapping[str, float]:
        """The nodata value that most bands of each product's scenes declare; smaller wins a tie."""
        chosen = {}
        for product in self.dataset.imagery.products:
            scenes = [scene for scene in self.lock.scenes if scene.product == product.id]
            values = Counter(
                str(band.nodata)
                for scene in scenes
                for name in product.bands
                if (band := scene.band(name)).nodata is not None
            )
            if values:
                chosen[product.id] = float(min(values, key=lambda text: (-values[text], float(text))))
        return chosen

    @cached_property
    def _pins(self) -> Mapping[int, str]:
        """A digest of what each scene gives to a chip."""
        mask = self.dataset.imagery.cloud_mask
        extra = (mask.asset,) if mask and mask.asset else ()
        names = {product.id: (*product.bands, *extra) for product in self.dataset.imagery.products}
        if mask and mask.product and mask.band:
            names[mask.product] = (*names.get(mask.product, ()), mask.band)
        return {
            index: digest(scene.product, scene.id, scene.acquired, *map(scene.band, names[scene.product]))
            for index, scene in enumerate(self.lock.scenes)
            if scene.product in names
        }

    @cached_property
    def _common(self) -> str:
        imagery = self.dataset.imagery
        parts = (imagery.products, imagery.composite, imagery.cloud_mask, imagery.sign)
        code = module_version("images", *foreign_to_images(imagery.source))
        return digest(code, imagery.source, *parts, sorted(self.scaling.items()), sorted(self.declared_nodata.items()))

    def _indices(self, key: str, product: str) -> list[int]:
        members = (index for index in self.lock.tiles[key] if self.lock.scenes[index].product == product)
        return sorted(members, key=self._ranks.__getitem__)

    def scenes(self, key: str, product: str) -> list[Scene]:
        """A tile's scenes of one product in the order of the composite."""
        return [self.lock.scenes[index] for index in self._indices(key, product)]

    def digest(self, key: str) -> str:
        """Changes exactly when the tile's chip has to be made again."""
        imagery = self.dataset.imagery
        images = [index for product in imagery.products for index in self._indices(key, product.id)]
        masks: list[int] = []
        if imagery.cloud_mask and imagery.cloud_mask.product:
            times = {self.lock.scenes[index].acquired for index in images}
            members = sorted(self._indices(key, imagery.cloud_mask.product))
            masks = [index for index in members if self.lock.scenes[index].acquired in times]
        return digest(self._common, *(self._pins[index] for index in (*images, *masks)))

    def made(self) -> list[str]:
        """The tiles that have a scene of every product, and so get a chip."""
        wanted = {product.id for product in self.dataset.imagery.products}
        products = [scene.product for scene in self.lock.scenes]
        return [key for key, indices in self.lock.tiles.items() if wanted <= {products[index] for index in indices}]

    def missing(self, key: str) -> str | None:
        """Why the tile gets no chip: the products of which it has no scene; None where it has one of each."""
        there = {self.lock.scenes[index].product for index in self.lock.tiles[key]}
        absent = [product.id for product in self.dataset.imagery.products if product.id not in there]
        return f"no scene of {', '.join(absent)} within the dates and the cloud limit" if absent else None


def make_image(plan: Plan, tile: Tile, path: Path, provenance: Path | None = None) -> None:
    """Composite the tile's scenes into the chip at `path`, and write where its pixels come from at `provenance`."""
    with rasterio.Env(**GDAL_OPTIONS):
        parts = [_Part(plan, product, tile, provenance is not None) for product in plan.dataset.imagery.products]
        results = [part.composite() for part in parts]
        pixels = np.concatenate([pixels for pixels, _ in results])
        valid = np.concatenate([valid for _, valid in results])
        declared = [part.nodata for part in parts if part.nodata is not None]
        nodata = _chip_nodata(declared, pixels.dtype)
        if declared:
            pixels = _step_off(pixels, valid, nodata)
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
    path: Path, plan: Plan, tile: Tile, origins: Sequence[Mapping[str, Pixels]], tags: Mapping[str, str]
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


def _chip_nodata(declared: Sequence[float], dtype: np.dtype[Any]) -> float:
    """One nodata value for the chip: what the products agree on, else NaN if it can be, else the first's, else 0."""
    agreed = len({repr(float(value)) for value in declared}) == 1
    if not agreed and np.issubdtype(dtype, np.floating):
        return math.nan
    return declared[0] if declared else 0.0


class _Part:
    """One product's share of a chip."""

    def __init__(self, plan: Plan, product: Product, tile: Tile, traced: bool) -> None:
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
        return np.stack([_rescale(*one) for one in zip(pixels, bands, goals, strict=True)]), valid

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
            clear |= fresh & _is_clear(values, mask)
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
        if configured is not None and not _fits(configured, self.dtype):
            where = f"datasets.{self.plan.dataset.name}.imagery.products"
            raise ConfigError(
                f"{where}: nodata {configured} of '{self.product.id}' does not fit its {self.dtype}; choose another"
            )
        declared = (configured, self.plan.declared_nodata.get(self.product.id), of_file)
        return next((value for value in declared if value is not None and _fits(value, self.dtype)), None)


def _share(scene: Scene, share: float | None) -> dict[str, object]:
    known = None if share is None else round(share, 6)
    return {"id": scene.id, "acquired": f"{scene.acquired:%Y-%m-%dT%H:%M:%SZ}", "share": known}


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    if np.issubdtype(dtype, np.floating):
        return True
    limits = np.iinfo(dtype)
    return math.isfinite(value) and value == int(value) and limits.min <= value <= limits.max


def _is_clear(values: Pixels, mask: CloudMask) -> Mask:
    if mask.clear:
        return np.isin(values, mask.clear)
    flags = np.where(np.isfinite(values), values, -1).astype(np.int64)
    return (flags & sum(1 << bit for bit in mask.bits or ())) == 0


def _rescale(plane: Pixels, band: Band, goal: Scaling) -> Pixels:
    """The plane in the goal's scale and offset."""
    scale, offset = goal
    values = plane * (band.scale / scale) + (band.offset - offset) / scale
    if np.issubdtype(plane.dtype, np.integer):
        limits = np.iinfo(plane.dtype)
        values = np.clip(np.rint(np.round(values, 6)), limits.min, limits.max)
    return values.astype(plane.dtype)


def _step_off(pixels: Pixels, valid: Mask, nodata: float) -> Pixels:
    """Move valid values that landed on nodata to the next value, as GDAL's warper does."""
    landed = valid & (pixels == nodata)
    if not landed.any():
        return pixels
    integer = np.issubdtype(pixels.dtype, np.integer)
    lowest = np.iinfo(pixels.dtype).min if integer else np.finfo(pixels.dtype).min
    up = nodata <= max(0, lowest)
    toward = 1 if up else -1
    beside = nodata + toward if integer else np.nextafter(np.array(nodata, pixels.dtype), toward * math.inf)
    return np.where(landed, np.array(beside, pixels.dtype), pixels)
