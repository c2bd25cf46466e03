"""The block `labels`: the features and how they are burned."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from segchips.config.blocks import KEEP_INTEGER, Block, ClassValue, Flag, Integer, Number, Text, problem, share_keys
from segchips.vectors.options import ReadOptions

RASTER_SUFFIXES = (
    ".tif", ".tiff", ".img", ".vrt", ".jp2", ".nc", ".bil", ".bsq", ".asc", ".png", ".sdat", ".rst", ".grd",
)  # fmt: skip
"""Endings of the names of rasters."""
DEFAULT_BACKGROUND = 255
"""The background of classes where the config names none."""


@dataclass(frozen=True)
class LabelLayer(Block):
    """One vector layer and how its features become values."""

    path: Text
    """Vector file or raster that holds the labels, in any format that GDAL reads; for rasters also a folder, a pattern
    such as `maps/*.tif`, or with `asset` a STAC catalogue."""
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
    asset: Text | None = None
    """For a STAC catalogue of rasters on this machine as `path`, the key of the asset that holds the labels."""
    band: Annotated[Integer, Field(ge=1)] = 1
    """For a raster, the band that holds the labels."""
    resampling: Literal["nearest", "mode", "bilinear", "average"] = "nearest"
    """For a raster, how its pixels become those of tiles; the last two are for continuous values."""
    nodata: Number | None = None
    """For a raster, the value of pixels without data, where the file declares none or a wrong one."""

    @property
    def may_be_raster(self) -> bool:
        """Whether the path has the form of a raster, a folder or a pattern, or is a catalogue."""
        is_raster = self.asset is not None or Path(self.path).suffix.lower() in ("", *RASTER_SUFFIXES)
        return is_raster or any(mark in self.path for mark in "*?[")

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
    background: ClassValue | None = None
    """The value outside every feature; for classes it is the label chip's nodata. null stands for 255, with
    `kind: continuous` for NaN, which is unknown, and with `kind: instances` for 0."""
    all_touched: Flag = True
    """Burn every pixel that a feature touches, not only those whose centre it covers."""
    unknown: ClassValue | None = None
    """The value of pixels whose class is unknown, such as 254: those outside `coverage`, and in records also those
    where the image has no valid pixel. null leaves labels as burned."""
    coverage: Coverage | None = None
    """The polygons inside which everything is labelled; outside them labels are unknown."""
    kind: Literal["classes", "continuous", "instances"] = "classes"
    """What a label pixel holds: the number of a class, a measurement such as a height, or the number of an object."""

    boundary: ClassValue | None = None
    """The value of the pixels along the edges of each feature, where another feature or none lies beside them, so that
    features that touch stay apart. null draws no boundaries."""

    def __post_init__(self) -> None:
        defaults = {"classes": DEFAULT_BACKGROUND, "instances": 0}
        if self.background is None and self.kind in defaults:
            object.__setattr__(self, "background", defaults[self.kind])

    @property
    def names(self) -> dict[int, str]:
        """Names of the values of pixels, which are classes; empty for other kinds."""
        return self.class_names if self.kind == "classes" else {}

    @property
    def class_names(self) -> dict[int, str]:
        """Names of classes, also of objects: those in `classes`, or the layer's name where a layer burns one value."""
        names: dict[int, list[str]] = {}
        for layer in self.layers:
            one_value = not layer.attribute and not layer.may_be_raster
            values = {layer.layer or Path(layer.path).stem: layer.value} if one_value else layer.classes or {}
            for name, value in values.items():
                if value is not None and name not in names.setdefault(value, []) and name:
                    names[value].append(name)
        if self.boundary is not None:
            names[self.boundary] = ["boundary"]
        return {value: ", ".join(parts) for value, parts in names.items()}

    @model_validator(mode="before")
    @classmethod
    def _complete_layers(cls, raw: Any) -> Any:
        return share_keys(raw, *cls.SHARED)

    @property
    def dtype(self) -> Literal["uint8", "uint32", "float32"]:
        """The NumPy name of the type in which labels are burned."""
        dtypes: dict[str, Literal["uint8", "uint32", "float32"]]
        dtypes = {"classes": "uint8", "instances": "uint32", "continuous": "float32"}
        return dtypes[self.kind]

    @model_validator(mode="after")
    def _check(self) -> "LabelsConfig":
        if self.boundary is not None and self.kind != "classes":
            raise problem("boundary", f"is a class, and kind '{self.kind}' has none; remove it")
        checks = {"continuous": self._checked_measurements, "instances": self._checked_instances}
        return checks.get(self.kind, self._checked_classes)()

    def _checked_measurements(self) -> "LabelsConfig":
        if self.unknown is not None:
            raise problem("unknown", "is for classes: with kind 'continuous', NaN is unknown; remove the key")
        for number, layer in enumerate(self.layers):
            if layer.classes:
                raise problem(
                    f"layers.{number}.classes", "maps values to classes, and kind 'continuous' has none; remove one"
                )
            if layer.resampling == "mode":
                raise problem(f"layers.{number}.resampling", "'mode' is for classes; choose 'average' or another")
        return self

    def _checked_instances(self) -> "LabelsConfig":
        if self.background != 0:
            raise problem("background", f"{self.background} is the number of an object; remove the key, 0 is outside")
        for key in ("unknown", "coverage"):
            if getattr(self, key) is not None:
                raise problem(key, "does not apply to kind 'instances', whose pixels are numbers of objects; remove it")
        return self

    def _checked_classes(self) -> "LabelsConfig":
        reserved = {"background": self.background, "unknown": self.unknown, "boundary": self.boundary}
        for number, layer in enumerate(self.layers):
            if not layer.attribute and layer.classes and not layer.may_be_raster:
                text = "given without attribute; name the attribute whose values they map"
                raise problem(f"layers.{number}.classes", text)
            if layer.resampling not in ("nearest", "mode"):
                raise problem(f"layers.{number}.resampling", f"'{layer.resampling}' mixes classes; choose 'mode'")
            for name, value in reserved.items():
                if not layer.attribute and layer.value == value and not layer.may_be_raster:
                    text = f"{value} is also the {name}; choose another value for one of them"
                    raise problem(f"layers.{number}.value", text)
            if self.boundary is not None and self.boundary in (layer.classes or {}).values():
                raise problem("boundary", f"{self.boundary} is also a class of layers.{number}; choose another value")
        if self.boundary is not None and self.boundary in (self.background, self.unknown):
            raise problem("boundary", f"{self.boundary} is also the background or unknown; choose another value")
        if self.unknown == self.background:
            raise problem("unknown", f"{self.unknown} is also the background; choose another value for one of them")
        if self.unknown is None and self.coverage:
            raise problem("unknown", "null leaves no value for pixels outside coverage; name one, such as 254")
        return self
