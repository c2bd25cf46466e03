"""The named layers of `imagery` and the named targets of `labels`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from segchips.config.blocks import Block, problem, share_keys
from segchips.config.imagery import ImageryConfig
from segchips.config.labels import LabelLayer, LabelsConfig

UNNAMED = ""
"""The name of the only layer or target of a dataset that names none."""
_RECORD_KEYS = ("image", "label", "target", "identifier", "crs", "transform", "split", "bands", "acquired")
_PartName = Annotated[str, Field(pattern="^([a-z][a-z0-9_]*)?$")]


@dataclass(frozen=True)
class ImageLayers(Block):
    """Where scenes come from and how they become one chip of each layer.

    In the file, keys of a layer may also stand beside `layers`: each layer takes those that it does not override.
    """

    SHARED: ClassVar = (ImageryConfig, "layers")

    layers: Annotated[Mapping[_PartName, ImageryConfig], Field(min_length=1)]
    """Named layers, such as `{s2: {...}, dem: {...}}`, which are searched, composited and stored by themselves; each
    overrides any key above. Without it there is one layer without a name."""

    @property
    def first(self) -> ImageryConfig:
        """The first layer."""
        return next(iter(self.layers.values()))

    @model_validator(mode="before")
    @classmethod
    def _complete_layers(cls, raw: Any) -> Any:
        return share_keys(raw, *cls.SHARED)

    @model_validator(mode="after")
    def _check(self) -> "ImageLayers":
        _check_names(self.layers, "layers")
        if all(layer.optional for layer in self.layers.values()):
            raise problem("optional", "every layer is optional; a tile needs scenes of at least one layer")
        return self


@dataclass(frozen=True)
class LabelTargets(Block):
    """The label layers of each target in burning order (later layers win), and how they are burned.

    In the file, keys of a target may also stand beside `targets`: each target takes those that it does not override.
    """

    SHARED: ClassVar = (LabelsConfig, "targets")

    targets: Annotated[Mapping[_PartName, LabelsConfig], Field(min_length=1)]
    """Named targets, such as `{landuse: {...}, roads: {...}}`, each with label chips of its own; each overrides any key
    above. Tiles are split and selected by the first. Without it there is one target without a name."""

    @property
    def first(self) -> LabelsConfig:
        """The first target, by which tiles are split and selected."""
        return next(iter(self.targets.values()))

    @property
    def layers(self) -> tuple[LabelLayer, ...]:
        """The label layers of all targets, each once."""
        layers: list[LabelLayer] = []
        for target in self.targets.values():
            layers += [layer for layer in target.layers if layer not in layers]
        return tuple(layers)

    @model_validator(mode="before")
    @classmethod
    def _complete_targets(cls, raw: Any) -> Any:
        return share_keys(raw, *cls.SHARED)

    @model_validator(mode="after")
    def _check(self) -> "LabelTargets":
        _check_names(self.targets, "targets")
        return self


def _check_names(parts: Mapping[str, Any], key: str) -> None:
    for name in parts:
        if name in _RECORD_KEYS or (name == UNNAMED and len(parts) > 1):
            text = f"'{name}' cannot be a name, for records have a key of that name; choose another"
            raise problem(f"{key}.{name}" if name else key, text)
