"""Names of raster values: category names and attribute tables, whatever the format keeps them in."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from contextlib import suppress

import rasterio.shutil
from rasterio.io import MemoryFile

_VALUE_USAGES, _NAME_USAGE = ("5", "3"), "2"
_VALUE_FIELDS, _NAME_FIELDS = ("value", "min"), ("class_name", "name", "class", "label", "classname", "category")


def read_value_names(path: str, band: int) -> dict[int, str]:
    """Returns the names of the values of a band; empty where the file has none.

    A VRT of the file holds them in one form for all formats.
    """
    with MemoryFile(ext=".vrt") as memory:
        rasterio.shutil.copy(path, memory.name, driver="VRT")
        root = ElementTree.fromstring(memory.read())
    element = root.find(f"VRTRasterBand[@band='{band}']")
    if element is None:
        return {}
    names = {number: name.text or "" for number, name in enumerate(element.findall("CategoryNames/Category"))}
    table = element.find("GDALRasterAttributeTable")
    if table is not None:
        names |= _table_names(table)
    return {value: name for value, name in names.items() if name}


def _table_names(table: ElementTree.Element) -> Mapping[int, str]:
    fields = [(field.findtext("Usage", ""), field.findtext("Name", "").lower()) for field in table.findall("FieldDefn")]
    value = _column(fields, _VALUE_USAGES, _VALUE_FIELDS)
    name = _column(fields, (_NAME_USAGE,), _NAME_FIELDS)
    if value is None or name is None:
        return {}
    names = {}
    for row in table.findall("Row"):
        cells = [cell.text or "" for cell in row.findall("F")]
        with suppress(ValueError, OverflowError):
            names[int(float(cells[value]))] = cells[name]
    return names


def _column(fields: list[tuple[str, str]], usages: tuple[str, ...], names: tuple[str, ...]) -> int | None:
    for number, (usage, _) in enumerate(fields):
        if usage in usages:
            return number
    return next((number for number, (_, name) in enumerate(fields) if name in names), None)
