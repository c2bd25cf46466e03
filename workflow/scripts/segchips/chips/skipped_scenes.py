"""Scenes that a chip lacks because they could not be read, and whether they can be read now."""

import json
from contextlib import suppress
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from segchips.chips.image_plan import ImagePlan
from segchips.chips.open_rasters import GDAL_OPTIONS
from segchips.chips.product_compositor import ProductCompositor
from segchips.errors import SceneError
from segchips.grids.tile import Tile


def skipped_scenes(chip: Path) -> list[tuple[str, str]]:
    """Return product and id of each scene that a chip lacks; none where the file is no chip."""
    with suppress(RasterioError, ValueError, KeyError, TypeError, AttributeError), rasterio.open(chip) as source:
        by_product = json.loads(source.tags()["SCENES"])
        return [
            (product, scene["id"]) for product, scenes in by_product.items() for scene in scenes if "skipped" in scene
        ]
    return []


def can_be_read(plan: ImagePlan, product: str, scene: str, tile: Tile) -> bool:
    """Return whether the bands and the mask of a scene can be read on a tile.

    Args:
        plan: The plan of the layer.
        product: The id of the scene's product.
        scene: The id of the scene.
        tile: The tile.
    """
    members = [member for member in plan.imagery.products if member.id == product]
    tile = tile.coarsened(plan.imagery.resolution)
    with suppress(SceneError), rasterio.Env(**GDAL_OPTIONS):
        return any(ProductCompositor(plan, member, tile, None, False).can_read(scene) for member in members)
    return False
