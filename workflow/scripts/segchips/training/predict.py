"""Maps of a model's predictions, over a dataset of shards or over a raster in overlapping windows."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segchips.arrays import Array
from segchips.errors import InputError
from segchips.files import atomic_path, atomic_write, digest
from segchips.records.dataset_files import read_info, shard_paths
from segchips.records.dataset_info import DatasetInfo, image_key
from segchips.records.file_names import index_path
from segchips.records.normalisation import Normaliser
from segchips.records.record_decoding import decode_example
from segchips.records.shard_index import read_index
from segchips.records.storage import dataset_path
from segchips.records.tfrecord import read_record
from segchips.tiles.assignment import MADE
from segchips.training.mosaic import mosaic
from segchips.training.sliding_windows import RasterWindows, write_blended

Output = Literal["classes", "probabilities"]


def predict(
    model: Any,
    source: str | Path,
    path: str | Path,
    split: str | None = None,
    normalise: str | Path | bool = True,
    output: Output = "classes",
    batch: int = 8,
    size: int = 256,
    overlap: int = 64,
) -> list[Path]:
    """Predict over a dataset or a raster, and write the map as a cloud-optimised GeoTIFF.

    Over a dataset, each pixel comes from the tile whose core box it lies in. Over a raster, windows overlap, and their
    predictions are blended: a pixel's weight falls towards the edge of its window. A call that was interrupted goes on
    where it was if it is repeated; what it has predicted lies in a hidden folder beside the map.

    Args:
        model: A PyTorch module, which is given batch x bands x height x width, or a Keras model or any other function,
            which is given batch x height x width x bands. It returns a value for each class, logits or probabilities,
            on the axis where its input has bands.
        source: The directory of shards, or its address; or a raster file.
        path: The file to write. Over a dataset, the CRS is added to the name if there are several.
        split: The split of the dataset; None takes all.
        normalise: Whether images are normalised as by `segchips.load`; over a raster, the directory of the shards that
            the model was trained on, or False.
        output: "classes" writes the number of the class with the highest value, as uint8; "probabilities" writes
            float32, a band for each class.
        batch: The number of chips or windows that the model is given at once.
        size: Pixels along a side of the windows of a raster.
        overlap: Pixels by which neighbouring windows of a raster overlap.

    Returns:
        The paths of the files.

    Raises:
        InputError: The source cannot be read, a value is not valid, or the model returns something else.
        StorageError: The map cannot be written.
    """
    if output not in ("classes", "probabilities"):
        raise InputError(f"output '{output}' is unknown; choose one of classes, probabilities")
    if batch < 1:
        raise InputError(f"batch {batch} is not a number of chips; give 1 or more")
    path, apply = Path(path), _predictor(model)
    is_dataset = "://" in str(source) or Path(source).is_dir()
    call = [str(source), split, str(normalise), output, batch, size, overlap]
    folder = _parts_folder(path, call)
    if is_dataset:
        written = _predict_dataset(apply, source, path, folder, split, bool(normalise), output, batch)
    else:
        if normalise is True:
            raise InputError("normalise: name the directory of the shards that the model was trained on, or False")
        normaliser = _first(Normaliser.from_statistics(dataset_path(normalise), True)) if normalise else None
        with RasterWindows.open(Path(source), size, overlap) as windows:
            write_blended(windows, lambda images: apply(_prepared(images, normaliser)), folder, path, output, batch)
        written = [path]
    shutil.rmtree(folder, ignore_errors=True)
    return written


def _parts_folder(path: Path, call: list[Any]) -> Path:
    """The folder of what an equal call that was interrupted has predicted; empty for another call."""
    folder, text = path.with_name(f".{path.name}.predictions"), digest(json.dumps(call))
    mark = folder / "call"
    if not mark.exists() or mark.read_text() != text:
        shutil.rmtree(folder, ignore_errors=True)
        atomic_write(mark, text)
    return folder


def _first(values: dict[str, Normaliser]) -> Normaliser:
    return next(iter(values.values()))


def _prepared(images: Array, normaliser: Normaliser | None) -> Array:
    return np.stack([normaliser.apply(image) for image in images]) if normaliser else images


def _predictor(model: Any) -> Callable[[Array], Array]:
    """A function of images (n x height x width x bands) that returns probabilities (n x height x width x classes)."""
    if hasattr(model, "state_dict") and hasattr(model, "parameters"):
        return _torch_predictor(model)
    call = getattr(model, "predict_on_batch", model)
    return lambda images: _as_probabilities(np.asarray(call(images)), images.shape)


def _torch_predictor(model: Any) -> Callable[[Array], Array]:
    import torch

    parameter = next(iter(model.parameters()), None)
    device = parameter.device if parameter is not None else "cpu"

    def apply(images: Array) -> Array:
        floats = images if images.dtype == np.float32 else images.astype(np.float32)
        tensor = torch.from_numpy(np.ascontiguousarray(floats.transpose(0, 3, 1, 2))).to(device)
        with torch.no_grad():
            answer = model(tensor)
        values = answer["out"] if isinstance(answer, dict) else getattr(answer, "output", answer)
        return _as_probabilities(values.float().cpu().numpy().transpose(0, 2, 3, 1), images.shape)

    if hasattr(model, "eval"):
        model.eval()
    return apply


def _as_probabilities(values: Array, shape: tuple[int, ...]) -> Array:
    """Probabilities of the classes; logits go through softmax, or sigmoid where there is one value."""
    if values.ndim != 4 or values.shape[:3] != shape[:3]:
        raise InputError(
            f"the model returns shape {values.shape} for images of shape {shape}; it must return a value for each "
            "class of each pixel"
        )
    floats = values.astype(np.float32)
    if floats.shape[3] == 1:
        ones = floats if floats.min() >= 0 and floats.max() <= 1 else 1 / (1 + np.exp(-floats))
        return np.concatenate([1 - ones, ones], axis=3)
    if floats.min() >= 0 and np.allclose(floats.sum(axis=3), 1, atol=1e-3):
        return floats
    powers = np.exp(floats - floats.max(axis=3, keepdims=True))
    return powers / powers.sum(axis=3, keepdims=True)


def _predict_dataset(
    apply: Callable[[Array], Array],
    source: str | Path,
    path: Path,
    folder: Path,
    split: str | None,
    normalise: bool,
    output: Output,
    batch: int,
) -> list[Path]:
    directory = dataset_path(source)
    info = read_info(source)
    normaliser = _first(Normaliser.from_statistics(source, True)) if normalise else None
    places = _places(directory, info, split)
    parts = []
    for start in range(0, len(places), batch):
        part = folder / f"{start:09d}.npz"
        parts.append(part)
        if not part.exists():
            names, images = _read_batch(places[start : start + batch], info)
            values = apply(_prepared(images, normaliser))
            result = values.argmax(axis=3).astype(np.uint8) if output == "classes" else values
            with atomic_path(part) as unfinished, unfinished.open("wb") as stream:
                np.savez(stream, names=np.array(names), values=result)
    return mosaic(_predictions(parts), path)


def _predictions(parts: list[Path]) -> Iterator[tuple[Array, Array]]:
    for part in parts:
        with np.load(part) as content:
            yield content["names"], content["values"]


def _places(directory: Path, info: DatasetInfo, split: str | None) -> list[tuple[Path, int, int]]:
    """The shard, offset and length of each record."""
    return [
        (shard, entry.offset or 0, entry.length or 0)
        for name in ([split] if split else info.splits)
        for shard in shard_paths(directory, info, name)
        for entry in read_index(index_path(shard))
        if entry.state == MADE
    ]


def _read_batch(places: Sequence[tuple[Path, int, int]], info: DatasetInfo) -> tuple[list[str], Array]:
    """The identifiers of chips, and their images (n x height x width x bands)."""
    key = image_key(next(iter(info.images)))
    chips = [decode_example(read_record(*place, info.compression), info) for place in places]
    return [chip["identifier"] for chip in chips], np.stack([chip[key] for chip in chips])
