"""TODO: describe."""

from collections.abc import Sequence
from typing import Any

from segchips.records.layout import Info, Layout

TEXTS = ("identifier", "crs", "transform", "split", "bands", "acquired")
"""Keys of a record that hold text."""
_FEATURES = "tensorflow_datasets.core.features"
_DECODED_BY_TFDS = ("uint8", "int8", "uint16", "int16", "int32", "int64", "float32", "float64")


def _tensor(dtype: str, shape: Sequence[int] = (), encoding: str = "none") -> dict[str, Any]:
    tensor = {"dtype": dtype, "encoding": encoding, "shape": {"dimensions": [str(size) for size in shape]}}
    return {"pythonClassName": f"{_FEATURES}.tensor_feature.Tensor", "tensor": tensor}


def _nested(**features: Any) -> dict[str, Any]:
    return {"pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict", "featuresDict": {"features": features}}


def _data(layout: Layout, storage: str, lossless: bool = True) -> dict[str, Any]:
    """Decoded by TensorFlow Datasets where it can; else the stored bytes."""
    if storage == "array" and layout.dtype in _DECODED_BY_TFDS:
        return _tensor(layout.dtype, layout.shape, "bytes")
    if storage == "float":
        return _tensor("float32", layout.shape)
    if storage in ("png", "jpeg"):
        shape = {"dimensions": [str(size) for size in (*layout.shape, 1)[:3]]}
        image = {"shape": shape, "dtype": layout.dtype, "encodingFormat": "png" if lossless else storage}
        return {"pythonClassName": f"{_FEATURES}.image_feature.Image", "image": image}
    return _tensor("string")


def feature_tree(info: Info) -> dict[str, Any]:
    text, number = _tensor("string"), _tensor("int64")
    size = {"height": number, "width": number, "dtype": text}
    image = _nested(image_data=_data(info.image, info.storage, lossless=False), channels=number, **size)
    target = _nested(target_data=_data(info.label, info.storage), **size)
    return _nested(image=image, target=target, **dict.fromkeys(TEXTS, text))
