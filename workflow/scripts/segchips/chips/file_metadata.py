"""Bands, scale and offset that only files declare, read when scenes are pinned."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import rasterio

from segchips.chips.open_rasters import GDAL_OPTIONS
from segchips.chips.readers import shared_raster_reader
from segchips.config.imagery import ImageryConfig
from segchips.errors import SceneError
from segchips.scenes.model import Band, Scene
from segchips.scenes.pinning import SceneLock
from segchips.scenes.signing import with_signature


@dataclass(frozen=True)
class _Gap:
    """An asset of a scene whose catalogue does not list its bands, or does not declare their scale and offset."""

    scene: Scene
    asset: str
    name: str


def complete_from_files(imagery: ImageryConfig, lock: SceneLock) -> SceneLock:
    """Let files say how many bands they have, and their scale and offset, where the catalogue does not.

    An alpha band is no band of its own. A file that cannot be read stays incomplete; reading its pixels later fails
    where the file then declares something else than the lock.

    Args:
        imagery: The layer; only assets of its bands are read.
        lock: Its pinned scenes.
    """
    if imagery.on_platform:
        return lock
    wanted = {product.id: product.bands for product in imagery.products}
    gaps = [gap for scene in lock.scenes for gap in _gaps(scene, wanted.get(scene.product, ()))]
    if not gaps:
        return lock
    with ThreadPoolExecutor(max_workers=max(1, imagery.requests)) as pool:
        bands = list(pool.map(lambda gap: _described(imagery, gap), gaps))
    completed: dict[int, dict[str, Sequence[tuple[str, Band]]]] = {}
    for gap, described in zip(gaps, bands, strict=True):
        completed.setdefault(id(gap.scene), {})[gap.asset] = described
    scenes = tuple(replace(scene, assets={**scene.assets, **completed.get(id(scene), {})}) for scene in lock.scenes)
    return replace(lock, scenes=scenes)


def _gaps(scene: Scene, names: Sequence[str]) -> list[_Gap]:
    found = {}
    for name in names:
        for band in scene.find_bands(name):
            asset = scene.asset_of(band)
            if not (band.scaled and scene.assets[asset][0][1].described):
                found[asset] = _Gap(scene, asset, f"{asset}:1")
    return list(found.values())


def _described(imagery: ImageryConfig, gap: _Gap) -> Sequence[tuple[str, Band]]:
    """The bands of an asset with what its file declares; as they are where it cannot be read."""
    known = gap.scene.assets[gap.asset]
    try:
        with rasterio.Env(**GDAL_OPTIONS):
            band = with_signature(imagery, gap.scene, gap.name)
            header = shared_raster_reader(imagery.sign, imagery.patience).header(band)
    except SceneError:
        return known
    first = known[0][1]
    count = len(known) if first.described else max(len(known), header.count)
    bands = []
    for number in range(1, count + 1):
        name, one = known[number - 1] if number <= len(known) else (f"{gap.asset}:{number}", first)
        if not one.scaled and number <= len(header.scales):
            one = replace(one, scale=header.scales[number - 1], offset=header.offsets[number - 1], scaled=True)
        bands.append((name, replace(one, index=number, described=True)))
    return bands
