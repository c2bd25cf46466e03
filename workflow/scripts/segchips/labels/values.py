"""TODO: describe."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from segchips.arrays import Mask
from segchips.config.model import LabelLayer
from segchips.errors import InputError
from segchips.vectors.layers import VectorLayer


def feature_values(
    read: VectorLayer, layer: LabelLayer, background: int, unknown: int | None = None
) -> tuple[npt.NDArray[np.uint8], Mask]:
    """Each feature's value and whether it is burned; InputError names features whose value cannot be."""
    count = len(read.geometries)
    if read.values is None or layer.attribute is None:
        return np.full(count, layer.value, np.uint8), np.ones(count, bool)
    where = f"attribute '{layer.attribute}' of {read}"
    missing = np.array([_is_missing(value) for value in read.values.tolist()], bool)
    if missing.any() and "" not in (layer.classes or {}):
        advice = "give them one, remove them, or map '' in labels.classes, to null to leave them out"
        raise InputError(f"{where}: {_describe_features(read, missing)} no value; {advice}")
    if layer.classes is not None:
        return _map_classes(read, layer.classes, where)
    try:
        numbers = np.asarray(read.values, dtype=np.float64)
        if read.values.dtype.kind not in "iufb":
            raise ValueError
    except (TypeError, ValueError):
        texts = sorted({str(value) for value in read.values.tolist()})
        example = ", ".join(f"{text or repr(text)}: {number}" for number, text in enumerate(texts[:3], 1))
        raise InputError(f"{where} holds text; map it to numbers with labels.classes, such as {{{example}}}") from None
    wrong = (numbers != np.floor(numbers)) | (numbers < 0) | (numbers > 255)
    if wrong.any():
        raise InputError(
            f"{where}: {_describe_features(read, wrong)} a value that is no whole number from 0 to 255; map it with labels.classes"
        )
    for name, reserved in (("background", background), ("unknown", unknown)):
        same = numbers == reserved
        if same.any():
            raise InputError(
                f"{where}: {_describe_features(read, same)} the value of the {name}; "
                f"choose another labels.{name}, or map it with labels.classes"
            )
    return numbers.astype(np.uint8), np.ones(count, bool)


def _map_classes(
    read: VectorLayer, classes: Mapping[str, int | None], where: str
) -> tuple[npt.NDArray[np.uint8], Mask]:
    texts = np.array([_text(value) for value in np.asarray(read.values).tolist()], dtype=object)
    unknown = np.array([text not in classes for text in texts], bool)
    if unknown.any():
        raise InputError(
            f"{where}: {_describe_features(read, unknown)} a value that labels.classes does not map; "
            "add it, or map it to null to leave it out"
        )
    chosen = [classes[text] for text in texts]
    return np.array([value or 0 for value in chosen], np.uint8), np.array([value is not None for value in chosen], bool)


def _is_missing(value: Any) -> bool:
    return value is None or value != value


def _text(value: Any) -> str:
    if _is_missing(value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _describe_features(read: VectorLayer, chosen: Mask) -> str:
    """Such as `3 features have (FID 4: '300', 9: '301', ...)`."""
    values = np.asarray(read.values)[chosen].tolist()
    shown = [f"{fid}: {str(value)!r}" for fid, value in zip(read.fids[chosen].tolist(), values, strict=True)]
    listed = ", ".join(shown[:5]) + (", ..." if len(shown) > 5 else "")
    return f"{len(shown)} feature{'s have' if len(shown) > 1 else ' has'} (FID {listed})"
