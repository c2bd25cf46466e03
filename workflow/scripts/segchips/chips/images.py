"""The images step: a tile's pinned scenes become one chip."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from segchips.arrays import Mask, Pixels
from segchips.chips.chip_file import write_chip
from segchips.chips.former_chip import FormerChip, read_former_chip
from segchips.chips.image_plan import ImagePlan
from segchips.chips.nodata import ProductNodata, avoid_nodata, chip_nodata, is_nodata
from segchips.chips.open_rasters import GDAL_OPTIONS, REMOTE_GDAL_OPTIONS
from segchips.chips.product_compositor import NO_ORIGIN, ProductCompositor
from segchips.chips.steps import Step
from segchips.config.imagery import Product
from segchips.grids.tile import Tile


@dataclass(frozen=True)
class StepImage:
    """The composites of one step of a time series, or of a whole chip that is none.

    Attributes:
        pixels: Band, row, column.
        valid: Which of the pixels are valid.
        products: Dtype and nodata value of each product.
        entry: The scenes by product and, of a time series, the days, share of valid pixels and rerun digest.
        provenance: Planes of each product by kind; empty unless requested.
    """

    pixels: Pixels
    valid: Mask
    products: Sequence[ProductNodata]
    entry: Mapping[str, Any]
    provenance: Sequence[Mapping[str, Pixels]] = ()


def make_image(
    plan: ImagePlan, tile: Tile, path: Path, provenance: Path | None = None, made_from: str = ""
) -> list[str]:
    """Composite a tile's scenes into one chip.

    Of a time series, steps of a former chip at the path that are still the same are taken over.

    Args:
        plan: The plan of the layer.
        tile: A tile that has a scene of every product, unless the layer is optional.
        path: The chip to write.
        provenance: Where to write which scene each pixel comes from; None to write no such file.
        made_from: The rerun digest of the chip, which is written into it; a run makes a chip without one again.

    Returns:
        Lines for the log: how many valid values had to be changed.

    Raises:
        SceneError: A scene cannot be read, or does not fit the others of its product.
        ConfigError: A configured nodata value does not fit the scenes' dtype.
    """
    tile = tile.coarsened(plan.imagery.resolution)
    steps: Sequence[Step | None] = plan.steps(tile.key) or [None]
    former = FormerChip() if steps == [None] or provenance else read_former_chip(path, tile)
    with rasterio.Env(**(REMOTE_GDAL_OPTIONS if plan.reads_http else GDAL_OPTIONS)):
        parts = _composite_steps(plan, tile, steps, former, provenance is not None)
    pixels, valid = (
        np.concatenate(planes) for planes in zip(*((part.pixels, part.valid) for part in parts), strict=True)
    )
    nodata = _stored_nodata(parts, pixels.dtype, is_series=steps != [None])
    pixels, moved = (pixels, 0) if nodata is None else avoid_nodata(pixels, valid, nodata)
    by_step = valid.reshape(len(parts), -1, tile.size, tile.size)
    any_step: Mask = np.any(by_step.all(axis=1), axis=0)
    tags = {"SCENES": json.dumps(_scenes(parts)), "VALID": repr(float(any_step.mean())), "MADE_FROM": made_from}
    if steps != [None]:
        tags["STEPS"] = json.dumps([part.entry for part in parts])
    if moved:
        tags["MOVED_OFF_NODATA"] = str(moved)
    products = plan.imagery.products
    scaling = [plan.scaling.get((product.id, name), (1.0, 0.0)) for product in products for name in product.bands]
    filled = np.where(valid, pixels, np.array(nodata or 0, pixels.dtype))
    bands = _numbered(_band_names(products), steps)
    mask = any_step if nodata is None else None
    write_chip(path, filled, tile, bands, nodata, tags, scaling * len(parts), mask)
    if provenance:
        planes = [planes for part in parts for planes in part.provenance]
        _write_provenance(provenance, tile, bands, planes, tags)
    lines = [
        f"scene '{scene['id']}' of product '{product}' is skipped: {scene['skipped']}"
        for product, members in _scenes(parts).items()
        for scene in members
        if "skipped" in scene
    ]
    return lines + ([f"{moved} valid values equal nodata {nodata:g} and are stored as the next value"] if moved else [])


def _composite_steps(
    plan: ImagePlan, tile: Tile, steps: Sequence[Step | None], former: FormerChip, with_provenance: bool
) -> list[StepImage]:
    """The composite of each step; of a former chip where that has it, and all that is composited is stored alike."""
    parts: list[StepImage | None] = []
    for step in steps:
        known = step is not None and plan.step_digest(tile.key, step) in former.steps
        parts.append(None if known else _composite_step(plan, tile, step, with_provenance))
    made = [part for part in parts if part]
    is_alike = not made or former.fits(made[0].pixels.dtype, _stored_nodata(made, made[0].pixels.dtype, is_series=True))
    return [
        part
        or (_former_step(plan, tile, step, former) if is_alike and step else _composite_step(plan, tile, step, False))
        for step, part in zip(steps, parts, strict=True)
    ]


def _composite_step(plan: ImagePlan, tile: Tile, step: Step | None, with_provenance: bool) -> StepImage:
    products = plan.imagery.products
    compositors = [ProductCompositor(plan, product, tile, step, with_provenance) for product in products]
    composites = [compositor.composite() for compositor in compositors]
    valid = np.concatenate([part.valid for part in composites])
    entry: dict[str, Any] = {
        "scenes": {product.id: part.scenes for product, part in zip(products, composites, strict=True)}
    }
    if step:
        (start, end), made_from = step.days, plan.step_digest(tile.key, step)
        share = round(float(valid.all(axis=0).mean()), 6)
        entry = {"start": start, "end": end, "valid": share, "made_from": made_from, **entry}
    return StepImage(
        np.concatenate([part.pixels for part in composites]),
        valid,
        [(compositor.dtype, compositor.nodata) for compositor in compositors],
        entry,
        [part.provenance for part in composites] if with_provenance else (),
    )


def _former_step(plan: ImagePlan, tile: Tile, step: Step, former: FormerChip) -> StepImage:
    entry, pixels = former.steps[plan.step_digest(tile.key, step)]
    nodata = 0.0 if former.nodata is None else former.nodata
    start, end = step.days
    valid = np.isfinite(pixels) & ~is_nodata(pixels, nodata)
    return StepImage(pixels, valid, [(pixels.dtype, nodata)], {**entry, "start": start, "end": end})


def _stored_nodata(parts: Sequence[StepImage], dtype: np.dtype[Any], is_series: bool) -> float | None:
    """The nodata value of a chip; a series has one in any case, for a mask would hold for all its steps."""
    products = [product for part in parts for product in part.products]
    nodata = chip_nodata(products, dtype)
    if nodata is None and is_series:
        return next((value for _, value in products if value is not None), 0.0)
    return nodata


def _scenes(parts: Sequence[StepImage]) -> dict[str, list[Any]]:
    """The scenes of all steps by product."""
    scenes: dict[str, list[Any]] = {}
    for part in parts:
        for product, members in part.entry["scenes"].items():
            scenes.setdefault(product, []).extend(members)
    return scenes


def _numbered(bands: Sequence[str], steps: Sequence[Step | None]) -> list[str]:
    """The names of the bands of all steps, of a time series with the number of the step, from 1, before the name."""
    if steps == [None]:
        return list(bands)
    return [f"{number}/{band}" for number in range(1, len(steps) + 1) for band in bands]


def _write_provenance(
    path: Path, tile: Tile, bands: Sequence[str], parts: Sequence[Mapping[str, Pixels]], tags: Mapping[str, str]
) -> None:
    """Write the planes of every kind for each of the chip's bands, int16; the tags list the scenes that they number."""
    names = [f"{band} {kind}" for kind in parts[0] for band in bands]
    planes = np.concatenate([part[kind] for kind in parts[0] for part in parts])
    write_chip(path, planes, tile, names, NO_ORIGIN, tags)


def _band_names(products: Sequence[Product]) -> list[str]:
    """Band names in chip order; a name that several products have is preceded by the product's id."""
    pairs = [(product.id, name) for product in products for name in product.bands]
    count = Counter(name for _, name in pairs)
    return [name if count[name] == 1 else f"{product}/{name}" for product, name in pairs]
