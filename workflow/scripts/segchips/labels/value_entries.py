"""Names and colours of raster values, whatever the format keeps them in.

A file may have category names, a colour table, an attribute table, or a table of ArcGIS beside it (`.vat.dbf`).
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import rasterio.shutil
from rasterio.io import MemoryFile

from segchips.tiles.label_rasters import table_beside

_VALUES, _NAMES = ("value", "min"), ("class_name", "name", "class", "label", "classname", "category")
_NAME_PARTS = ("class", "name", "label", "categ", "cover", "desc", "type")
_COLOURS = ("red", "green", "blue")
_USAGES = {"2": "name", "3": "value", "5": "value", "6": "red", "7": "green", "8": "blue"}
_TEXT = "2"


@dataclass(frozen=True)
class ValueEntry:
    """What a file says of a value: its name, '' where it has none, and red, green and blue from 0 to 255, or None."""

    name: str = ""
    colour: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class _Column:
    """A column of an attribute table; `role` is what its declared usage says, `is_text` whether it holds texts."""

    name: str
    role: str
    is_text: bool


def read_value_entries(path: str, band: int) -> dict[int, ValueEntry]:
    """Returns what a raster says of the values of a band; empty where it says nothing.

    A VRT of the file holds tables in one form for all formats.
    """
    with MemoryFile(ext=".vrt") as memory:
        rasterio.shutil.copy(path, memory.name, driver="VRT")
        root = ElementTree.fromstring(memory.read())
    element = root.find(f"VRTRasterBand[@band='{band}']")
    if element is None:
        return {}
    names = {number: name.text or "" for number, name in enumerate(element.findall("CategoryNames/Category"))}
    colours = {
        number: (int(entry.get("c1", 0)), int(entry.get("c2", 0)), int(entry.get("c3", 0)))
        for number, entry in enumerate(element.findall("ColorTable/Entry"))
    }
    entries = {value: ValueEntry(names.get(value, ""), colours.get(value)) for value in sorted({*names, *colours})}
    for table in (_attribute_table(element), _table_beside(path)):
        for value, entry in table.items():
            former = entries.get(value, ValueEntry())
            entries[value] = ValueEntry(entry.name or former.name, entry.colour or former.colour)
    return {value: entry for value, entry in entries.items() if entry != ValueEntry()}


def _attribute_table(band: ElementTree.Element) -> Mapping[int, ValueEntry]:
    table = band.find("GDALRasterAttributeTable")
    if table is None:
        return {}
    columns = [
        _Column(
            field.findtext("Name", "").lower(),
            _USAGES.get(field.findtext("Usage", ""), ""),
            field.findtext("Type", "") == _TEXT,
        )
        for field in table.findall("FieldDefn")
    ]
    return _entries(columns, ([cell.text or "" for cell in row.findall("F")] for row in table.findall("Row")))


def _table_beside(path: str) -> Mapping[int, ValueEntry]:
    import pyogrio.raw

    place = table_beside(path)
    if place is None:
        return {}
    try:
        meta, _, _, values = pyogrio.raw.read(place, read_geometry=False)
    except (RuntimeError, UnicodeDecodeError):
        return {}
    columns = [
        _Column(str(name).lower(), "", column.dtype.kind == "O")
        for name, column in zip(meta["fields"], values, strict=True)
    ]
    rows = zip(*(column.tolist() for column in values), strict=True)
    return _entries(columns, (["" if cell is None else str(cell) for cell in row] for row in rows))


def _entries(columns: Sequence[_Column], rows: Iterable[list[str]]) -> Mapping[int, ValueEntry]:
    value = _find(columns, "value", _VALUES)
    name = _find(columns, "name", _NAMES, _NAME_PARTS)
    channels = [_find(columns, colour, (colour,)) for colour in _COLOURS]
    if value is None:
        return {}
    rows = list(rows)
    factor = _colour_factor([cells[channel] for cells in rows for channel in channels if channel is not None])
    entries: dict[int, ValueEntry] = {}
    for cells in rows:
        with suppress(ValueError, OverflowError):
            number = int(float(cells[value]))
            entries[number] = ValueEntry(cells[name] if name is not None else "", _colour(cells, channels, factor))
    return entries


def _find(columns: Sequence[_Column], role: str, names: tuple[str, ...], parts: tuple[str, ...] = ()) -> int | None:
    """Returns the number of the column of a role: by its declared usage, its name, or a part of its name."""
    numbers = range(len(columns))
    by_usage = [number for number in numbers if columns[number].role == role]
    by_name = [number for name in names for number in numbers if columns[number].name == name]
    by_part = [
        number for number in numbers if columns[number].is_text and any(part in columns[number].name for part in parts)
    ]
    return next(iter([*by_usage, *by_name, *by_part]), None)


def _colour_factor(cells: Sequence[str]) -> int:
    """Returns what makes colours from 0 to 255 of a table's colours, which some tables write as shares from 0 to 1."""
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        return 1
    return 255 if any(number % 1 for number in numbers) and max(numbers) <= 1 else 1


def _colour(cells: Sequence[str], channels: Sequence[int | None], factor: int) -> tuple[int, int, int] | None:
    try:
        red, green, blue = (float(cells[channel]) * factor for channel in channels if channel is not None)
        return _byte(red), _byte(green), _byte(blue)
    except (ValueError, OverflowError):
        return None


def _byte(part: float) -> int:
    return min(255, max(0, round(part)))
