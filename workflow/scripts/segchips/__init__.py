"""Training data for image segmentation: chips, labels and TFRecords from satellite imagery."""

from importlib import import_module
from typing import Any

from segchips.errors import LibraryError

_MODULES = {
    "load": "reading",
    "parse_array": "reading",
    "parse_float": "reading",
    "parse_picture": "reading",
    "parse_encoded": "reading",
    "parse_encoded_float": "reading",
    "read_info": "description",
    "mosaic": "mosaics",
    "read": "examples",
    "statistics": "pixelstats",
    "verify": "verification",
    "convert": "chipfolders",
    "pair_chips": "chipfolders",
    "Chips": "pytorch",
    "ChipStream": "pytorch",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'segchips' has no attribute '{name}'")
    try:
        return getattr(import_module(f"segchips.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        needed = error.name
        raise LibraryError(f"segchips.{name} needs {needed}, which is not installed: pip install {needed}") from error
