"""The blocks `splitting` and `select`: which split a tile goes to, and which tiles are kept."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from segchips.config.blocks import KEEP_INTEGER, Block, Derived, Flag, Integer, Number, Share, Text, problem
from segchips.config.labels import LabelsConfig
from segchips.config.tiles import DLTILE, TilesConfig
from segchips.errors import InputError

_TILES = re.compile(r"([1-9][0-9]*) tiles?")


@dataclass(frozen=True)
class SplittingConfig(Block):
    """How tiles are assigned to the splits of `tfrecords.splits`, whose shares are in `shares`."""

    shares: Derived[Mapping[str, float]] = field(default_factory=dict)
    by: Literal["tile", "block", "region"] = "tile"
    """The unit that goes to one split: each tile, each square block of ground, or each region of a layer."""
    block: Annotated[Number, Field(gt=0)] | str = "8 tiles"
    """Side of a block, in metres or as a text such as `8 tiles`."""
    guard: Annotated[Number, Field(ge=0), KEEP_INTEGER] = 0
    """Least distance in metres between tiles of different splits if these may not overlap, including padding; of two
    tiles that are nearer, the one in the larger split is dropped. 0 drops tiles that overlap."""
    allow_overlap: Flag | None = None
    """Whether tiles of different splits may overlap; if not, tiles are dropped, and overlap that remains is an error.
    null allows it if tiles are split one by one and overlap by their padding alone."""
    cover: Flag | None = None
    """Move a block (or tile) from another split to a split that is empty or lacks a class; null does so for blocks."""
    seed: Annotated[Integer, Field(ge=0)] = 0
    """Another number draws other splits and other empty tiles."""
    path: str | None = None
    """For regions, the vector file whose polygons name splits; null uses the AOI file."""
    layer: str | None = None
    """For regions, the layer of the file; needed only if the file has several."""
    attribute: Text = "split"
    """For regions, the attribute that names the split."""

    def block_size(self, core: float) -> float:
        """Returns the side of a block in metres.

        Args:
            core: The side of a tile's core box in metres.

        Raises:
            InputError: A block is smaller than a tile.
        """
        count = _TILES.fullmatch(str(self.block))
        length = int(count[1]) * core if count else float(self.block)
        if length < core:
            advice = "give at least one tile, such as '8 tiles'"
            raise InputError(f"{length:g} m is less than a tile ({core:g} m); {advice}")
        return length

    def completed(self, tiles: TilesConfig, shares: Mapping[str, float]) -> "SplittingConfig":
        """Replaces null, and a block size in tiles, by what they stand for.

        Args:
            tiles: The tiles that are split.
            shares: The shares of the splits by name.

        Returns:
            The block with `block` in metres where the grid is `dltile`, and `allow_overlap` and `cover` true or false.

        Raises:
            PydanticCustomError: Keys contradict each other; names the key below `splitting`.
        """
        if isinstance(self.block, str) and not _TILES.fullmatch(self.block):
            text = f"'{self.block}' is not a valid length; give metres, or tiles such as '8 tiles'"
            raise problem("splitting.block", text)
        block: float | str = self.block
        if tiles.grid == DLTILE:
            try:
                block = self.block_size(tiles.tile_grid().core)
            except InputError as error:
                raise problem("splitting.block", str(error)) from error
        only_padding = not tiles.stride and not tiles.centers
        overlap = self.by == "tile" and only_padding if self.allow_overlap is None else self.allow_overlap
        if self.guard and overlap:
            text = f"{self.guard} m between splits that may overlap; set allow_overlap: false, or remove guard"
            raise problem("splitting.guard", text)
        own_file = self.path or self.by != "region"
        path, layer = (self.path, self.layer) if own_file else (tiles.aoi, tiles.layer)
        if not own_file and not path:
            raise problem("splitting.path", "missing; name the vector file whose polygons name splits")
        cover = self.by == "block" if self.cover is None else self.cover
        if cover and self.by == "region":
            raise problem("splitting.cover", "true would move tiles out of their regions; remove the key")
        return replace(self, shares=shares, block=block, allow_overlap=overlap, cover=cover, path=path, layer=layer)

    def completed_for_chips(self, shares: Mapping[str, float]) -> "SplittingConfig":
        """Replaces null by what it stands for in a dataset of chips made elsewhere.

        Args:
            shares: The shares of the splits by name.

        Raises:
            PydanticCustomError: A key is for datasets of tiles; names it below `splitting`.
        """
        for key, used in (("by", self.by == "region"), ("cover", self.cover), ("path", self.path)):
            if used:
                text = f"'{getattr(self, key)}' is for datasets with tiles; give tile (by name) or block"
                raise problem(f"splitting.{key}", text)
        if isinstance(self.block, str) and not re.fullmatch(r"[1-9][0-9]* tiles?", self.block):
            text = f"'{self.block}' is not a valid length; give metres, or chips such as '8 tiles'"
            raise problem("splitting.block", text)
        overlap = self.by == "tile" if self.allow_overlap is None else self.allow_overlap
        if self.guard and overlap:
            text = f"{self.guard} m between splits that may overlap; set allow_overlap: false, or remove guard"
            raise problem("splitting.guard", text)
        return replace(self, shares=shares, allow_overlap=overlap, cover=False)


@dataclass(frozen=True)
class Range(Block):
    """Least and greatest share of a label chip's pixels that hold a class."""

    min: Share = 0
    """A tile with a smaller share is dropped."""
    max: Share = 1
    """A tile with a greater share is dropped."""

    @model_validator(mode="after")
    def _check(self) -> "Range":
        if self.min > self.max:
            raise problem("", f"min {self.min} is above max {self.max}; no tile has such a share")
        return self


@dataclass(frozen=True)
class SelectConfig(Block):
    """Which tiles are kept, by their shares of labelled pixels and of classes."""

    labelled: Range = Range()
    """Least and greatest share of a label chip's pixels that hold a class."""
    classes: Annotated[Mapping[str, Range], Field(json_schema_extra={"default": {}})] = field(default_factory=dict)
    """As `labelled`, for the share of single classes, by number or by a name in `labels.classes`."""
    empty: Share | None = None
    """The share of tiles without any labelled pixel that are kept, drawn by hash; null treats them as all others."""

    @property
    def by_label(self) -> bool:
        """Whether the choice depends on labels."""
        return self.labelled != Range() or bool(self.classes) or self.empty is not None

    @property
    def class_ranges(self) -> dict[int, Range]:
        """The ranges by class number, once `completed` has replaced names."""
        return {int(number): limits for number, limits in self.classes.items()}

    def completed(self, labels: LabelsConfig) -> "SelectConfig":
        """Replaces the names of classes by their numbers.

        Args:
            labels: The labels whose classes may be named.

        Returns:
            The block with the numbers from 0 to 255 as keys of `classes`.

        Raises:
            PydanticCustomError: A class is unknown; names the key below `select`.
        """
        if labels.kind != "classes" and self.by_label:
            raise problem("select", f"chooses tiles by classes, and labels.kind '{labels.kind}' has none; remove it")
        names = {name: number for layer in labels.layers for name, number in (layer.classes or {}).items()}
        classes = {}
        for name, limits in self.classes.items():
            number = names.get(name, int(name) if name.isdecimal() else None)
            if number is None or not 0 <= number <= 255:
                listed = ", ".join(names) or "none"
                text = f"unknown class; give a number from 0 to 255 or a name in labels.classes ({listed})"
                raise problem(f"select.classes.{name}", text)
            classes[str(number)] = limits
        return replace(self, classes=classes)
