"""The block `tfrecords`: how chips become records."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from segchips.config.blocks import KEEP_INTEGER, NAME_PATTERN, Block, Integer, Name, Number, problem

PICTURES = ("png", "jpeg")
"""The storages that are 8-bit pictures."""
_SPLITS = {"train": 0.8, "val": 0.1, "test": 0.1}
_Shards = Annotated[Integer, Field(ge=1, le=99999)]


def _null_as_zero(value: object, check: ValidatorFunctionWrapHandler) -> object:
    return 0 if value is None else check(value)


@dataclass(frozen=True)
class TFRecordsConfig(Block):
    """How chips become records.

    Args:
        storage: How pixels are stored.
        shards: Number of files of each split; 0 makes as many as bring each to about 150 MB.
        compression: Compression of whole shard files, or None.
        splits: Names of splits and their shares.
        quality: JPEG quality of the images.
    """

    storage: Literal["array", "float", "encoded", "png", "jpeg"] = "array"
    """array stores raw pixels, float 32-bit floats, encoded the bytes of the chip file, png and jpeg 8-bit pictures."""
    shards: Annotated[_Shards, WrapValidator(_null_as_zero, json_schema_input_type=_Shards | None)] = 4
    """Files of each split; null, the default for datasets of chips, makes as many as bring each to about 150 MB."""
    compression: Literal["GZIP", "ZLIB", None] = None
    """Compression of the whole shard file."""
    splits: Annotated[
        Mapping[Name, Annotated[Number, Field(gt=0), KEEP_INTEGER]],
        Field(min_length=1, json_schema_extra={"default": _SPLITS}),
    ] = field(default_factory=lambda: dict(_SPLITS))
    """Split names and their shares of the tiles."""
    quality: Annotated[Integer, Field(ge=1, le=100)] = 95
    """JPEG quality of the images; labels are always stored without loss."""

    @model_validator(mode="after")
    def _check(self) -> "TFRecordsConfig":
        for split in self.splits:
            if fault := split_name_fault(split):
                raise problem(f"splits.{split}", fault)
        return self


def picture_fault(storage: str, bands: int) -> str:
    """Why pictures cannot hold chips of so many bands; empty if they can, or if records hold no pictures."""
    if storage not in PICTURES or bands in (1, 3):
        return ""
    return f"'{storage}' holds 1 or 3 bands, and the products have {bands}; choose 'array', or other bands"


def picture_dtype_fault(storage: str, dtypes: Mapping[str, str]) -> str:
    """Why pictures cannot hold chips of products with these dtypes; empty if they can, or if records hold none."""
    wrong = [f"product '{product}' has {dtype}" for product, dtype in dtypes.items() if dtype != "uint8"]
    if storage not in PICTURES or not wrong:
        return ""
    return f"'{storage}' holds 8-bit pixels, and {', '.join(wrong)}; choose 'array' or 'encoded'"


def split_name_fault(split: str) -> str:
    """Why TensorFlow Datasets could not read a split of this name; empty if it can."""
    if split == "all":
        return "a split cannot be named 'all', which means all splits in TensorFlow Datasets; choose another name"
    if not re.fullmatch(NAME_PATTERN, split):
        return f"split name '{split}' must be lower-case letters, digits and _, beginning with a letter"
    return ""
