"""The content of features.json: the keys of a record as TensorFlow Datasets declares features."""

from collections.abc import Sequence
from typing import Any

from segchips.records.dataset_info import ChipLayout, DatasetInfo, image_prefix, target_prefix

TEXT_KEYS = ("identifier", "crs", "transform", "split")
"""The keys of a record whose values are text."""
IMAGE_TEXT_KEYS = ("bands", "acquired")
"""The keys of a layer whose values are text; without a layer's name they stand beside those of the record."""
_FEATURES = "tensorflow_datasets.core.features"
_DECODED_BY_TFDS = ("uint8", "int8", "uint16", "int16", "int32", "int64", "float32", "float64")


def _tensor_feature(dtype: str, shape: Sequence[int] = (), encoding: str = "none") -> dict[str, Any]:
    tensor = {"dtype": dtype, "encoding": encoding, "shape": {"dimensions": [str(size) for size in shape]}}
    return {"pythonClassName": f"{_FEATURES}.tensor_feature.Tensor", "tensor": tensor}


def _features_dict(**features: Any) -> dict[str, Any]:
    return {"pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict", "featuresDict": {"features": features}}


def _pixel_feature(layout: ChipLayout, storage: str, lossless: bool = True) -> dict[str, Any]:
    """The feature of an image or label: decoded by TensorFlow Datasets where it can, else the stored bytes."""
    if storage == "array" and layout.dtype in _DECODED_BY_TFDS:
        return _tensor_feature(layout.dtype, layout.shape, "bytes")
    if storage == "float":
        return _tensor_feature("float32", layout.shape)
    if storage in ("png", "jpeg"):
        shape = {"dimensions": [str(size) for size in (*layout.shape, 1)[:3]]}
        image = {"shape": shape, "dtype": layout.dtype, "encodingFormat": "png" if lossless else storage}
        return {"pythonClassName": f"{_FEATURES}.image_feature.Image", "image": image}
    return _tensor_feature("string")


def feature_tree(info: DatasetInfo) -> dict[str, Any]:
    """Declare the features of a dataset's records, as `FeaturesDict.to_json` of TensorFlow Datasets writes them."""
    text, number = _tensor_feature("string"), _tensor_feature("int64")
    size = {"height": number, "width": number, "dtype": text}
    features = {}
    for layer, layout in info.images.items():
        texts = dict.fromkeys(IMAGE_TEXT_KEYS, text)
        steps = {"steps": text} if len(layout.shape) == 4 else {}
        inner = {"image_data": _pixel_feature(layout, info.storage, lossless=False), "channels": number, **size}
        features[image_prefix(layer)] = _features_dict(**inner, **steps, **(texts if layer else {}))
        features |= {} if layer else texts
    for target, layout in info.labels.items():
        features[target_prefix(target)] = _features_dict(target_data=_pixel_feature(layout, info.storage), **size)
    return _features_dict(**features, **dict.fromkeys(TEXT_KEYS, text))
