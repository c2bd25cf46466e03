"""The config as typed, merged datasets; see `workflow/schemas/config.schema.yaml` for every key's meaning."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from segchips.grids.tile import Grid

PLATFORMS = ("descarteslabs", "earthone")


@dataclass(frozen=True)
class TilesConfig:
    """Which tiles: the grid, and an AOI, explicit keys, or neither (the extent of the labels)."""

    size: int
    pad: int
    resolution: float
    aoi: str | None
    layer: str | None
    keys: tuple[str, ...] | str | None

    @property
    def grid(self) -> Grid:
        """The grid the tiles are cut from."""
        return Grid(self.size, self.pad, self.resolution)


@dataclass(frozen=True)
class Product:
    """One product (of a platform, or a STAC collection) and the bands taken from it, in chip order."""

    id: str
    bands: tuple[str, ...]
    resampling: str
    nodata: float | None
    processing_level: str | None = None


@dataclass(frozen=True)
class CloudMask:
    """The band that says which pixels are clear: by `clear` values, or by `bits` that mark what is not clear."""

    asset: str | None
    product: str | None
    band: str | None
    clear: tuple[int, ...] | None
    bits: tuple[int, ...] | None


@dataclass(frozen=True)
class ImageryConfig:
    """Where the scenes come from and how they become one chip.

    What is not in the text form changes no result: the policy on failures, and the platforms' requests at once.
    """

    source: str
    catalog: str | None
    sign: str | None
    products: tuple[Product, ...]
    start: date
    end: date
    max_cloud: float | None
    composite: str
    reference_date: date | None
    cloud_mask: CloudMask | None
    min_valid: float
    provenance: bool
    on_failure: str = field(default="fail", repr=False)
    patience: float = field(default=300, repr=False)
    requests: int = field(default=8, repr=False)

    @property
    def on_platform(self) -> bool:
        """Whether a platform searches, warps and mosaics; else files are read."""
        return self.source in PLATFORMS


@dataclass(frozen=True)
class LabelLayer:
    """One vector layer and how its features become values."""

    path: str
    layer: str | None
    attribute: str | None
    value: int
    classes: Mapping[str, int | None] | None


@dataclass(frozen=True)
class Coverage:
    """The polygons inside which everything is labelled."""

    path: str
    layer: str | None


@dataclass(frozen=True)
class LabelsConfig:
    """The layers in burning order (later wins), and how they are burned.

    `unknown` is the value of pixels that nobody knows: where the image shows nothing, and outside `coverage`, where
    there is one.
    """

    layers: tuple[LabelLayer, ...]
    background: int
    all_touched: bool
    unknown: int | None = None
    coverage: Coverage | None = None

    @property
    def names(self) -> dict[int, str]:
        """The names that the config gives to values: those of `classes`, or the layer's where it burns one value."""
        names: dict[int, list[str]] = {}
        for layer in self.layers:
            given = layer.classes if layer.attribute else {layer.layer or Path(layer.path).stem: layer.value}
            for name, value in (given or {}).items():
                if value is not None and name not in names.setdefault(value, []) and name:
                    names[value].append(name)
        return {value: ", ".join(parts) for value, parts in names.items()}


@dataclass(frozen=True)
class SplittingConfig:
    """How tiles are split: by tile, by ground blocks of `block` metres, or by regions; `guard` is in metres.

    `shares` are those of `tfrecords.splits`.
    """

    shares: Mapping[str, float]
    by: str
    block: float
    guard: float
    allow_overlap: bool
    cover: bool
    seed: int
    path: str | None
    layer: str | None
    attribute: str


@dataclass(frozen=True)
class Range:
    """The least and the greatest share of a tile that is kept."""

    min: float = 0
    max: float = 1


@dataclass(frozen=True)
class SelectConfig:
    """Which tiles are kept: by their shares of labelled pixels and of classes, and what share of empty tiles."""

    labelled: Range
    classes: Mapping[int, Range]
    empty: float | None

    @property
    def by_label(self) -> bool:
        """Whether the choice depends on labels."""
        return self.labelled != Range() or bool(self.classes) or self.empty is not None


@dataclass(frozen=True)
class TFRecordsConfig:
    """How chips become records; `shards` counts the files of each split, 0 lets their size decide."""

    storage: str
    shards: int
    compression: str | None
    splits: Mapping[str, float]
    quality: int = 95


@dataclass(frozen=True)
class Dataset:
    """One named dataset: everything the steps need to know."""

    name: str
    tiles: TilesConfig
    imagery: ImageryConfig
    labels: LabelsConfig
    tfrecords: TFRecordsConfig
    splitting: SplittingConfig
    select: SelectConfig


@dataclass(frozen=True)
class Conversion:
    """A dataset that starts from two folders of chips made elsewhere."""

    name: str
    images: Path
    labels: Path
    background: int | None
    tfrecords: TFRecordsConfig


@dataclass(frozen=True)
class Config:
    """The whole config: results folder, requests at once, and by name the datasets and those that start from chips."""

    results: Path
    requests: int
    datasets: Mapping[str, Dataset]
    conversions: Mapping[str, Conversion]
