"""The files that describe shards: their names, the index beside each, and TensorFlow Datasets' three JSON files."""

import csv
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from segchips.errors import InputError, RecordError
from segchips.files import write_whole

PLANNED, MADE, BELOW, EXCLUDED, REJECTED = "planned", "made", "below min_valid", "excluded", "rejected"
DROPPED = "dropped"
TEXTS = ("identifier", "crs", "transform", "split", "bands", "acquired")
"""Keys of a record that hold text."""
STORAGES = ("array", "float", "encoded", "png", "jpeg")
COMPRESSIONS = (None, "GZIP", "ZLIB")
STATISTICS = "statistics.json"
_FEATURES = "tensorflow_datasets.core.features"
_DTYPE = re.compile(r"(u?int|float|complex|complex_int)(8|16|32|64|128)")
_DECODED_BY_TFDS = ("uint8", "int8", "uint16", "int16", "int32", "int64", "float32", "float64")


@dataclass(frozen=True)
class Entry:
    """One line of a shard's index; `offset` and `length` are bytes in the shard file, framing included.

    `acquired` and `scenes` are as in `segchips.headers.Told`.
    """

    tile: str
    state: str
    reason: str
    valid: float | None
    offset: int | None = None
    length: int | None = None
    acquired: tuple[str, ...] = ()
    scenes: tuple[tuple[str, str], ...] = ()


_COLUMNS = [field.name for field in fields(Entry)]


@dataclass(frozen=True)
class Layout:
    """What all images, or all labels, of a dataset share; labels have no channel axis and no band names."""

    dtype: str
    shape: tuple[int, ...]
    driver: str
    nodata: float | None
    bands: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Info:
    """A dataset as its files describe it; `splits` gives the number of records in each shard of each split.

    `label.nodata` is the background, `unknown` the value of label pixels that nobody knows, never to be trained on.
    """

    name: str
    storage: str
    compression: str | None
    splits: Mapping[str, tuple[int, ...]]
    image: Layout
    label: Layout
    unknown: int | None = None

    @property
    def pixel_bytes(self) -> int:
        """The bytes of a decoded image and its label."""
        layouts = self.image, self.label
        return sum(math.prod(layout.shape) * item_bytes(layout.dtype) for layout in layouts)

    def shards(self, split: str) -> list[str]:
        """The file names of a split's shards; InputError lists the splits where there is none of that name."""
        if split not in self.splits:
            raise InputError(f"dataset {self.name} has no split '{split}'; it has {', '.join(self.splits)}")
        count = len(self.splits[split])
        return [shard_name(self.name, split, shard, count) for shard in range(count)]


def item_bytes(dtype: str) -> int:
    """The bytes of one value; the names of dtypes end in their bits."""
    return int(dtype.lstrip("abcdefghijklmnopqrstuvwxyz")) // 8


def shard_name(dataset: str, split: str, shard: int, shards: int) -> str:
    """The file name of shard number `shard` (from 0) of `shards`."""
    return f"{dataset}-{split}.tfrecord-{shard:05d}-of-{shards:05d}"


def index_name(dataset: str, split: str, shard: int, shards: int) -> str:
    """The file name of the index of shard number `shard` (from 0) of `shards`."""
    return f"{dataset}-{split}.index-{shard:05d}-of-{shards:05d}.csv"


def split_of(name: str, splits: Mapping[str, float]) -> str:
    """The split of a chip: a function of its name and the shares alone, taken in the order of `splits`."""
    place, end, last = draw(name, b"split") / 2**64 * sum(splits.values()), 0.0, ""
    for split, share in splits.items():
        if share > 0:
            end, last = end + share, split
            if place < end:
                break
    return last


def shard_of(name: str, shards: int) -> int:
    """The shard of a chip within its split, from 0: a function of its name alone."""
    return draw(name, b"shard") % shards


def draw(name: str, salt: bytes) -> int:
    """A number below 2**64 that follows from a chip's name and the salt alone."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, salt=salt).digest(), "little")


def shard_beside(index: Path) -> Path:
    """The shard that an index describes."""
    return index.with_name(index.name.removesuffix(".csv").replace(".index-", ".tfrecord-"))


def tally_beside(index: Path) -> Path:
    """The tally of the shard that an index describes."""
    return index.with_name(index.name.removesuffix(".csv").replace(".index-", ".statistics-") + ".npz")


def index_beside(shard: Path) -> Path:
    """The index of a shard."""
    return shard.with_name(f"{shard.name.replace('.tfrecord-', '.index-')}.csv")


def shard_paths(directory: Path, info: Info, split: str) -> list[Path]:
    """The paths of a split's shards; RecordError names one that is missing."""
    paths = [directory / name for name in info.shards(split)]
    for path in paths:
        if not path.is_file():
            raise RecordError(
                f"{path} is missing of the {len(paths)} shards of split '{split}'; copy it there or make it again"
            )
    return paths


