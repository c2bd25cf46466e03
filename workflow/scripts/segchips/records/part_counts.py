"""Pixel counts of every layer of a dataset by the classes of every target."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segchips.arrays import Array, Mask
from segchips.errors import RecordError
from segchips.files import atomic_path
from segchips.records.dataset_info import UNNAMED
from segchips.records.pixel_counts import PixelCounts

Key = tuple[str, str | None]
"""A layer and the target by whose classes its pixels are counted; None for a layer that is coarser than the labels."""

LABEL = "label"
"""Stands for the labels themselves in place of a layer."""
VALUES = "values"
"""Stands for the values of a target of floats, not separated by class."""


class PartCounts:
    """The pixel counts of a set of tiles.

    The bands of a time series are those of all steps, step after step.

    Args:
        layers: The names of the image layers.
        targets: The names of the label targets.
    """

    def __init__(self, layers: Sequence[str], targets: Sequence[str]) -> None:
        self._layers, self._targets = layers, targets
        self._counts: dict[Key, PixelCounts] = {}

    def add(
        self,
        images: Sequence[Array],
        labels: Sequence[Array],
        nodata: Sequence[float | None],
        valid: Sequence[Mask | None] | None = None,
    ) -> None:
        """Count a tile.

        Args:
            images: The image of each layer, height x width x bands.
            labels: The label of each target, one value for each pixel.
            nodata: The nodata value of each layer.
            valid: For each layer without a nodata value, which pixels (height x width) have values; None if all have.
        """
        masks = valid or [None] * len(images)
        for layer, image, value, mask in zip(self._layers, images, nodata, masks, strict=True):
            for target, label in zip(self._targets, labels, strict=True):
                is_equal = image.shape[0] == label.shape[0]
                counts = self._at(layer, target if is_equal else None, image, value)
                if is_equal or target == self._targets[0]:
                    counts.add(image, label if is_equal else np.zeros(image.shape[:2], np.uint8), mask)
        has_no_layer = all(image.shape[0] != labels[0].shape[0] for image in images)
        for target, label in zip(self._targets, labels, strict=True):
            plane = label.reshape(*label.shape[:2], 1)
            if has_no_layer:
                self._at(LABEL, target, plane, None).add(plane, label)
            if label.dtype.kind == "f":
                self._at(VALUES, target, plane, math.nan).add(plane, np.zeros(label.shape[:2], np.uint8))

    def _at(self, layer: str, target: str | None, image: Array, nodata: float | None) -> PixelCounts:
        if (layer, target) not in self._counts:
            counts = PixelCounts(image.dtype.name, image.shape[2], nodata)
            self._counts[layer, target] = counts if target is not None else counts.with_merged_classes()
        return self._counts[layer, target]

    def items(self) -> Iterator[tuple[Key, PixelCounts]]:
        """The counts with their layers and targets."""
        return iter(self._counts.items())

    def of_layer(self, layer: str) -> PixelCounts | None:
        """The counts of a layer, by the classes of the first target where it is as fine as the labels."""
        return next((counts for (name, _), counts in self._counts.items() if name == layer), None)

    def of_target(self, target: str) -> Mapping[str, PixelCounts]:
        """The counts of layers by the classes of a target; under LABEL the labels themselves if no layer is so fine."""
        return {layer: counts for (layer, name), counts in self._counts.items() if name == target and layer != VALUES}

    def values_of(self, target: str) -> PixelCounts | None:
        """The counts of the values of a target of floats."""
        counts = self._counts.get((VALUES, target))
        return counts.with_merged_classes() if counts else None

    def merge(self, other: "PartCounts") -> None:
        """Add the counts of other tiles of the same dataset."""
        for key, counts in other._counts.items():
            if key in self._counts:
                self._counts[key].merge(counts)
            else:
                self._counts[key] = counts

    @property
    def is_divisible(self) -> bool:
        """Whether tiles can be subtracted."""
        return all(counts.is_divisible for counts in self._counts.values())

    def subtract(self, other: "PartCounts") -> None:
        """Subtract the counts of some of the tiles. Both counts must be divisible."""
        for key, counts in other._counts.items():
            self._counts[key].subtract(counts)

    def save(self, path: Path) -> None:
        """Write the counts as an npz file, the same bytes for the same chips."""
        arrays: dict[str, Any] = {}
        if not self._counts:
            arrays = PixelCounts("uint8", 0, None).arrays()
        for key, counts in self._counts.items():
            prefix = "" if key == (UNNAMED, UNNAMED) else json.dumps(key)
            arrays |= {f"{prefix}{name}": array for name, array in counts.arrays().items()}
        with atomic_path(path) as part, part.open("wb") as stream:
            np.savez(stream, **arrays)

    @classmethod
    def read(cls, path: Path, layers: Sequence[str], targets: Sequence[str]) -> "PartCounts":
        """Read a file that `save` wrote.

        Raises:
            RecordError: The file is missing or damaged.
        """
        counts = cls(layers, targets)
        try:
            with np.load(path) as file:
                for name in file.files:
                    prefix, is_first, _ = name.partition("about")
                    if is_first:
                        layer, target = json.loads(prefix) if prefix else (UNNAMED, UNNAMED)
                        arrays = {key: file[f"{prefix}{key}"] for key in ("about", "places", "counts")}
                        part = PixelCounts.from_arrays(arrays)
                        if part.bands:
                            counts._counts[layer, target] = part
        except (OSError, KeyError, TypeError, ValueError, EOFError) as error:
            raise RecordError(f"{path} cannot be read as the statistics of a shard: {error}") from error
        return counts
