"""The block `chips`: folders of image and label chips made elsewhere, and what their label values mean."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from segchips.config.blocks import KEEP_INTEGER, Block, ClassValue, Integer, Name, Number, Text, problem

_COLOUR = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})|(\d{1,3})[ ,]+(\d{1,3})[ ,]+(\d{1,3})")
_Folders = Text | Annotated[list[Text], Field(min_length=1)]

LabelValue = int | tuple[int, int, int]
"""A value of a label chip, or its colour as red, green and blue."""


def parse_label_value(text: str) -> LabelValue | None:
    """A number, or a colour such as `#ff0000` or `255, 0, 0`; None for any other text."""
    if re.fullmatch(r"-?\d+", text.strip()):
        return int(text)
    if not (match := _COLOUR.fullmatch(text.strip())):
        return None
    parts = [int(part, 16) for part in match.groups()[:3]] if match[1] else [int(part) for part in match.groups()[3:]]
    return (parts[0], parts[1], parts[2]) if max(parts) < 256 else None


@dataclass(frozen=True)
class ChipsConfig(Block):
    """Folders of image and label chips in any raster format that GDAL reads, paired by file name."""

    images: _Folders
    """Folder of the image chips, or a list of such folders. Folders inside are searched as well."""
    labels: _Folders
    """Folder of the label chips, or a list with one for each folder of images; it may be the folder of the images."""
    image_names: Text | None = None
    """How image files are named below their folder, such as `{name}_sat` or `{split}/images/{name}.png`; null uses the
    path itself."""
    label_names: Text | None = None
    """As `image_names`, for label files."""
    splits: Annotated[Mapping[Name, Text], Field(min_length=1)] | None = None
    """By split, a text file that lists the names of its chips, one a line; chips in no list are left out."""
    kind: Literal["classes", "continuous"] = "classes"
    """classes: labels are whole numbers; continuous: labels are measured values, which become float32 with NaN where
    there is none."""
    classes: Annotated[Mapping[str, ClassValue], Field(min_length=1)] | None = None
    """Class numbers by label value or colour, such as `{0: 0, 255: 1}` or `{"#ff0000": 1}`; a chip with another value
    is left out. null keeps the values."""
    background: Integer | None = None
    """The label value that stands for no class, if there is one; recorded as the labels' nodata."""
    unknown: ClassValue | None = None
    """The label value where image or label has no valid value; null leaves labels as they are."""
    nodata: Annotated[Number, KEEP_INTEGER] | None = None
    """The value that pixels of images without a valid value have; null takes the nodata value that most chips have."""

    @model_validator(mode="after")
    def _check(self) -> "ChipsConfig":
        for value in self.classes or {}:
            if parse_label_value(value) is None:
                text = "not a label value; give a whole number, or a colour such as '#ff0000' or '255, 0, 0'"
                raise problem(f"classes.{value}", text)
        if self.kind == "continuous" and (self.classes or self.unknown is not None):
            raise problem("kind", "continuous labels have neither classes nor an unknown value; remove these keys")
        if len(self.image_folders) != len(self.label_folders):
            text = (
                f"{len(self.label_folders)} folders for {len(self.image_folders)} folders of images; give one for each"
            )
            raise problem("labels", text)
        if (self.image_names is None) != (self.label_names is None):
            missing = "label_names" if self.label_names is None else "image_names"
            raise problem(missing, "missing; image_names and label_names go together")
        for key in ("image_names", "label_names"):
            pattern = getattr(self, key)
            if pattern is not None and (pattern.count("{name}") != 1 or pattern.count("{split}") > 1):
                text = f"'{pattern}' must hold {{name}} once and {{split}} at most once, such as '{{name}}_sat'"
                raise problem(key, text)
        return self

    @property
    def image_folders(self) -> tuple[str, ...]:
        """The folders of images."""
        return (self.images,) if isinstance(self.images, str) else tuple(self.images)

    @property
    def label_folders(self) -> tuple[str, ...]:
        """The folders of labels, in the order of those of images."""
        return (self.labels,) if isinstance(self.labels, str) else tuple(self.labels)

    @property
    def class_numbers(self) -> dict[LabelValue, int]:
        """The class number of each label value or colour."""
        values = {parse_label_value(text): number for text, number in (self.classes or {}).items()}
        return {value: number for value, number in values.items() if value is not None}

    @property
    def names(self) -> dict[int, str]:
        """By class number, the label values or colours that became it; empty without `classes`."""
        names: dict[int, list[str]] = {}
        for value, number in (self.classes or {}).items():
            names.setdefault(number, []).append(value)
        return {number: ", ".join(values) for number, values in names.items()}
