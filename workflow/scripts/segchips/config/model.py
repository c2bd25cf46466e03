"""The config file, and the datasets that it declares."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from segchips.config.blocks import Block, Derived, Integer, Name, Text, problem
from segchips.config.chips import ChipsConfig
from segchips.config.layers import UNNAMED, ImageLayers, LabelTargets
from segchips.config.splitting import SelectConfig, SplittingConfig
from segchips.config.tfrecords import PICTURES, TFRecordsConfig, picture_fault
from segchips.config.tiles import IMAGERY, TilesConfig


@dataclass(frozen=True, kw_only=True)
class Dataset(Block):
    """A dataset with its defaults merged in."""

    name: Derived[str] = ""
    tiles: TilesConfig = TilesConfig(resolution=10.0)
    """Which tiles are made."""
    imagery: ImageLayers
    """Where scenes come from and how they become one chip of each layer."""
    labels: LabelTargets
    """The features and how they are burned."""
    tfrecords: TFRecordsConfig = TFRecordsConfig()
    """How chips become records."""
    splitting: SplittingConfig = SplittingConfig()
    """How tiles are assigned to the splits of `tfrecords.splits`."""
    select: SelectConfig = SelectConfig()
    """Which tiles are kept by their labels; the others are in the ledger as dropped, with the reason."""

    @model_validator(mode="after")
    def _complete(self) -> "Dataset":
        """Checks blocks against each other, and completes those that depend on others."""
        if not self.tfrecords.shards:
            reason = "a tile's shard follows from its key alone, so that it stays the same when the area grows"
            raise problem("tfrecords.shards", f"null is for datasets of chips; give a number ({reason})")
        for layer in self.imagery.layers.values():
            storage, bands = self.tfrecords.storage, sum(len(product.bands) for product in layer.products)
            if storage in PICTURES and layer.is_series:
                raise problem("tfrecords.storage", f"'{storage}' holds no time series; choose 'array' or 'encoded'")
            # Products of files may name no bands: the step `scenes` finds them in the files, and checks them.
            if all(product.bands for product in layer.products) and (fault := picture_fault(storage, bands)):
                raise problem("tfrecords.storage", fault)
        for target in self.labels.targets.values():
            if self.tfrecords.storage in PICTURES and target.kind != "classes":
                text = f"'{self.tfrecords.storage}' holds classes, and labels.kind is '{target.kind}'; choose 'array'"
                raise problem("tfrecords.storage", text)
        if self.tiles.grid == IMAGERY and self.imagery.first.on_platform:
            text = f"'{IMAGERY}' follows the pixels of files, and source '{self.imagery.first.source}' has none"
            raise problem("tiles.grid", f"{text}; give a projected CRS as in {{crs: EPSG:3035}}, or dltile")
        self._check_resolutions()
        for name in (self.imagery.layers.keys() & self.labels.targets.keys()) - {UNNAMED}:
            raise problem(f"labels.targets.{name}", f"'{name}' is also a layer of imagery; choose another name")
        if self.splitting.cover and self.labels.first.kind == "continuous":
            text = "true gives splits the classes that they lack, and labels.kind 'continuous' has none; remove the key"
            raise problem("splitting.cover", text)
        splitting = self.splitting.completed(self.tiles, self.tfrecords.splits)
        return replace(self, splitting=splitting, select=self.select.completed(self.labels.first))

    def _check_resolutions(self) -> None:
        for name, layer in self.imagery.layers.items():
            if layer.resolution is None or self.tiles.resolution is None:
                continue
            factor = layer.resolution / self.tiles.resolution
            key = f"imagery.layers.{name}.resolution" if name else "imagery.resolution"
            if factor != round(factor) or factor < 1:
                text = f"{layer.resolution} is not a whole multiple of tiles.resolution ({self.tiles.resolution})"
                raise problem(key, text)
            if self.tiles.size % round(factor):
                text = f"tiles of {self.tiles.size} pixels cannot be divided by {factor:g}; choose another tiles.size"
                raise problem(key, text)


@dataclass(frozen=True, kw_only=True)
class Conversion(Block):
    """A dataset that starts from chips made elsewhere."""

    name: Derived[str] = ""
    chips: ChipsConfig
    """Folders of image and label chips in any raster format that GDAL reads, paired by file name."""
    tfrecords: TFRecordsConfig = TFRecordsConfig()
    """How chips become records."""
    splitting: SplittingConfig = SplittingConfig()
    """How chips are assigned to the splits of `tfrecords.splits`, where neither lists nor folders name their splits."""

    @model_validator(mode="after")
    def _complete(self) -> "Conversion":
        """Checks blocks against each other, and completes those that depend on others."""
        if self.chips.splits and self.splitting.by != "tile":
            raise problem(
                "splitting.by", f"'{self.splitting.by}' beside chips.splits, which names the splits; remove one"
            )
        for split in self.chips.splits or {}:
            if split not in self.tfrecords.splits:
                raise problem(
                    f"chips.splits.{split}", f"not a split of tfrecords.splits ({', '.join(self.tfrecords.splits)})"
                )
        return replace(self, splitting=self.splitting.completed_for_chips(self.tfrecords.splits))


AUTO = "auto"
_STORES = ("s3", "gs", "az", "file")


def _on_this_machine(folder: str) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", folder):
        advice = "name a folder, and copy the finished dataset with `snakemake publish`"
        raise problem("", f"{folder!r} is a URL, and results are written to a folder of this machine; {advice}")
    return folder


def _store_address(address: str) -> str:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", address)
    if scheme and not (scheme[1] in _STORES and address.startswith(f"{scheme[1]}://")):
        known = ", ".join(f"{name}://" for name in _STORES)
        raise problem("", f"{address!r} is not usable; name a folder, or a place in a store that starts with {known}")
    if scheme and ("@" in address or "?" in address):
        raise problem("", "an address must not hold credentials or a query; give credentials in environment variables")
    return address


def _count_or_auto(count: int | str) -> int | str:
    if count != AUTO and (isinstance(count, str) or count < 1):
        raise problem("", f"{count!r} is not usable; write auto, or a whole number from 1 on")
    return count


@dataclass(frozen=True)
class ConfigFile(Block):
    """One file: a `defaults` block, and named datasets that override it key by key."""

    datasets: Annotated[Mapping[Name, Mapping[str, Any] | None], Field(min_length=1)]
    """The datasets by name; each overrides `defaults` key by key, an empty one takes them as they are."""
    results: Annotated[Text, Field(pattern=r"^[^{}\x00-\x1f]+$"), AfterValidator(_on_this_machine)] = "results"
    """Folder that receives one folder for each dataset; a path without braces."""
    publish: Annotated[Text, AfterValidator(_store_address)] | None = None
    """Folder or object store (`s3://bucket/path`, `gs://`, `az://`) that `snakemake publish` copies datasets to."""
    requests: Annotated[Integer, Field(ge=1, le=128)] = 32
    """Requests for pixels that are under way at the same time, to a platform or to the servers of a catalogue's files,
    whatever the number of cores."""
    tiles_per_job: Annotated[Integer | Text, AfterValidator(_count_or_auto)] = AUTO
    """Of how many tiles, about, one job makes the chips; `auto` is 1, and 1000 for datasets of 1,000 tiles or more.
    Results are the same."""
    defaults: Annotated[Mapping[str, Any], Field(json_schema_extra={"default": {}})] = field(default_factory=dict)
    """Values that every dataset starts from; same keys as a dataset."""


@dataclass(frozen=True)
class Config:
    """The checked config: results folder, concurrent requests, tiles of a job, and datasets by name.

    `datasets` start from an area, imagery and labels, `conversions` from folders of chips.
    """

    results: Path
    requests: int
    datasets: Mapping[str, Dataset]
    conversions: Mapping[str, Conversion]
    publish: str | None = None
    tiles_per_job: int | str = AUTO
