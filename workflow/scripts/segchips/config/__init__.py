"""The config: declared, merged, checked and described."""

from segchips.config.tfrecords import TFRecordsConfig

__all__ = ["TFRecordsConfig"]
