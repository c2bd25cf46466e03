"""The config: declared, merged, checked and described."""

from segchips.config.model import TFRecordsConfig

__all__ = ["TFRecordsConfig"]
