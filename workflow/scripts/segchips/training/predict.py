"""Maps of a model's predictions, over a dataset of shards or over a raster in overlapping windows."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from segchips.arrays import Array
from segchips.errors import InputError
from segchips.files import atomic_path, atomic_write, digest
from segchips.records.normalisation import Normaliser
from segchips.records.storage import dataset_path
from segchips.training.blended_mosaic import NO_CLASS, Output, blend
from segchips.training.mosaic import mosaic
from segchips.training.prediction_sources import ChipSource, DatasetChips, open_chips
from segchips.training.sliding_windows import RasterWindows

_Apply = Callable[[Array], Array]
"""Turns images (n x (steps x) height x width x bands) into probabilities (n x height x width x classes)."""


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
    blended: bool = True,
    layer: str | None = None,
    area: str | Path | None = None,
) -> list[Path]:
    """Predict over a dataset, a folder of image chips or a raster, and write the map as a cloud-optimised GeoTIFF.

    Predictions that overlap are blended: a pixel's weight falls towards the edge of its chip or window. Pixels without
    a valid value have no class. A call that was interrupted goes on where it was if it is repeated; what it has
    predicted lies in a hidden folder beside the map.

    Args:
        model: A PyTorch module, which is given batch x bands x height x width, or a Keras model or any other function,
            which is given batch x height x width x bands. It returns a value for each class, logits or probabilities,
            on the axis where its input has bands. Images of time series have steps after batch.
        source: The directory of shards, or its address; a folder of image chips, such as `results/<dataset>/images`; or
            a raster file.
        path: The file to write. Over chips, the CRS is added to the name if there are several.
        split: The split of the dataset; None takes all.
        normalise: Whether images are normalised as by `segchips.load`; over a folder or a raster, the directory of the
            shards that the model was trained on, or False.
        output: "classes" writes the number of the class with the highest value, as uint8; "probabilities" writes
            float32, a band for each class.
        batch: The number of chips or windows that the model is given at once.
        size: Pixels along a side of the windows of a raster.
        overlap: Pixels by which neighbouring windows of a raster overlap.
        blended: Whether chips that overlap are blended; False takes each pixel from the tile whose core box it lies in,
            and needs less disk space.
        layer: The image layer of the dataset that the model was trained on; None for the only one.
        area: Over a raster, a file of polygons outside of which nothing is predicted.

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
    call = [str(source), split, str(normalise), output, batch, size, overlap, blended, layer, str(area)]
    if "://" not in str(source) and not Path(source).is_dir():
        prepared = _prepared(apply, _normaliser(normalise, None))
        with RasterWindows.open(Path(source), size, overlap, area) as windows:
            folder = _parts_folder(path, call)
            parts = _predicted_parts(prepared, windows, folder, None, batch)
            written = blend(parts, path, output, windows.placed)
    else:
        if area is not None:
            raise InputError("area is for rasters; the chips of a dataset or folder say themselves where they lie")
        chips = open_chips(source, split, layer)
        shards = source if normalise is True and isinstance(chips, DatasetChips) else normalise
        prepared = _prepared(apply, _normaliser(shards, getattr(chips, "layer", None)))
        folder = _parts_folder(path, call)
        parts = _predicted_parts(prepared, chips, folder, None if blended else output, batch)
        written = blend(parts, path, output) if blended else mosaic(parts, path)
    shutil.rmtree(folder, ignore_errors=True)
    return written


def _normaliser(shards: str | Path | bool, layer: str | None) -> Normaliser | None:
    """The normaliser of a layer, or of the only one, by the split "train" of some shards."""
    if shards is True:
        raise InputError("normalise: name the directory of the shards that the model was trained on, or False")
    if not shards:
        return None
    normalisers = Normaliser.from_statistics(dataset_path(shards), True)
    return normalisers[layer] if layer in normalisers else next(iter(normalisers.values()))


def _parts_folder(path: Path, call: list[Any]) -> Path:
    """The folder of what an equal call that was interrupted has predicted; empty for another call."""
    folder, text = path.with_name(f".{path.name}.predictions"), digest(json.dumps(call))
    mark = folder / "call"
    if not mark.exists() or mark.read_text() != text:
        shutil.rmtree(folder, ignore_errors=True)
        atomic_write(mark, text)
    return folder


def _prepared(apply: _Apply, normaliser: Normaliser | None) -> _Apply:
    """The function for images as they are stored."""
    if normaliser is None:
        return apply
    return lambda images: apply(np.stack([normaliser.apply(image) for image in images]))


def _predictor(model: Any) -> _Apply:
    """The function that a model stands for."""
    if hasattr(model, "state_dict") and hasattr(model, "parameters"):
        return _torch_predictor(model)
    call = getattr(model, "predict_on_batch", model)
    return lambda images: _as_probabilities(np.asarray(call(images)), images.shape)


def _torch_predictor(model: Any) -> _Apply:
    import torch

    parameter = next(iter(model.parameters()), None)
    device = parameter.device if parameter is not None else "cpu"

    def apply(images: Array) -> Array:
        floats = images if images.dtype == np.float32 else images.astype(np.float32)
        tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(floats, -1, -3))).to(device)
        with torch.no_grad():
            answer = model(tensor)
        values = answer["out"] if isinstance(answer, dict) else getattr(answer, "output", answer)
        return _as_probabilities(values.float().cpu().numpy().transpose(0, 2, 3, 1), images.shape)

    if hasattr(model, "eval"):
        model.eval()
    return apply


def _as_probabilities(values: Array, shape: tuple[int, ...]) -> Array:
    """Probabilities of the classes; logits go through softmax, or sigmoid where there is one value."""
    if values.ndim != 4 or values.shape[:3] != (shape[0], *shape[-3:-1]):
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


def _predicted_parts(
    apply: _Apply, chips: ChipSource, folder: Path, output: Output | None, batch: int
) -> Iterator[tuple[Array, Array]]:
    """Predict chips batch by batch.

    Args:
        apply: The function of images.
        chips: The chips.
        folder: Where batches that are predicted are kept.
        output: "classes" or "probabilities" of chips that are not blended; None for probabilities of half precision.
        batch: The number of chips to predict at once.

    Yields:
        The identifiers of a batch, and its predictions; NaN or NO_CLASS where the image is not valid.
    """
    for start in range(0, len(chips), batch):
        part = folder / f"{start:09d}.npz"
        if not part.exists():
            read = [chips.read(number) for number in range(start, min(start + batch, len(chips)))]
            values, valid = apply(np.stack([chip.image for chip in read])), np.stack([chip.valid for chip in read])
            if output == "classes":
                values = np.where(valid, values.argmax(axis=3), NO_CLASS).astype(np.uint8)
            else:
                values = np.where(valid[..., None], values, np.nan).astype(np.float32 if output else np.float16)
            with atomic_path(part) as unfinished, unfinished.open("wb") as stream:
                np.savez(stream, names=np.array([chip.identifier for chip in read]), values=values)
        with np.load(part) as content:
            yield content["names"], content["values"]
