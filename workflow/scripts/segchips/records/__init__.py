"""Chips as TFRecords: written, reused, converted and described."""
