"""The label value that each feature of a vector layer burns, from its attribute and the class map."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from segchips.arrays import Mask
from segchips.config.class_keys import MISSING, ClassKeys, example_map, is_missing, value_text
from segchips.config.labels import LabelLayer
from segchips.errors import InputError
from segchips.vectors.layers import VectorLayer

_ENCODINGS = (
    "cp1250",
    "cp1251",
    "cp1252",
    "iso-8859-2",
    "cp437",
    "cp850",
    "cp852",
    "cp866",
    "koi8-r",
    "gbk",
    "big5",
    "shift_jis",
    "euc-kr",
)
"""Encodings of old files that name none, which GDAL then reads as Latin-1."""

FeatureValues = tuple[npt.NDArray[np.uint8], Mask]
"""The label value of each feature (uint8), and whether the feature is burned."""


def feature_values(layer: VectorLayer, config: LabelLayer, reserved: Mapping[str, int | None]) -> FeatureValues:
    """Determine each feature's label value.

    Args:
        layer: The layer as read, with the values of the attribute.
        config: How the layer is labelled: a constant value, an attribute, or an attribute with a class map.
        reserved: Label values that no feature may have, by the key of the labels block that sets each.

    Raises:
        InputError: An attribute value is missing, is not a whole number from 0 to 255, is reserved, or is not in the
            class map. The message names the features.
    """
    count = len(layer.geometries)
    if layer.values is None or config.attribute is None:
        return np.full(count, config.value, np.uint8), np.ones(count, bool)
    subject = f"attribute '{config.attribute}' of {layer}"
    missing = np.array([is_missing(value) for value in layer.values.tolist()], bool)
    if missing.any() and not any(key in (config.classes or {}) for key in MISSING):
        advice = "give them one, remove them, or map '' in labels.classes, to null to leave them out"
        raise InputError(f"{subject}: {_describe_features(layer, missing)} no value; {advice}")
    if config.classes is not None:
        return _map_classes(layer, config.classes, subject)
    return _whole_numbers(layer, subject, reserved), np.ones(count, bool)


def feature_measurements(layer: VectorLayer, config: LabelLayer) -> tuple[npt.NDArray[np.float32], Mask]:
    """Determine each feature's measurement, float32, NaN where it has none; all features are burned.

    Raises:
        InputError: The attribute holds text, or a number that float32 cannot hold.
    """
    count = len(layer.geometries)
    if layer.values is None or config.attribute is None:
        return np.full(count, config.value, np.float32), np.ones(count, bool)
    subject = f"attribute '{config.attribute}' of {layer}"
    try:
        numbers = np.array([np.nan if is_missing(value) else float(value) for value in layer.values.tolist()])
    except (TypeError, ValueError) as error:
        raise InputError(f"{subject} holds text, and labels.kind 'continuous' needs numbers") from error
    unusable = ~np.isnan(numbers) & ~(np.abs(numbers) <= np.finfo(np.float32).max)
    if unusable.any():
        raise InputError(f"{subject}: {_describe_features(layer, unusable)} a value that is no 32-bit number")
    return numbers.astype(np.float32), np.ones(count, bool)


def _whole_numbers(layer: VectorLayer, subject: str, reserved: Mapping[str, int | None]) -> npt.NDArray[np.uint8]:
    values = np.asarray(layer.values)
    try:
        numbers = np.asarray(values, dtype=np.float64)
        if values.dtype.kind not in "iufb":
            raise ValueError
    except (TypeError, ValueError):
        texts = sorted({str(value) for value in values.tolist()})
        advice = f"map it to numbers with labels.classes, such as {example_map(texts[:3], (1, 2, 3))}"
        raise InputError(f"{subject} holds text; {advice}") from None
    unusable = (numbers != np.floor(numbers)) | (numbers < 0) | (numbers > 255)
    if unusable.any():
        problem = "a value that is not a whole number from 0 to 255"
        raise InputError(f"{subject}: {_describe_features(layer, unusable)} {problem}; map it with labels.classes")
    for key, value in reserved.items():
        equal = numbers == value
        if equal.any():
            raise InputError(
                f"{subject}: {_describe_features(layer, equal)} the value of the {key}; "
                f"choose another labels.{key}, or map it with labels.classes"
            )
    return numbers.astype(np.uint8)


def _map_classes(layer: VectorLayer, classes: Mapping[str, int | None], subject: str) -> FeatureValues:
    values = _python_values(layer)
    keys = ClassKeys(classes)
    try:
        known = {value: keys.find(value) for value in set(values)}
    except TypeError as error:
        raise InputError(f"{subject} holds lists, which are no classes; name another attribute") from error
    names = [known[value] for value in values]
    unmapped = np.array([name is None for name in names], bool)
    if unmapped.any():
        example = example_map(sorted({value_text(values[index]) for index in np.flatnonzero(unmapped)})[:3], (1, 2, 3))
        raise InputError(
            f"{subject}: {_describe_features(layer, unmapped)} a value that labels.classes does not map; "
            f"add it, such as {example}, or map it to null to leave it out{_misread(layer, unmapped, classes)}"
        )
    mapped = [classes[name] for name in names if name is not None]
    return np.array([value or 0 for value in mapped], np.uint8), np.array([value is not None for value in mapped], bool)


def _python_values(layer: VectorLayer) -> list[Any]:
    """The values as Python has them: 32-bit floats with as few digits as identify them, missing ones as None."""
    values = np.asarray(layer.values)
    if values.dtype == np.float32:
        values = np.array([float(str(value)) for value in values])
    return [None if is_missing(value) else value for value in values.tolist()]


def _misread(layer: VectorLayer, chosen: Mask, classes: Mapping[str, int | None]) -> str:
    """A hint at texts that were read in another encoding than theirs: in UTF-8, or in one that gives class keys."""
    for value in np.asarray(layer.values)[chosen].tolist():
        for encoding in _ENCODINGS if isinstance(value, str) and not value.isascii() else ():
            with suppress(UnicodeError):
                meant = value.encode("latin-1").decode(encoding)
                if meant in classes:
                    return f"; '{value}' is '{meant}' in {encoding}: set labels.encoding to {encoding}"
        for encoding in ("cp1252", "latin-1") if isinstance(value, str) else ():
            with suppress(UnicodeError):
                meant = value.encode(encoding).decode("utf-8")
                if meant != value:
                    return f"; '{value}' seems to be '{meant}' in UTF-8: set labels.encoding to UTF-8"
    return ""


def _describe_features(layer: VectorLayer, chosen: Mask) -> str:
    """Such as `3 features (FID 4: '300', 9: '301', ...) have`."""
    values = np.asarray(layer.values)[chosen].tolist()
    examples = [f"{fid}: {str(value)!r}" for fid, value in zip(layer.fids[chosen].tolist(), values, strict=True)]
    listed = ", ".join(examples[:5]) + (", ..." if len(examples) > 5 else "")
    count = len(examples)
    return f"{count} feature{'s' if count > 1 else ''} (FID {listed}) {'have' if count > 1 else 'has'}"
