"""The block `labels`: the features and how they are burned."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from segchips.config.blocks import KEEP_INTEGER, Block, ClassValue, Flag, Number, Text, problem, share_keys
from segchips.vectors.options import ReadOptions


@dataclass(frozen=True)
class LabelLayer(Block):
    """One vector layer and how its features become values."""

    path: Text
    """Vector file that holds the labels, in any format that GDAL reads."""
    layer: str | None = None
    """Layer of the file; needed only if the file has several."""
    attribute: str | None = None
    """Attribute whose value is burned; null burns `value`."""
    value: ClassValue = 1
    """The value that is burned if no attribute is named."""
    classes: Mapping[str, ClassValue | None] | None = None
    """Attribute values (text, number or truth value) to class numbers, or to null to leave such features out. The key
    '' stands for features without a value, a key such as `10-19` for all numbers in the range."""
    buffer: Annotated[Number, Field(gt=0), KEEP_INTEGER] | Text | None = None
    """Metres on the ground around points and lines, or the attribute that holds them. null burns every pixel that a
    line touches, and the pixel that holds a point."""
    crs: Text | None = None
    """The CRS of the coordinates, such as EPSG:25833, where the file names none or a wrong one."""
    encoding: Text | None = None
    """The encoding of texts in the file, such as cp1252, where the file names none or a wrong one."""

    @property
    def options(self) -> ReadOptions:
        """How the layer is read."""
        return ReadOptions(self.crs, self.encoding, self.buffer, only_polygons=False, block="labels")


@dataclass(frozen=True)
class Coverage(Block):
    """The polygons inside which everything is labelled."""

    path: Text
    """Vector file in any format that GDAL reads."""
    layer: str | None = None
    """Layer of the file; needed only if the file has several."""
    crs: Text | None = None
    """The CRS of the coordinates, such as EPSG:25833, where the file names none or a wrong one."""

    @property
    def options(self) -> ReadOptions:
        """How the layer is read."""
        return ReadOptions(self.crs, block="labels.coverage")


@dataclass(frozen=True)
class LabelsConfig(Block):
    """The label layers in burning order (later layers win), and how they are burned.

    In the file, keys of a layer may also stand beside `layers`: each layer takes those that it does not override.
    """

    SHARED: ClassVar = (LabelLayer, "layers")
    IN_MAP: ClassVar = True

    layers: Annotated[tuple[LabelLayer, ...], Field(min_length=1)]
    """Several layers in burning order; each overrides the keys of a layer above."""
    background: ClassValue = 255
    """The value outside every feature, and the label chip's nodata."""
    all_touched: Flag = True
    """Burn every pixel that a feature touches, not only those whose centre it covers."""
    unknown: ClassValue | None = None
    """The value of pixels whose class is unknown, such as 254: those outside `coverage`, and in records also those
    where the image has no valid pixel. null leaves labels as burned."""
    coverage: Coverage | None = None
    """The polygons inside which everything is labelled; outside them labels are unknown."""

    @property
    def names(self) -> dict[int, str]:
        """Names of values: those in `classes`, or the layer's name where a layer burns one value."""
        names: dict[int, list[str]] = {}
        for layer in self.layers:
            values = layer.classes if layer.attribute else {layer.layer or Path(layer.path).stem: layer.value}
            for name, value in (values or {}).items():
                if value is not None and name not in names.setdefault(value, []) and name:
                    names[value].append(name)
        return {value: ", ".join(parts) for value, parts in names.items()}

    @model_validator(mode="before")
    @classmethod
    def _complete_layers(cls, raw: Any) -> Any:
        return share_keys(raw, *cls.SHARED)

    @model_validator(mode="after")
    def _check(self) -> "LabelsConfig":
        reserved = {"background": self.background, "unknown": self.unknown}
        for number, layer in enumerate(self.layers):
            if not layer.attribute and layer.classes:
                text = "given without attribute; name the attribute whose values they map"
                raise problem(f"layers.{number}.classes", text)
            for name, value in reserved.items():
                if not layer.attribute and layer.value == value:
                    text = f"{value} is also the {name}; choose another value for one of them"
                    raise problem(f"layers.{number}.value", text)
        if self.unknown == self.background:
            raise problem("unknown", f"{self.unknown} is also the background; choose another value for one of them")
        if self.unknown is None and self.coverage:
            raise problem("unknown", "null leaves no value for pixels outside coverage; name one, such as 254")
        return self
