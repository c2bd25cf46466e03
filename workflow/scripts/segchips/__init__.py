"""Training data for image segmentation: chips, labels and TFRecords from satellite imagery."""

from importlib import import_module
from typing import Any

from segchips.errors import LibraryError

_MODULES = {
    "load": "training.tensorflow",
    "parse_array": "training.tensorflow",
    "parse_float": "training.tensorflow",
    "parse_picture": "training.tensorflow",
    "parse_encoded": "training.tensorflow",
    "parse_encoded_float": "training.tensorflow",
    "read_info": "records.dataset_files",
    "mosaic": "training.mosaic",
    "predict": "training.predict",
    "read": "records.record_decoding",
    "statistics": "records.statistics",
    "verify": "training.verification",
    "convert": "records.conversion",
    "pair_chips": "records.chip_folders",
    "Chips": "training.pytorch",
    "ChipStream": "training.pytorch_stream",
    "collate": "training.pytorch",
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
