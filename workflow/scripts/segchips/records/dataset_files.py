"""The JSON files that describe shards, in the layout of TensorFlow Datasets."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segchips.errors import InputError, RecordError
from segchips.files import atomic_write
from segchips.records.dataset_info import UNNAMED, ChipLayout, DatasetInfo
from segchips.records.file_names import index_path
from segchips.records.shard_index import IndexEntry, read_index
from segchips.records.storage import dataset_path
from segchips.records.tfds_features import feature_tree
from segchips.tiles.assignment import MADE

STORAGES = ("array", "float", "encoded", "png", "jpeg")
COMPRESSIONS = (None, "GZIP", "ZLIB")
_DTYPE = re.compile(r"(u?int|float|complex|complex_int)(8|16|32|64|128)")


def shard_paths(directory: Path, info: DatasetInfo, split: str) -> list[Path]:
    """The paths of a split's shards; RecordError if one is missing, InputError if there is no such split."""
    paths = [directory / name for name in info.shards(split)]
    for path in paths:
        if not path.is_file():
            raise RecordError(
                f"{path} is missing of the {len(paths)} shards of split '{split}'; copy it there or make it again"
            )
    return paths


def missing_shards(directory: Path) -> int:
    """How many shards and indices are missing that a description in the directory names; 0 without a description."""
    try:
        info = read_info(directory)
    except InputError:
        return 0
    shards = [directory / name for split in info.splits for name in info.shards(split)]
    return sum(not path.exists() for shard in shards for path in (shard, index_path(shard)))


def index_paths(directory: Path, info: DatasetInfo) -> list[Path]:
    """The paths of the indices of all shards of a dataset."""
    return [index_path(directory / name) for split in info.splits for name in info.shards(split)]


def made_entries(directory: Path, info: DatasetInfo) -> dict[str, IndexEntry]:
    """The index entries of all records of a dataset, by tile; RecordError if an index is missing or damaged."""
    return {
        entry.tile: entry for path in index_paths(directory, info) for entry in read_index(path) if entry.state == MADE
    }


def _metadata(info: DatasetInfo) -> dict[str, Any]:
    images = {layer: _layout(layout) for layer, layout in info.images.items()}
    labels = {target: _layout(layout) for target, layout in info.labels.items()}
    for target, kind in info.kinds.items():
        labels[target] |= {"kind": kind} if kind != "classes" else {}
    for target, names in info.object_classes.items():
        labels[target]["classes"] = {str(number): name for number, name in names.items()}
    about: dict[str, Any] = {"storage": info.storage, "compression": info.compression}
    about |= {"image": images[UNNAMED]} if UNNAMED in images else {"layers": _as_list(images)}
    if UNNAMED in labels:
        return about | {"label": labels[UNNAMED], "unknown": info.unknown[UNNAMED]}
    return about | {
        "targets": _as_list({name: label | {"unknown": info.unknown[name]} for name, label in labels.items()})
    }


def _as_list(parts: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Named parts as a list, for the keys of the file are sorted."""
    return [{"name": name, **part} for name, part in parts.items()]


def _layout(layout: ChipLayout) -> dict[str, Any]:
    finite = layout.nodata is None or math.isfinite(layout.nodata)
    return vars(layout) | {"nodata": layout.nodata if finite else repr(layout.nodata)}


def _dataset_info(info: DatasetInfo, sizes: Mapping[str, int]) -> dict[str, Any]:
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    splits = [
        {
            "name": name,
            "shardLengths": [str(count) for count in counts],
            "numBytes": str(sizes[name]),
            "filepathTemplate": template,
        }
        for name, counts in info.splits.items()
    ]
    text = "Image chips and label chips for semantic segmentation."
    return {"name": info.name, "version": "1.0.0", "fileFormat": "tfrecord", "description": text, "splits": splits}


def write_description(directory: Path, info: DatasetInfo, sizes: Mapping[str, int]) -> None:
    """Write features.json, metadata.json and dataset_info.json.

    Args:
        directory: The directory of the shards.
        info: The description.
        sizes: The bytes of all shards of each split.
    """
    files = {"features": feature_tree(info), "metadata": _metadata(info), "dataset_info": _dataset_info(info, sizes)}
    for name, content in files.items():
        atomic_write(directory / f"{name}.json", json.dumps(content, indent=2, sort_keys=True) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        return content
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); name a folder of shards: results/<dataset>/tfrecords"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid ({error}); write the dataset again") from error


def _parse_layout(content: Mapping[str, Any]) -> ChipLayout:
    nodata, dtype, shape = content["nodata"], content["dtype"], tuple(content["shape"])
    if not _DTYPE.fullmatch(dtype) or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"dtype {dtype} and shape {shape}")
    return ChipLayout(
        dtype,
        shape,
        content["driver"],
        nodata if nodata is None else float(nodata),
        tuple(content["bands"]),
    )


def _check_choice(value: Any, allowed: Sequence[Any]) -> Any:
    if value not in allowed:
        raise ValueError(f"{value!r} is not one of {allowed}")
    return value


def read_info(directory: str | Path) -> DatasetInfo:
    """Read the description of a dataset from dataset_info.json and metadata.json.

    Args:
        directory: The directory of the shards.

    Raises:
        InputError: A file is missing or not valid.
    """
    directory = dataset_path(directory)
    info, metadata = _read_json(directory / "dataset_info.json"), _read_json(directory / "metadata.json")
    try:
        image, label = metadata.get("image"), metadata.get("label")
        layers = {UNNAMED: image} if image else {part["name"]: part for part in metadata["layers"]}
        unnamed = {UNNAMED: {**label, "unknown": metadata.get("unknown")}} if label else {}
        targets = unnamed or {part["name"]: part for part in metadata["targets"]}
        splits = {str(split["name"]): tuple(map(int, split["shardLengths"])) for split in info["splits"]}
        return DatasetInfo(
            str(info["name"]),
            _check_choice(metadata["storage"], STORAGES),
            _check_choice(metadata["compression"], COMPRESSIONS),
            splits,
            {layer: _parse_layout(content) for layer, content in layers.items()},
            {target: _parse_layout(content) for target, content in targets.items()},
            {target: content.get("unknown") for target, content in targets.items()},
            {target: str(content.get("kind", "classes")) for target, content in targets.items()},
            {
                target: {int(number): str(name) for number, name in content["classes"].items()}
                for target, content in targets.items()
                if "classes" in content
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{directory} has a dataset_info.json or metadata.json that segchips did not write ({error!r})"
        ) from error
