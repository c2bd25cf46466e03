"""Training data for image segmentation: chips, labels and TFRecords from satellite imagery."""

from typing import Any

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'segchips' has no attribute '{name}'")
    from segchips import reading

    return getattr(reading, name)
