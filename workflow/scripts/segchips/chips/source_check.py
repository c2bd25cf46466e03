"""A look at the rasters of a layer before any image is made: whether they can be read, and what users should know."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from segchips.chips.nodata import check_configured_nodata, fits_dtype
from segchips.chips.readers import FileSceneReader, open_reader
from segchips.config.imagery import ImageryConfig, Product
from segchips.errors import InputError, UnusableRasterError
from segchips.scenes.model import Scene

_MOST_SCENES = 250
"""Scenes of a product of which the files are opened, where they are on this machine."""
_COLOURS = {"red", "green", "blue"}


def check_rasters(
    imagery: ImageryConfig, scenes: Sequence[Scene], former: Collection[str] = (), key: str = "imagery"
) -> Iterator[str]:
    """Open files of each product: some hundred on this machine, or those of one scene far away.

    Args:
        imagery: The layer.
        scenes: Its pinned scenes.
        former: Digests (`Scene.pin`) of scenes that were checked before, whose files far away are not opened again.
        key: Where the config declares the layer, for messages.

    Yields:
        Lines for the user about nodata values that each band has by itself.

    Raises:
        ConfigError: A configured nodata value does not fit the dtype of its product.
        UnusableRasterError: A file holds what no chip can be made from, or scenes of a product have several dtypes.
            Files that cannot be opened are left to the tiles that they meet, and so is everything where the config
            leaves out what cannot be read.
    """
    if imagery.on_platform:
        return
    reader = FileSceneReader(imagery)
    for product in imagery.products:
        members = [scene for scene in scenes if scene.product == product.id]
        dtypes: dict[str, str] = {}
        notes = {_note(reader, scene, product, imagery.on_failure, dtypes) for scene in _sample(members, former)}
        if len(dtypes) > 1 and imagery.on_failure == "fail":
            held = ", ".join(f"'{scene}' holds {dtype}" for dtype, scene in dtypes.items())
            raise UnusableRasterError(
                f"scenes of product '{product.id}' hold values of several types: {held}; exclude those of one type, "
                "or take them in layers of their own"
            )
        for dtype in dtypes:
            check_configured_nodata(product, np.dtype(dtype), key)
        yield from sorted(note for note in notes if note)
    mask = imagery.cloud_mask
    if mask:
        product = Product(mask.product or imagery.products[0].id, (str(mask.asset or mask.band),))
        members = [scene for scene in scenes if scene.product == product.id]
        for scene in _sample(members, former):
            _note(reader, scene, product, imagery.on_failure, {})


def chip_dtypes(imagery: ImageryConfig, scenes: Sequence[Scene]) -> dict[str, str]:
    """Return the dtype of each product's pixels, as its first scene that can be described has it.

    Args:
        imagery: The layer.
        scenes: Its pinned scenes.

    Returns:
        NumPy names by product; a product without such a scene is missing.
    """
    reader, dtypes = open_reader(imagery), dict[str, str]()
    for product in imagery.products:
        for scene in scenes:
            if scene.product == product.id and product.id not in dtypes:
                with suppress(InputError):  # left to the tiles that the scene meets
                    dtypes[product.id] = str(reader.describe(scene, product)[0])
    return dtypes


def _note(
    reader: FileSceneReader, scene: Scene, product: Product, on_failure: str, dtypes: dict[str, str]
) -> str | None:
    """What a user should know of a scene; `dtypes` receives its dtype, and its id where no other has that dtype."""
    try:
        dtype, file_nodata = reader.describe(scene, product)
        dtypes.setdefault(str(dtype), scene.id)
        return _picture_note(reader, scene, product, dtype, file_nodata)
    except UnusableRasterError:
        if on_failure == "fail":
            raise
    except InputError:  # left to the tiles that the scene meets
        pass
    return None


def _sample(scenes: Sequence[Scene], former: Collection[str]) -> Sequence[Scene]:
    assets = (bands for scene in scenes[:1] for bands in scene.assets.values())
    is_remote = any("://" in band.href for bands in assets for _, band in bands)
    if is_remote:
        return [scene for scene in scenes if scene.pin not in former][:1]
    return scenes[:: -(-len(scenes) // _MOST_SCENES) or 1]


def _picture_note(
    reader: FileSceneReader, scene: Scene, product: Product, dtype: np.dtype[Any], file_nodata: float | None
) -> str | None:
    """What a user should know of a scene's nodata value, where the scene is a picture of 8 bits."""
    rule, bands = product.nodata_rule, [scene.band(name) for name in product.bands]
    declared = [rule.value] if rule else [band.nodata for band in bands] + [file_nodata]
    values = sorted({value for value in declared if value is not None and fits_dtype(value, dtype)})
    is_picture = str(dtype) == "uint8" and {*reader.colours(scene, product)} >= _COLOURS
    if not values or not is_picture or (rule and rule.when == "all"):
        return None
    value = f"{values[0]:g}"
    return (
        f"product '{product.id}': nodata {value} of its 8-bit pictures counts in each band by itself, so a pixel can "
        f"mix bands of several scenes; 'nodata: {{value: {value}, when: all}}' leaves out only pixels with {value} in "
        "all bands"
    )
