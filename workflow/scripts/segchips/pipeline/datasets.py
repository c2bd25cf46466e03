"""The datasets of a config: the files of their results, and what locks, manifest and splits say of their tiles."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from segchips.chips.image_plan import ImagePlan, ImagePlans
from segchips.config.model import Config, Dataset
from segchips.errors import InputError
from segchips.files import content_digest
from segchips.grids.tile import chip_filename
from segchips.grids.tile_array import TileKeys
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import LabelLock, read_label_locks
from segchips.labels.shared_folder import is_own_folder
from segchips.pipeline.code_versions import foreign_to_images, module_version
from segchips.pipeline.sources import target_sources
from segchips.records.file_names import counts_path, index_name, shard_path
from segchips.scenes.lock import read_locks
from segchips.scenes.pinning import SceneLock
from segchips.splits.splits import read_splits
from segchips.tiles.assignment import PLANNED, Assignments
from segchips.tiles.manifest import read_keys

T = TypeVar("T")


class Datasets:
    """The datasets of a config; results are read once and again only when their file has changed.

    Several threads may use one instance.

    Args:
        config: The checked config.
        logs: The folder of the logs.
    """

    def __init__(self, config: Config, logs: str = "logs") -> None:
        self.config, self._logs = config, Path(logs)
        self._cache: dict[object, tuple[object, Any]] = {}
        self._lock = threading.RLock()

    def __getitem__(self, name: str) -> Dataset:
        return self.config.datasets[name]

    # Files of results

    def folder(self, name: str) -> Path:
        """The dataset's folder of results."""
        return self.config.results / name

    def logs(self, name: str) -> Path:
        """The dataset's folder of logs."""
        return self._logs / name

    def layers(self, name: str) -> list[str]:
        """The names of the dataset's image layers; "" for the only one without a name."""
        return list(self[name].imagery.layers)

    def imagery_key(self, name: str, layer: str) -> str:
        """Where the config declares a layer."""
        return f"datasets.{name}.imagery" + (f".layers.{layer}" if layer else "")

    def targets(self, name: str) -> list[str]:
        """The names of the dataset's label targets; "" for the only one without a name."""
        return list(self[name].labels.targets)

    def parts(self, name: str) -> list[tuple[str, str]]:
        """The kind of chips, images or labels, with the layer or target, of all that a record holds."""
        images = [("images", layer) for layer in self.layers(name)]
        return images + [("labels", target) for target in self.targets(name)]

    def image_kinds(self, name: str, layer: str) -> list[str]:
        """The folders that a layer's imagery is written to: `images`, and `provenance` where the config asks for it."""
        return ["images", "provenance"] if self[name].imagery.layers[layer].provenance else ["images"]

    def image_folders(self, name: str) -> list[tuple[str, str]]:
        """The kind, images or provenance, and the layer of all that jobs of images write."""
        return [(kind, layer) for layer in self.layers(name) for kind in self.image_kinds(name, layer)]

    def chip_folder(self, name: str, kind: str, part: str) -> Path:
        """The folder of chips of one kind (images, labels or provenance) of one layer or target."""
        return self.folder(self.chip_owner(name, kind)) / kind / part

    def chip_logs(self, name: str, kind: str, part: str) -> Path:
        """The folder of the logs of the jobs that make the chips in `chip_folder`, named after these."""
        return self.logs(self.chip_owner(name, kind)) / kind / part

    def chip_owner(self, name: str, kind: str) -> str:
        """The dataset whose chips of one kind this one uses; only those of labels can be another's."""
        return self.label_owner(name) if kind == "labels" else name

    def chips(self, name: str, kind: str, part: str, keys: Sequence[str]) -> list[str]:
        """The chip files of tiles by key; `kind` is images, labels or provenance, `part` the layer or target."""
        folder = self.chip_folder(name, kind, part)
        return [f"{folder}/{chip_filename(key)}" for key in keys]

    def image_chips(self, name: str, keys: Sequence[str]) -> list[str]:
        """The image chips and provenance files of tiles, of every layer."""
        return [chip for kind, layer in self.image_folders(name) for chip in self.chips(name, kind, layer, keys)]

    def label_chips(self, name: str, keys: Sequence[str]) -> list[str]:
        """The label chips of tiles, of every target."""
        return [chip for target in self.targets(name) for chip in self.chips(name, "labels", target, keys)]

    def label_owner(self, name: str) -> str:
        """The dataset whose label chips this one uses: itself if it has any, else one of the same tiles and labels."""
        dataset = self[name]
        same = [
            other
            for other, candidate in self.config.datasets.items()
            if (candidate.tiles, candidate.labels) == (dataset.tiles, dataset.labels)
        ]
        return next((other for other in (name, *same) if is_own_folder(self.folder(other) / "labels")), same[0])

    def indices(self, name: str) -> list[str]:
        """The index files of all shards, split by split."""
        return [path for paths in self.indices_by_split(name).values() for path in map(str, paths)]

    def indices_by_split(self, name: str) -> dict[str, list[Path]]:
        """The index files of the shards of each split."""
        config, folder = self[name].tfrecords, self.folder(name) / "tfrecords"
        return {
            split: [folder / index_name(name, split, shard, config.shards) for shard in range(config.shards)]
            for split in config.splits
        }

    def pixel_counts(self, name: str) -> list[str]:
        """The files of pixel counts of all shards, split by split."""
        return [str(counts_path(Path(index))) for index in self.indices(name)]

    def shards(self, name: str) -> list[str]:
        """The shards, split by split."""
        return [str(shard_path(Path(index))) for index in self.indices(name)]

    # What the config asks for

    def asks_platform(self, name: str, layer: str | None = None) -> bool:
        """Whether image chips of a layer, or of any, come from a platform."""
        layers = self[name].imagery.layers
        return layers[layer].on_platform if layer is not None else any(one.on_platform for one in layers.values())

    def reads_http(self, name: str, layer: str) -> bool:
        """Whether image chips of a layer are made from files on HTTP servers, as far as scenes are known."""
        return self.has_result(name, "scenes.parquet") and self.image_plan(name, layer).reads_http

    def waits_for_network(self, name: str, layer: str) -> bool:
        """Whether image chips of a layer wait for a network, so that many of them can be made side by side."""
        return self.asks_platform(name, layer) or self.reads_http(name, layer)

    def needs_labels(self, name: str) -> bool:
        """Whether labels decide which tiles are made, or in which split."""
        dataset, labels = self[name], self[name].labels.first
        partial = labels.coverage or labels.kind == "continuous" or any(layer.may_be_raster for layer in labels.layers)
        return bool(dataset.splitting.cover or dataset.select.by_label or partial)

    # What results say

    def has_result(self, name: str, *files: str) -> bool:
        """Whether the dataset's folder has these files."""
        return all((self.folder(name) / file).exists() for file in files)

    def keys(self, name: str) -> TileKeys:
        """The keys of all tiles of the manifest."""
        return self.read_once("keys", self.folder(name) / "tiles.parquet", read_keys)

    def assignments(self, name: str) -> Assignments:
        """Every tile with its split, shard and state."""
        return self.read_once("assignments", self.folder(name) / "splits.parquet", read_splits)

    def scene_locks(self, name: str) -> Mapping[str, SceneLock]:
        """The pinned scenes of each layer.

        Raises:
            InputError: The scene lock is damaged.
        """
        return self.read_once("scene locks", self.folder(name) / "scenes.parquet", read_locks)

    def image_plans(self, name: str) -> ImagePlans:
        """What image chips of all layers are made from.

        Raises:
            InputError: The scene lock is damaged, or older than a layer.
        """

        def read(path: Path) -> ImagePlans:
            locks, plans = self.scene_locks(name), {}
            for layer, imagery in self[name].imagery.layers.items():
                if layer not in locks:
                    raise InputError(f"{path}: has no scenes of layer '{layer}'; run again to resolve them")
                version = module_version("chips.images", *foreign_to_images(imagery.source))
                plans[layer] = ImagePlan(imagery, locks[layer], version, self.imagery_key(name, layer))
            return ImagePlans(plans)

        return self.read_once("image plans", self.folder(name) / "scenes.parquet", read)

    def image_plan(self, name: str, layer: str) -> ImagePlan:
        """What image chips of a layer are made from."""
        return self.image_plans(name).layers[layer]

    def label_locks(self, name: str) -> Mapping[str, LabelLock]:
        """What label chips are made from, by target."""
        return self.read_once("label locks", self.folder(name) / "labels.parquet", read_label_locks)

    def label_lock(self, name: str, target: str) -> LabelLock:
        """What label chips of a target are made from.

        Raises:
            InputError: The label lock is damaged, or older than the target.
        """
        if target not in (locks := self.label_locks(name)):
            path = self.folder(name) / "labels.parquet"
            raise InputError(f"{path}: has no labels of target '{target}'; run again to lock them")
        return locks[target]

    def features(self, name: str, target: str) -> LabelFeatures:
        """The label features of a target, read once for all datasets with equal labels."""
        labels = self[name].labels.targets[target]
        first = Path(target_sources(labels)[0])
        return self.read_once(("features", repr(labels)), first, lambda _: LabelFeatures(labels))

    def shard_tiles(self, name: str, split: str, shard: int) -> TileKeys:
        """The keys of the tiles of one shard that have scenes."""
        return self._tiles_by_shard(name).get((split, shard), TileKeys([]))

    def tiles_with_chips(self, name: str) -> TileKeys:
        """The keys of the tiles that get chips: neither dropped nor without scenes."""
        return TileKeys(self._with_chips(name).column("key"))

    def _with_chips(self, name: str) -> Assignments:
        def choose(_: Path) -> Assignments:
            rows = self.assignments(name)
            planned = rows.where(pc.equal(rows.column("state"), PLANNED).to_numpy(zero_copy_only=False))
            return planned.where(self.image_plans(name).have_chips(TileKeys(planned.column("key"))))

        lock = self.folder(name) / "scenes.parquet"
        return self.read_once(("tiles with chips", _identity(lock)), self.folder(name) / "splits.parquet", choose)

    def _tiles_by_shard(self, name: str) -> Mapping[tuple[str, int], TileKeys]:
        def group(_: Path) -> Mapping[tuple[str, int], TileKeys]:
            rows = self._with_chips(name)
            splits = rows.column("split").dictionary_encode()
            numbers = splits.indices.to_numpy().astype(np.int64) << 32 | rows.values("shard")
            order = np.argsort(numbers, kind="stable")
            shards, first = np.unique(numbers[order], return_index=True)
            keys = rows.column("key")
            return {
                (splits.dictionary[shard >> 32].as_py(), shard & 0xFFFFFFFF): TileKeys(keys.take(pa.array(some)))
                for shard, some in zip(shards.tolist(), np.split(order, first[1:]), strict=True)
            }

        lock = self.folder(name) / "scenes.parquet"
        return self.read_once(("tiles by shard", _identity(lock)), self.folder(name) / "splits.parquet", group)

    def content_digests(self, paths: Sequence[str]) -> list[str]:
        """Digests of the contents of files; `missing` for one that a rule has yet to make."""
        return [
            self.read_once("content", Path(path), content_digest) if os.path.exists(path) else "missing"
            for path in paths
        ]

    def read_once(self, what: object, path: Path, read: Callable[[Path], T]) -> T:
        """The value of `read(path)`, computed again only when the file has changed."""
        identity = _identity(path)
        cached = self._cache.get((what, path))
        if cached and cached[0] == identity:
            return cached[1]
        with self._lock:
            cached = self._cache.get((what, path))
            if not (cached and cached[0] == identity):
                cached = self._cache[what, path] = (identity, read(path))
            return cached[1]


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
