"""Products that are composited from several collections, whose bands go by other names in each."""

from collections.abc import Sequence
from dataclasses import replace

from segchips.config.imagery import ImageryConfig, Product
from segchips.scenes.known_nodata import known_nodata
from segchips.scenes.model import Band, Scene


def searched_imagery(imagery: ImageryConfig) -> ImageryConfig:
    """Return the layer as catalogues are asked: each collection as a product of its own, with its own bands."""
    if not any(product.collections for product in imagery.products):
        return imagery
    products = [part for product in imagery.products for part in _parts(product)]
    return replace(imagery, products=tuple(products))


def unite_collections(imagery: ImageryConfig, scenes: Sequence[Scene]) -> list[Scene]:
    """Return the scenes of collections as those of their product, with its names of bands.

    A scene that lacks a band keeps its own names, so that it is left out with what it has.
    """
    products = {name: product for product in imagery.products for name in product.collections or ()}
    return [
        _united(imagery, products[scene.product], scene) if scene.product in products else scene for scene in scenes
    ]


def _parts(product: Product) -> list[Product]:
    if not product.collections:
        return [product]
    return [
        replace(product, id=name, bands=bands or product.bands, collections=None)
        for name, bands in product.collections.items()
    ]


def _united(imagery: ImageryConfig, product: Product, scene: Scene) -> Scene:
    own = (product.collections or {})[scene.product] or product.bands
    found = [scene.find_bands(name) for name in own]
    if not all(len(bands) == 1 for bands in found):
        return replace(scene, product=product.id)
    assets: dict[str, Sequence[tuple[str, Band]]] = {
        name: [(name, replace(band, known_nodata=known_nodata(scene.product, *scene.names_of(band))))]
        for name, (band,) in zip(product.bands, found, strict=True)
    }
    mask = imagery.cloud_mask
    if mask and mask.asset and mask.asset not in assets and (bands := scene.find_bands(mask.asset)):
        assets[mask.asset] = [(mask.asset, bands[0])]
    return replace(scene, product=product.id, assets=assets)
