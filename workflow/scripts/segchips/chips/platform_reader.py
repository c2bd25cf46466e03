"""The pixels of platform scenes on tile grids, warped and mosaicked by the platform's raster service."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from segchips.arrays import MaskedPixels
from segchips.chips.nodata import is_nodata
from segchips.config.imagery import ImageryConfig, Product
from segchips.errors import InputError, SceneError
from segchips.grids.tile import Tile
from segchips.scenes.model import Scene
from segchips.scenes.platform_service import DTYPES, get_service
from segchips.scenes.platform_sessions import single_attempt

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_RESAMPLERS = {"nearest": "near", "cubic_spline": "cubicspline"}
_ALPHA = "alpha"


class PlatformSceneReader:
    """Reads scenes of a platform; implements `SceneReader`."""

    def __init__(self, imagery: ImageryConfig) -> None:
        self._imagery = imagery
        self._service = get_service(imagery.source, imagery.requests)

    def prefetch(self, reads: Sequence[object], tile: Tile) -> None:
        """Do nothing: each read is one request."""

    def describe(self, scene: Scene, product: Product) -> tuple[np.dtype[Any], float | None]:
        """Return the common dtype of a product's bands, as the lock pins it; the platform declares all nodata.

        Raises:
            InputError: A band has a data type without a NumPy equivalent.
        """
        bands = {name: scene.band(name) for name in product.bands}
        for name, band in bands.items():
            if band.dtype is None:
                raise InputError(f"band '{name}' of product '{product.id}' has a data type that is not supported")
        dtype = np.result_type(*(str(band.dtype) for band in bands.values()))
        return (dtype if dtype.name in _NAMES else np.dtype("float64")), None

    def read(self, scene: Scene, product: Product, tile: Tile) -> MaskedPixels:
        """Read one scene in one request: pixels (band, row, column) and which are valid."""
        return self._fetch([scene], product, tile)

    def read_mask(self, scene: Scene, name: str, tile: Tile) -> MaskedPixels:
        """Read a mask band, nearest, in one request: values (row, column) and which are covered and not nodata."""
        product = Product(scene.product, (name,), "nearest", None)
        values, valid = self._fetch([scene], product, tile)
        return values[0], valid[0]

    def mosaic(self, scenes: Sequence[Scene], product: Product, tile: Tile) -> MaskedPixels | None:
        """Read the first valid value of each pixel and band among the scenes in one request.

        Returns:
            Pixels (band, row, column) and which are valid. None where the scenes' dtypes differ, or where the config
            sets a nodata value that the platform does not know: each scene has to be read by itself then.
        """
        bands = [scene.band(name) for scene in scenes for name in product.bands]
        rule = product.nodata_rule
        overridden = rule is not None and any(band.nodata != rule.value for band in bands)
        dtypes = {self.describe(scene, product)[0] for scene in scenes}
        return None if overridden or len(dtypes) > 1 else self._fetch(scenes, product, tile)

    def _fetch(self, scenes: Sequence[Scene], product: Product, tile: Tile) -> MaskedPixels:
        dtype, _ = self.describe(scenes[0], product)
        names = f"scene '{scenes[0].id}'" if len(scenes) == 1 else f"{len(scenes)} scenes"
        options = {
            "inputs": [f"{scene.product}:{scene.id}" for scene in reversed(scenes)],
            "bands": list(product.bands),
            "data_type": _NAMES[dtype.name],
            "resampler": _RESAMPLERS.get(product.resampling, product.resampling),
            "processing_level": product.processing_level,
            **_alpha_options(scenes, product),
        }
        fixed = {**_place(tile), "order": "gdal", "mask_nodata": True, "progress": False, "_retry": single_attempt}
        array, _ = self._service.call(
            f"reading {names} of product '{product.id}'",
            self._imagery.patience,
            lambda: self._service.raster.ndarray(**options, **fixed),
        )
        shape = (len(product.bands), tile.size, tile.size)
        if array.shape != shape or array.dtype != dtype:
            raise SceneError(
                f"{names} of product '{product.id}': asked for {dtype} of shape {shape}, "
                f"given {array.dtype} of shape {array.shape}"
            )
        pixels, valid = np.ma.getdata(array), ~np.ma.getmaskarray(array)
        if np.issubdtype(dtype, np.floating):
            valid &= np.isfinite(pixels)
        rule = product.nodata_rule
        return pixels, valid if rule is None else valid & ~is_nodata(pixels, rule.value)


def _place(tile: Tile) -> dict[str, Any]:
    """Options that say where pixels lie: the key of a DLTile, else bounds, CRS and resolution."""
    if tile.grid.is_dltile:
        return {"dltile": tile.key}
    _, resolution, *_ = tile.geotransform
    return {"bounds": tile.bounds, "bounds_srs": tile.crs, "srs": tile.crs, "resolution": resolution}


def _alpha_options(scenes: Sequence[Scene], product: Product) -> dict[str, Any]:
    """Options that mask transparent pixels too, where every scene has an alpha band."""
    if _ALPHA in product.bands or not all(_ALPHA in scene.assets for scene in scenes):
        return {}
    return {"bands": [*product.bands, _ALPHA], "mask_alpha": True, "drop_alpha": True}
