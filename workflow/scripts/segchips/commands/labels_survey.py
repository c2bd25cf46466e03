"""TODO: describe."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segchips.errors import InputError, SegchipsError
from segchips.vectors.layers import find_layer, layer_names

VECTORS = (".gpkg", ".shp", ".geojson", ".json", ".fgb", ".gdb", ".kml", ".parquet")
_AREA = re.compile(r"aoi|area|extent|bound|outline|footprint|region", re.IGNORECASE)
_CLASS = re.compile(r"class|lulc|cover|use|type|kind|label|crop|categ|code", re.IGNORECASE)
MOST_CLASSES = 64


@dataclass(frozen=True)
class Labels:
    """A label layer: file, layer where there are several, attribute, the classes that it names, and blank features."""

    path: str
    layer: str | None = None
    attribute: str | None = None
    classes: Mapping[str, int | None] | None = None
    values: Sequence[int] = ()
    blank: int = 0


def is_vector(path: Path) -> bool:
    """Whether a path looks like a vector file that GDAL reads."""
    return path.suffix.lower() in VECTORS


def find_vectors(folder: Path) -> list[Path]:
    """The vector files of a folder that have layers with geometries."""
    found = []
    for path in sorted(path for path in folder.iterdir() if is_vector(path)):
        try:
            layer_names(str(path))
        except SegchipsError:
            continue
        found.append(path)
    return found


def choose_aoi_and_labels(paths: Sequence[Path]) -> tuple[Path | None, Path]:
    """Which file is the AOI, if any, and which holds the labels: by name, else the one with fewest features."""
    import pyogrio

    if not paths:
        raise InputError(f"no label layer found; name one with --labels ({', '.join(VECTORS)})")
    if len(paths) == 1:
        return None, paths[0]
    areas = [path for path in paths if _AREA.search(path.stem)]
    if len(areas) == 1 and len(paths) == 2:
        return areas[0], next(path for path in paths if path != areas[0])
    if len(paths) > 2:
        listed = ", ".join(f"'{path}'" for path in paths)
        raise InputError(
            f"several vector files ({listed}); name the labels with --labels, an area of interest with --aoi"
        )
    fewest, most = sorted(paths, key=lambda path: (int(pyogrio.read_info(path)["features"]), str(path)))
    return fewest, most


def survey_labels(path: str, layer: str | None = None) -> Labels:
    """The attribute that holds classes, and its classes; InputError where the layer cannot be chosen or read."""
    import pyogrio

    several = len(layer_names(path)) > 1
    name, _ = find_layer(path, layer)
    frame = pyogrio.read_dataframe(path, layer=name, read_geometry=False)
    found = {column: frame[column].dropna() for column in frame.columns}
    numbers = [column for column, values in found.items() if _are_classes(values) and values.dtype.kind in "iu"]
    named = {column: values[values != ""] for column, values in found.items() if values.dtype.kind in "OTU"}
    texts = [column for column, values in named.items() if _are_classes(values)]
    chosen = name if several else None
    number, text = _likeliest(numbers), _likeliest(texts)
    if text and (not number or _CLASS.search(text) or not _CLASS.search(number)):
        column = frame[text].fillna("")
        return Labels(path, chosen, text, _classes(column, frame[number] if number else None), blank=sum(column == ""))
    if number:
        return Labels(path, chosen, number, values=sorted({int(value) for value in found[number]}))
    return Labels(path, chosen)


def _classes(texts: Any, numbers: Any) -> dict[str, int | None]:
    """The number beside each text, where they go together; else the texts counted from 1, and no class for a blank."""
    known = sorted(set(texts))
    pairs = set(zip(texts, numbers, strict=True)) if numbers is not None and not numbers.hasnans else set()
    if len(pairs) == len(known) == len({number for _, number in pairs}):
        return {text: int(number) for text, number in sorted(pairs, key=lambda pair: pair[1])}
    return {text: at for at, text in enumerate(filter(None, known), 1)} | ({"": None} if "" in known else {})


def _are_classes(values: Any) -> bool:
    """Whether an attribute has few values, some of them more than once: numbers from 0 to 254, or texts."""
    kinds = values.nunique()
    if not 1 <= kinds <= min(MOST_CLASSES, max(1, len(values) - 1)):
        return False
    if values.dtype.kind in "iu":
        return bool(((values >= 0) & (values < 255)).all())
    return all(str(value).strip() for value in values.unique())


def _likeliest(columns: Sequence[str]) -> str | None:
    named = [column for column in columns if _CLASS.search(column)]
    return next(iter([*named, *columns]), None)
