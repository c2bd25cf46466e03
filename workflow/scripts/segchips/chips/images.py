"""The images step: a tile's pinned scenes become one chip."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio

from segchips.arrays import Mask, Pixels
from segchips.chips.chip_file import write_chip
from segchips.chips.image_plan import ImagePlan
from segchips.chips.nodata import avoid_nodata, chip_nodata
from segchips.chips.open_rasters import GDAL_OPTIONS
from segchips.chips.product_compositor import NO_ORIGIN, ProductCompositor
from segchips.config.imagery import Product
from segchips.grids.tile import Tile


def make_image(plan: ImagePlan, tile: Tile, path: Path, provenance: Path | None = None, made_from: str = "") -> None:
    """Composite a tile's scenes into one chip.

    Args:
        plan: The plan of the layer.
        tile: A tile that has a scene of every product.
        path: The chip to write.
        provenance: Where to write which scene each pixel comes from; None to write no such file.
        made_from: The rerun digest of the chip, which is written into it; a run makes a chip without one again.

    Raises:
        SceneError: A scene cannot be read, or does not fit the others of its product.
        ConfigError: A configured nodata value does not fit the scenes' dtype.
    """
    products = plan.imagery.products
    with rasterio.Env(**GDAL_OPTIONS):
        compositors = [ProductCompositor(plan, product, tile, provenance is not None) for product in products]
        composites = [compositor.composite() for compositor in compositors]
        pixels = np.concatenate([part.pixels for part in composites])
        valid = np.concatenate([part.valid for part in composites])
        declared = [compositor.nodata for compositor in compositors if compositor.nodata is not None]
        nodata = chip_nodata(declared, pixels.dtype)
        pixels, moved = (pixels, 0) if nodata is None else avoid_nodata(pixels, valid, nodata)
        scenes = {product.id: part.scenes for product, part in zip(products, composites, strict=True)}
        all_bands: Mask = np.all(valid, axis=0)
        share = repr(float(all_bands.mean()))
        tags = {"SCENES": json.dumps(scenes), "VALID": share, "MADE_FROM": made_from}
        if moved:
            tags["MOVED_OFF_NODATA"] = str(moved)
        scaling = [plan.scaling[product.id, name] for product in products for name in product.bands]
        filled = np.where(valid, pixels, np.array(nodata or 0, pixels.dtype))
        bands = _band_names(products)
        write_chip(path, filled, tile, bands, nodata, tags, scaling, all_bands if nodata is None else None)
        if provenance:
            _write_provenance(provenance, tile, bands, [part.provenance for part in composites], tags)


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
