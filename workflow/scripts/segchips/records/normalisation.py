"""Images in standard deviations from the mean of their bands, and measurements in those from their mean."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segchips.arrays import Array
from segchips.errors import InputError
from segchips.records.dataset_files import read_info
from segchips.records.pixel_values import is_wide, valid_pixels
from segchips.records.statistics import statistics
from segchips.records.statistics_file import SplitStatistics


@dataclass(frozen=True)
class Normaliser:
    """Normalises images: valid pixels become (value - mean) / std of their band, all others 0.

    Attributes:
        mean: The mean of each band.
        std: The standard deviation of each band.
        nodata: The nodata value of the images; None without one.
    """

    mean: Array
    std: Array
    nodata: float | None

    @classmethod
    def from_statistics(cls, directory: str | Path, normalise: bool | str) -> "dict[str, Normaliser]":
        """Take mean and standard deviation of each layer from the statistics of a split.

        The standard deviation of a band that has one value, or none, is taken as 1.

        Args:
            directory: The directory of the shards.
            normalise: The name of the split; True for "train".

        Returns:
            The normaliser of each layer, by its name.

        Raises:
            InputError: The dataset has no such split.
        """
        info, normalisers = read_info(directory), {}
        for layer, bands in _statistics_of(directory, normalise, "normalise").layers.items():
            mean, std = (np.array([getattr(band, key) or 0.0 for band in bands]) for key in ("mean", "std"))
            normalisers[layer] = cls(mean, np.where(std == 0, 1.0, std), info.images[layer].nodata)
        return normalisers

    @staticmethod
    def float_type(dtype: np.dtype[Any] | type) -> type[np.floating[Any]]:
        """The floating type in which images of a dtype are normalised."""
        return np.float32 if np.dtype(dtype) == np.float32 or not is_wide(np.dtype(dtype)) else np.float64

    def apply(self, image: Array) -> Array:
        """Normalise an image ((steps x) height x width x channels); returns float32."""
        dtype = self.float_type(image.dtype)
        values = image.astype(dtype)
        scaled = (values - self.mean.astype(dtype)) / self.std.astype(dtype)
        return np.where(valid_pixels(image, self.nodata), scaled, 0).astype(np.float32)


@dataclass(frozen=True)
class MeasurementScale:
    """Normalises measurements: values become (value - mean) / std, and NaN stays.

    Attributes:
        mean: The mean of all known values.
        std: Their standard deviation; 1 where it is 0.
    """

    mean: float
    std: float

    @classmethod
    def from_statistics(cls, directory: str | Path, normalise: bool | str) -> "dict[str, MeasurementScale]":
        """Take mean and standard deviation of each continuous target from the statistics of a split.

        Args:
            directory: The directory of the shards.
            normalise: The name of the split; True for "train".

        Returns:
            The scale of each continuous target, by its name.

        Raises:
            InputError: The dataset has no such split, or no continuous target.
        """
        measurements = _statistics_of(directory, normalise, "normalise_labels").measurements
        if not measurements:
            raise InputError(f"{directory} has no target of kind 'continuous'; remove normalise_labels")
        return {target: cls(entry.mean or 0.0, entry.std or 1.0) for target, entry in measurements.items()}

    def apply(self, label: Array) -> Array:
        """Normalise labels of any shape; returns float32."""
        return ((label.astype(np.float64) - self.mean) / self.std).astype(np.float32)


def _statistics_of(directory: str | Path, normalise: bool | str, option: str) -> SplitStatistics:
    split, splits = "train" if normalise is True else str(normalise), statistics(directory)
    if split not in splits:
        raise InputError(
            f"{directory} has no split '{split}' to normalise by; name one with {option}: {', '.join(splits)}"
        )
    return splits[split]
