"""Instance chips: the objects of a tile, numbered from 1."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segchips.errors import InputError
from segchips.grids.tile import Tile
from segchips.labels.features import LabelFeatures

InstancePixels = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
"""The number of the object at each pixel, row x column; 0 where there is none."""
TAG = "INSTANCES"
"""The metadata item of a chip that lists its objects."""
_MOST = np.iinfo(np.uint16).max


@dataclass(frozen=True)
class Instance:
    """An object of a tile.

    Attributes:
        number: Its number in the chip, from 1.
        layer: The number of its label layer, from 0.
        fid: The id of its feature in the layer.
        value: Its class.
    """

    number: int
    layer: int
    fid: int
    value: int


def burn_instances(
    features: LabelFeatures, tile: Tile, indices: Sequence[int]
) -> tuple[InstancePixels, list[Instance]]:
    """Burn features as objects; of objects that overlap, the last in burning order is on top.

    Args:
        features: The features of the target.
        tile: The tile.
        indices: The features that meet it, in burning order.

    Returns:
        Numbers without gaps in burning order, uint16, or uint32 where a chip of this size and this many features could
        need it; and the objects that have pixels. All parts of a feature have one number.
    """
    order = features.burn_order(tile, indices)
    visible = np.unique(order[order > 0])
    numbers = np.zeros(len(indices) + 1, np.uint32)
    numbers[visible] = np.arange(1, len(visible) + 1)
    on_top = [indices[position - 1] for position in visible.tolist()]
    instances = [Instance(number, *features.identify(feature)) for number, feature in enumerate(on_top, 1)]
    pixels = numbers[order]
    if pixels.size > _MOST and len(features) > _MOST:
        return pixels, instances
    return pixels.astype(np.uint16), instances


def instances_to_text(instances: Sequence[Instance]) -> str:
    """Returns the objects of a chip as text for its tag: `[[number, layer, fid, class], ...]`."""
    return json.dumps([[one.number, one.layer, one.fid, one.value] for one in instances], separators=(",", ":"))


def instances_from_text(text: str | None, chip: object) -> list[Instance]:
    """Parses what `instances_to_text` returned; raises InputError that names the chip."""
    try:
        return [Instance(*map(int, entry)) for entry in json.loads(text or "")]
    except (TypeError, ValueError) as error:
        raise InputError(f"{chip}: does not list its objects; name a dataset or target of kind 'instances'") from error