def write_index(path: Path, entries: Iterable[Entry]) -> None:
    """Write a shard's index as CSV."""
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(_COLUMNS)
        for entry in entries:
            scenes = json.dumps(entry.scenes) if entry.scenes else ""
            rows.writerow((vars(entry) | {"acquired": " ".join(entry.acquired), "scenes": scenes}).values())


def read_index(path: Path) -> list[Entry]:
    """The entries of a shard's index, records in their order; RecordError where it cannot be read."""
    try:
        with path.open(newline="") as stream:
            header, *rows = csv.reader(stream)
            if header != _COLUMNS:
                raise ValueError(f"its columns are {', '.join(header)}")
            return [_entry(*row) for row in rows]
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise RecordError(f"{path} cannot be read as the index of a shard: {error}") from error


def _entry(
    tile: str, state: str, reason: str, valid: str, offset: str, length: str, acquired: str, scenes: str
) -> Entry:
    start, size = (int(text) if text else None for text in (offset, length))
    if min(start or 0, size or 0) < 0:
        raise ValueError(f"byte {offset} and length {length} of {tile}")
    used = tuple((product, scene) for product, scene in json.loads(scenes or "[]"))
    return Entry(tile, state, reason, float(valid) if valid else None, start, size, tuple(acquired.split()), used)


def made_entries(directory: Path, info: Info) -> dict[str, Entry]:
    """The index entries of all records of a dataset by tile; RecordError names an index that cannot be read."""
    indices = (index_beside(directory / name) for split in info.splits for name in info.shards(split))
    return {entry.tile: entry for path in indices for entry in read_index(path) if entry.state == MADE}


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


def _features(info: Info) -> dict[str, Any]:
    text, number = _tensor("string"), _tensor("int64")
    size = {"height": number, "width": number, "dtype": text}
    image = _nested(image_data=_data(info.image, info.storage, lossless=False), channels=number, **size)
    target = _nested(target_data=_data(info.label, info.storage), **size)
    return _nested(image=image, target=target, **dict.fromkeys(TEXTS, text))


def _metadata(info: Info) -> dict[str, Any]:
    rasters = {}
    for key, layout in (("image", info.image), ("label", info.label)):
        finite = layout.nodata is None or math.isfinite(layout.nodata)
        rasters[key] = vars(layout) | {"nodata": layout.nodata if finite else repr(layout.nodata)}
    return {"storage": info.storage, "compression": info.compression, "unknown": info.unknown, **rasters}


def _dataset_info(info: Info, sizes: Mapping[str, int]) -> dict[str, Any]:
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


def write_description(directory: Path, info: Info, sizes: Mapping[str, int]) -> None:
    """Write features.json, metadata.json and dataset_info.json; `sizes` gives each split's bytes."""
    files = {"features": _features(info), "metadata": _metadata(info), "dataset_info": _dataset_info(info, sizes)}
    for name, content in files.items():
        write_whole(directory / f"{name}.json", json.dumps(content, indent=2, sort_keys=True) + "\n")


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


def _layout(content: Mapping[str, Any]) -> Layout:
    nodata, dtype, shape = content["nodata"], content["dtype"], tuple(content["shape"])
    if not _DTYPE.fullmatch(dtype) or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"dtype {dtype} and shape {shape}")
    return Layout(
        dtype,
        shape,
        content["driver"],
        nodata if nodata is None else float(nodata),
        tuple(content["bands"]),
    )


def _one_of(value: Any, known: Sequence[Any]) -> Any:
    if value not in known:
        raise ValueError(f"{value!r} is none of {known}")
    return value


def read_info(directory: str | Path) -> Info:
    """Read what describes the shards of a directory; InputError when nothing does."""
    directory = Path(directory)
    info, facts = _read_json(directory / "dataset_info.json"), _read_json(directory / "metadata.json")
    try:
        splits = {str(split["name"]): tuple(map(int, split["shardLengths"])) for split in info["splits"]}
        return Info(
            str(info["name"]),
            _one_of(facts["storage"], STORAGES),
            _one_of(facts["compression"], COMPRESSIONS),
            splits,
            _layout(facts["image"]),
            _layout(facts["label"]),
            facts.get("unknown"),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{directory} holds dataset_info.json and metadata.json that are not segchips' ({error!r})"
        ) from error
