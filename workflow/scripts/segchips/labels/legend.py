"""Names and colours of classes: those of the config, and those that class rasters give to their values."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from rasterio.errors import RasterioError

from segchips.config.class_keys import is_number_key
from segchips.config.labels import LabelLayer, LabelsConfig
from segchips.labels.raster_classes import LEFT_OUT, RasterClasses
from segchips.labels.value_entries import ValueEntry, read_value_entries
from segchips.tiles.label_rasters import raster_files

_FILES = 4
"""Rasters of a layer that are asked for names and colours; those of a folder have the same."""


@dataclass(frozen=True)
class ClassLegend:
    """Names and colours (red, green and blue from 0 to 255) of classes, by their number."""

    names: dict[int, str] = field(default_factory=dict)
    colours: dict[int, tuple[int, int, int]] = field(default_factory=dict)


def read_legend(labels: LabelsConfig) -> ClassLegend:
    """Returns the names and colours of a target's classes.

    A name in the config counts first. Classes whose keys are numbers have the names that rasters give to their values.
    """
    names = {value: name for value, name in labels.names.items() if not all(map(is_number_key, name.split(", ")))}
    found: dict[int, list[str]] = {}
    legend = ClassLegend({**labels.names})
    if labels.kind != "classes":
        return legend
    for number, entry in _raster_entries(labels):
        if entry.name and number not in names and entry.name not in found.setdefault(number, []):
            found[number].append(entry.name)
        if entry.colour:
            legend.colours.setdefault(number, entry.colour)
    legend.names.update({number: ", ".join(parts) for number, parts in found.items() if parts})
    return legend


def _raster_entries(labels: LabelsConfig) -> Iterator[tuple[int, ValueEntry]]:
    """What rasters say of their values, by the class that the config makes of each."""
    for layer in labels.layers:
        classes = RasterClasses(layer, labels.background)
        for file in _files(layer):
            try:
                entries = read_value_entries(file, layer.band)
            except RasterioError:
                continue
            for value, entry in entries.items():
                number = classes.class_of(value, entry.name)
                if number is not None and number != LEFT_OUT:
                    yield number, entry


def _files(layer: LabelLayer) -> tuple[str, ...]:
    return raster_files(layer.path, layer.asset)[:_FILES] if layer.may_be_raster else ()
