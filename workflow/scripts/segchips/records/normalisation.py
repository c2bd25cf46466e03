"""TODO: describe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segchips.arrays import Array
from segchips.errors import InputError
from segchips.records.dataset_files import read_info
from segchips.records.pixel_values import is_wide, valid_pixels
from segchips.records.statistics import statistics


@dataclass(frozen=True)
class Normaliser:
    """What makes an image's bands comparable: valid pixels become (value - mean) / std, all others 0."""

    mean: Array
    std: Array
    nodata: float | None

    @classmethod
    def of(cls, directory: Path, normalise: bool | str) -> "Normaliser":
        """From the statistics of split "train", or of the one that `normalise` names; InputError where it is missing.

        A band of one value, or without any, has a standard deviation of 1.
        """
        split = "train" if normalise is True else str(normalise)
        splits, nodata = statistics(directory), read_info(directory).image.nodata
        if split not in splits:
            raise InputError(
                f"{directory} has no split '{split}' to normalise by; name one with normalise: {', '.join(splits)}"
            )
        bands = splits[split].bands
        mean, std = (np.array([getattr(band, key) or 0.0 for band in bands]) for key in ("mean", "std"))
        return cls(mean, np.where(std == 0, 1.0, std), nodata)

    @staticmethod
    def precision(dtype: np.dtype[Any] | type) -> type[np.floating[Any]]:
        """The floating type that holds the values of another."""
        return np.float32 if np.dtype(dtype) == np.float32 or not is_wide(np.dtype(dtype)) else np.float64

    def apply(self, image: Array) -> Array:
        """The image (height x width x channels) as float32."""
        kind = self.precision(image.dtype)
        values = image.astype(kind)
        scaled = (values - self.mean.astype(kind)) / self.std.astype(kind)
        return np.where(valid_pixels(image, self.nodata), scaled, 0).astype(np.float32)
