"""Statistics of the pixels of a dataset, as statistics.json holds them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from segchips.errors import InputError
from segchips.files import atomic_write
from segchips.records.dataset_info import UNNAMED
from segchips.records.file_names import STATISTICS_FILE

Json = dict[str, Any]


@dataclass(frozen=True)
class BandStatistics:
    """Statistics of the valid pixels of a band, in the units of the chips.

    Attributes:
        name: The band's name; None without one.
        count: The number of valid pixels.
        nodata_share: The share of the other pixels, from 0 to 1.
        min: The lowest value. This and all that follow are None if no pixel is valid.
        max: The highest value.
        mean: The arithmetic mean.
        std: The population standard deviation.
        percentiles: By percentage the value below which so many pixels lie, interpolated linearly between neighbours.
            In types of more than 16 bits they are precise to 0.1 %.
    """

    name: str | None
    count: int
    nodata_share: float
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    percentiles: Mapping[int, float] | None = None


@dataclass(frozen=True)
class ClassStatistics:
    """Statistics of a label value.

    A weight is pixels / (classes * pixels of the class), so that the mean weight of a pixel is 1. Pixels whose class
    is unknown are not counted in weights and have none.

    Attributes:
        pixels: The number of its pixels, in one band.
        share: Their share of the split's pixels, from 0 to 1.
        chips: The number of chips that have such pixels.
        weight: The weight among all classes but the background; None for the background.
        weight_with_background: The weight among all classes and the background.
        layers: By layer the statistics of each band, over the pixels of the class; without layers that are coarser than
            the labels.
    """

    pixels: int
    share: float
    chips: int
    weight: float | None
    weight_with_background: float | None
    layers: Mapping[str, tuple[BandStatistics, ...]]

    @property
    def bands(self) -> tuple[BandStatistics, ...]:
        """Statistics of each band of the first layer, over the pixels of the class."""
        return next(iter(self.layers.values()), ())


@dataclass(frozen=True)
class SplitStatistics:
    """Statistics of a split.

    Attributes:
        chips: The number of tiles.
        pixels: The number of label pixels.
        layers: By layer the statistics of each band, over all steps of a time series.
        targets: By target the statistics of each label value; None if there are more than 256 values, or one is not an
            integer.
        measurements: By target of floats the statistics of its values.
        steps: For each time series, by layer, the statistics of each band in each step.
    """

    chips: int
    pixels: int
    layers: Mapping[str, tuple[BandStatistics, ...]]
    targets: Mapping[str, Mapping[int, ClassStatistics] | None]
    steps: Mapping[str, tuple[tuple[BandStatistics, ...], ...]] = field(default_factory=dict)
    measurements: Mapping[str, BandStatistics] = field(default_factory=dict)

    @property
    def bands(self) -> tuple[BandStatistics, ...]:
        """Statistics of each band of the first layer."""
        return next(iter(self.layers.values()))

    @property
    def classes(self) -> Mapping[int, ClassStatistics] | None:
        """Statistics of each value of the first target."""
        return next(iter(self.targets.values()))


def write_statistics_file(directory: Path, splits: Mapping[str, SplitStatistics]) -> None:
    """Write statistics.json."""
    content = {name: _split_to_json(split) for name, split in splits.items()}
    atomic_write(directory / STATISTICS_FILE, json.dumps(content, indent=1) + "\n")


def read_statistics_file(directory: Path) -> dict[str, SplitStatistics]:
    """Read statistics.json; InputError if it is not valid."""
    path = directory / STATISTICS_FILE
    try:
        return {split: _split_from_json(entry) for split, entry in json.loads(path.read_text()).items()}
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is not valid ({error!r}); delete it to have it made again") from error


def _split_to_json(split: SplitStatistics) -> Json:
    """The statistics of a split: `bands` and `classes`, or `layers` and `targets` where these have names."""
    content: Json = {"chips": split.chips, "pixels": split.pixels}
    layers: Json = {name: {"bands": _bands_to_json(bands)} for name, bands in split.layers.items()}
    for name, steps in split.steps.items():
        layers[name]["steps"] = [_bands_to_json(bands) for bands in steps]
    targets: Json = {name: {"classes": _classes_to_json(classes)} for name, classes in split.targets.items()}
    for name, band in split.measurements.items():
        targets[name]["values"] = asdict(band)
    content |= layers.get(UNNAMED, {"layers": layers})
    return content | (targets.get(UNNAMED, {"targets": targets}))


def _bands_to_json(bands: Sequence[BandStatistics]) -> list[Json]:
    return [asdict(band) for band in bands]


def _classes_to_json(classes: Mapping[int, ClassStatistics] | None) -> Json | None:
    if classes is None:
        return None
    content: Json = {}
    for value, entry in classes.items():
        fields = {key: item for key, item in vars(entry).items() if key != "layers"}
        layers = {name: _bands_to_json(bands) for name, bands in entry.layers.items()}
        unnamed = {"bands": layers[UNNAMED]} if UNNAMED in layers else {"layers": layers}
        content[str(value)] = fields | unnamed
    return content


def _split_from_json(entry: Json) -> SplitStatistics:
    layers = entry.get("layers", {UNNAMED: entry})
    targets = entry.get("targets", {UNNAMED: entry})
    return SplitStatistics(
        entry["chips"],
        entry["pixels"],
        {name: _bands_from_json(layer["bands"]) for name, layer in layers.items()},
        {name: _classes_from_json(target["classes"]) for name, target in targets.items()},
        {name: tuple(map(_bands_from_json, layer["steps"])) for name, layer in layers.items() if "steps" in layer},
        {name: _bands_from_json([target["values"]])[0] for name, target in targets.items() if "values" in target},
    )


def _bands_from_json(entries: Sequence[Json]) -> tuple[BandStatistics, ...]:
    return tuple(BandStatistics(**entry | {"percentiles": _by_number(entry["percentiles"])}) for entry in entries)


def _classes_from_json(entries: Json | None) -> dict[int, ClassStatistics] | None:
    if entries is None:
        return None
    classes = {}
    for value, entry in entries.items():
        layers = entry["layers"] if "layers" in entry else {UNNAMED: entry["bands"]}
        fields = {key: item for key, item in entry.items() if key not in ("bands", "layers")}
        bands = {name: _bands_from_json(of_layer) for name, of_layer in layers.items()}
        classes[int(value)] = ClassStatistics(**fields, layers=bands)
    return classes


def _by_number(entries: Json | None) -> dict[int, Any] | None:
    return None if entries is None else {int(key): value for key, value in entries.items()}
