"""PyTorch batches from shards beside other ways to read the same chips, in CPU seconds.

python tests/benchmarks/reading.py [pairs]      400 pairs of each kind unless named; needs PyTorch, and uses WebDataset
                                                and LitData where they are installed
"""

import io
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

import segchips
from records import KINDS, make_pairs
from segchips.config.tfrecords import TFRecordsConfig

try:
    import torch
except ModuleNotFoundError:
    print("PyTorch is not installed, so reading is not measured")
    sys.exit(0)

BATCH, REPEATS = 16, 5


class RasterPairs(torch.utils.data.Dataset[Any]):
    """The chips themselves, as a training script reads them."""

    def __init__(self, folder: Path) -> None:
        self._images = sorted((folder / "images").iterdir())

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, position: int) -> dict[str, torch.Tensor]:
        image = self._images[position]
        with rasterio.open(image) as source, rasterio.open(image.parents[1] / "labels" / image.name) as label:
            return {"image": torch.from_numpy(source.read()), "label": torch.from_numpy(label.read(1))}


def batches(dataset: Any) -> Iterable[Any]:
    return torch.utils.data.DataLoader(dataset, batch_size=BATCH, collate_fn=segchips.collate)


def write_tar(folder: Path, path: Path) -> None:
    """The chips as arrays in a tar file, as WebDataset reads them."""
    with tarfile.open(path, "w") as archive:
        for number, image in enumerate(sorted((folder / "images").iterdir())):
            for kind, file in (("image", image), ("label", folder / "labels" / image.name)):
                buffer = io.BytesIO()
                with rasterio.open(file) as source:
                    np.save(buffer, source.read())
                entry = tarfile.TarInfo(f"{number:06d}.{kind}.npy")
                entry.size = buffer.tell()
                buffer.seek(0)
                archive.addfile(entry, buffer)


def from_tar(path: Path) -> Iterable[Any]:
    import webdataset

    def tensors(sample: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {kind: torch.from_numpy(sample[f"{kind}.npy"]) for kind in ("image", "label")}

    return batches(webdataset.WebDataset(str(path), shardshuffle=False).decode().map(tensors))


def write_chunks(folder: Path, path: Path) -> None:
    """The chips as arrays in the chunks of LitData."""
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(path), chunk_bytes="64MB")
    for number, image in enumerate(sorted((folder / "images").iterdir())):
        with rasterio.open(image) as source, rasterio.open(folder / "labels" / image.name) as label:
            writer[number] = {"image": torch.from_numpy(source.read()), "label": torch.from_numpy(label.read(1))}
    writer.done()
    writer.merge()


def from_chunks(path: Path) -> Iterable[Any]:
    import litdata

    return litdata.StreamingDataLoader(litdata.StreamingDataset(str(path), shuffle=True), batch_size=BATCH)


def bytes_alone(directory: Path) -> Iterable[bytes]:
    return [path.read_bytes() for path in sorted(directory.glob("*.tfrecord-*"))]


def cpu_seconds(run: Callable[[], Iterable[Any]]) -> float:
    """The CPU time of one run over all chips."""
    start = time.process_time()
    for _ in run():
        pass
    return time.process_time() - start


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch)
            for name in ("images", "labels"):
                (root / kind / name).mkdir(parents=True)
            make_pairs(root, kind, range(pairs))
            folder, shards, tar = root / kind, root / "shards", root / "chips.tar"
            config = TFRecordsConfig("array", 4, None, {"train": 1.0})
            segchips.convert(folder / "images", folder / "labels", shards, "chips", config, workers=1)
            ways: dict[str, Callable[[], Iterable[Any]]] = {
                "shards, Chips": lambda shards=shards: batches(segchips.Chips(shards, "train")),
                "shards, Chips, channels_last": lambda shards=shards: batches(
                    segchips.Chips(shards, "train", channels_last=True)
                ),
                "shards, ChipStream shuffled": lambda shards=shards: batches(
                    segchips.ChipStream(shards, "train", shuffle=True)
                ),
                "GeoTIFF pairs by rasterio": lambda folder=folder: batches(RasterPairs(folder)),
                "bytes of the shards alone": lambda shards=shards: bytes_alone(shards),
            }
            if find_spec("webdataset"):
                write_tar(folder, tar)
                ways["WebDataset, npy in tar"] = lambda tar=tar: from_tar(tar)
            if find_spec("litdata"):
                write_chunks(folder, root / "chunks")
                ways["LitData, tensors in chunks"] = lambda path=root / "chunks": from_chunks(path)
            seconds = dict.fromkeys(ways, float("inf"))
            for _ in range(REPEATS):
                for way, run in ways.items():
                    seconds[way] = min(seconds[way], cpu_seconds(run))
            for way, taken in seconds.items():
                ratio = taken / seconds["shards, Chips"]
                print(f"{kind:6} {way:28} {pairs / taken:8.0f} chips a CPU second, {ratio:5.2f} x the time of Chips")


if __name__ == "__main__":
    main()
