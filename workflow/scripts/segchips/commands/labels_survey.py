"""Reads from vector files what a starting config needs to know about labels and area of interest."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from segchips.commands.label_rasters_survey import survey_rasters
from segchips.commands.labels_block import LabelsSurvey
from segchips.errors import InputError, SegchipsError
from segchips.tiles.label_rasters import raster_files
from segchips.vectors.layers import find_layer, layer_names
from segchips.vectors.sources import read_attributes

VECTORS = (".gpkg", ".shp", ".geojson", ".json", ".fgb", ".gdb", ".kml", ".parquet")
_AOI_NAME = re.compile(r"aoi|area|extent|bound|outline|footprint|region", re.IGNORECASE)
_CLASS_NAME = re.compile(r"class|lulc|cover|use|type|kind|label|crop|categ|code", re.IGNORECASE)
MAX_CLASSES = 64


def is_vector(path: Path) -> bool:
    """Whether a path has the suffix of a vector file that GDAL reads."""
    return path.suffix.lower() in VECTORS


def find_vectors(folder: Path) -> list[Path]:
    """Returns the vector files of a folder that have layers with geometries, sorted."""
    vectors = []
    for path in sorted(path for path in folder.iterdir() if is_vector(path)):
        try:
            layer_names(str(path))
        except SegchipsError:
            continue
        vectors.append(path)
    return vectors


def choose_aoi_and_labels(paths: Sequence[Path]) -> tuple[Path | None, Path]:
    """Returns the file of the area of interest, or None, and the file of the labels.

    The AOI is the file with a name such as `aoi` or `extent`, or else that with fewer features.

    Raises:
        InputError: There is no file, or there are more than two.
    """
    if not paths:
        raise InputError(f"no label layer found; name one with --labels ({', '.join(VECTORS)}, or a raster)")
    if len(paths) == 1:
        return None, paths[0]
    areas = [path for path in paths if _AOI_NAME.search(path.stem)]
    if len(areas) == 1 and len(paths) == 2:
        return areas[0], next(path for path in paths if path != areas[0])
    if len(paths) > 2:
        listed = ", ".join(f"'{path}'" for path in paths)
        raise InputError(
            f"several vector files ({listed}); name the labels with --labels, an area of interest with --aoi"
        )
    fewest, most = sorted(paths, key=lambda path: (_feature_count(path), str(path)))
    return fewest, most


def _feature_count(path: Path) -> int:
    return sum(len(read_attributes(str(path), name)) for name in layer_names(str(path)))


def survey_labels(path: str, layer: str | None = None) -> LabelsSurvey:
    """Chooses the attribute that looks like classes, and numbers its classes; of rasters, looks at values and names.

    Raises:
        InputError: The layer cannot be chosen or read.
    """
    if rasters := raster_files(path):
        return survey_rasters(path, rasters)
    several = len(layer_names(path)) > 1
    name, _ = find_layer(path, layer)
    frame = read_attributes(path, name)
    columns = {column: frame[column].dropna() for column in frame.columns}
    numbers = [column for column, values in columns.items() if _are_classes(values) and values.dtype.kind in "iu"]
    named = {column: values[values != ""] for column, values in columns.items() if values.dtype.kind in "OTU"}
    texts = [column for column, values in named.items() if _are_classes(values)]
    chosen = name if several else None
    number, text = _best_class_column(numbers), _best_class_column(texts)
    if text and (not number or _CLASS_NAME.search(text) or not _CLASS_NAME.search(number)):
        column = frame[text].fillna("")
        return LabelsSurvey(
            path, chosen, text, _classes(column, frame[number] if number else None), blank=sum(column == "")
        )
    if number:
        return LabelsSurvey(path, chosen, number, values=sorted({int(value) for value in columns[number]}))
    return LabelsSurvey(path, chosen)


def _classes(texts: Any, numbers: Any) -> dict[str, int | None]:
    """Each text with its number in the other column if these match one to one; else numbers from 1, None for blank."""
    names = sorted(set(texts))
    pairs = set(zip(texts, numbers, strict=True)) if numbers is not None and not numbers.hasnans else set()
    if len(pairs) == len(names) == len({number for _, number in pairs}):
        return {text: int(number) for text, number in sorted(pairs, key=lambda pair: pair[1])}
    return {text: number for number, text in enumerate(filter(None, names), 1)} | ({"": None} if "" in names else {})


def _are_classes(values: Any) -> bool:
    """Whether an attribute has few values, some of them repeated: integers from 0 to 254, or texts."""
    count = values.nunique()
    if not 1 <= count <= min(MAX_CLASSES, max(1, len(values) - 1)):
        return False
    if values.dtype.kind in "iu":
        return bool(((values >= 0) & (values < 255)).all())
    return all(str(value).strip() for value in values.unique())


def _best_class_column(columns: Sequence[str]) -> str | None:
    """The first column with a name such as `class` or `type`, else the first, else None."""
    named = [column for column in columns if _CLASS_NAME.search(column)]
    return next(iter([*named, *columns]), None)
