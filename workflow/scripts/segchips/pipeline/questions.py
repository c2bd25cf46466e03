"""What the rules ask about datasets: files, tiles, chips, and digests that change when a result is to be made again."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from segchips.chips.image_plan import ImagePlan
from segchips.config.loading import load_config
from segchips.config.model import Config, Dataset
from segchips.errors import InputError
from segchips.files import content_digest, digest
from segchips.grids.tile import Tile, chip_filename
from segchips.labels.features import LabelFeatures
from segchips.labels.lock import LabelLock, read_label_lock
from segchips.labels.shared_folder import is_own_folder
from segchips.pipeline.code_versions import foreign_modules, foreign_to_images, module_version, script_version
from segchips.records.file_names import counts_path, index_name
from segchips.scenes.lock import read_lock
from segchips.scenes.query import SceneQuery
from segchips.splits.splits import read_splits
from segchips.tiles.assignment import PLANNED, TileAssignment
from segchips.tiles.manifest import read_manifest

T = TypeVar("T")
SAMPLE = Path("resources/sample")
TEMPLATES = Path(__file__).parents[1] / "reports"


class Questions:
    """Everything the rules ask about the datasets, read once and kept until the file it came from changes."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.config: Config = load_config(raw)
        self._kept: dict[object, tuple[object, Any]] = {}
        self._lock = threading.RLock()

    @property
    def jobs_at_once(self) -> int:
        """How many jobs may ask platforms: twice the requests, so that none of these ever waits for the next job."""
        return 2 * self.config.requests

    def asks(self, name: str) -> bool:
        """Whether the image chips of a dataset wait for a platform rather than need a core."""
        return self.dataset(name).imagery.on_platform

    def conversion_digest(self, name: str) -> str:
        """Changes when the chips have to be converted again: with the config, or any file's name, size or age."""
        conversion = self.config.conversions[name]
        files = [
            (entry.name, entry.stat().st_size, entry.stat().st_mtime_ns)
            for folder in (conversion.chips.images, conversion.chips.labels)
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
        ]
        return digest(script_version("convert"), conversion, files)

    def folder(self, name: str) -> Path:
        """The dataset's folder of results."""
        return self.config.results / name

    def dataset(self, name: str) -> Dataset:
        """The dataset called `name`."""
        return self.config.datasets[name]

    def is_sample(self, path: str) -> bool:
        """Whether the workflow makes the file itself."""
        return Path(path).is_relative_to(SAMPLE)

    def tile_sources(self, name: str) -> list[str]:
        """The files that say where tiles are, and in which split."""
        tiles, labels = self.dataset(name).tiles, self.dataset(name).labels
        if tiles.keys is not None:
            places = [tiles.keys] if isinstance(tiles.keys, str) else []
        else:
            places = [tiles.aoi] if tiles.aoi else [layer.path for layer in labels.layers]
        return list(dict.fromkeys([*places, *self.split_sources(name)]))

    def label_sources(self, name: str) -> list[str]:
        """The files that hold the label features and say where they are known, each once."""
        labels = self.dataset(name).labels
        coverage = [labels.coverage.path] if labels.coverage else []
        return list(dict.fromkeys([*(layer.path for layer in labels.layers), *coverage]))

    def catalog_file(self, name: str) -> list[str]:
        """The catalogue, where it is a file."""
        catalog = str(self.dataset(name).imagery.catalog)
        return [] if self.asks(name) or "://" in catalog else [catalog]

    def tiles_digest(self, name: str) -> str:
        """Changes when the manifest has to be made again."""
        dataset = self.dataset(name)
        layers = () if dataset.tiles.aoi or dataset.tiles.keys else dataset.labels.layers
        how = dataset.tiles, layers, replace(dataset.splitting, cover=False), dataset.tfrecords.shards
        return digest(module_version("tiles.tiles"), *how, *self._contents(self.tile_sources(name)))

    def scenes_version(self, name: str) -> str:
        """The version of the code that asks the dataset's catalogue."""
        return module_version("scenes.resolve", *foreign_modules(self.dataset(name).imagery.source))

    def query(self, name: str) -> str:
        """Changes when the catalogue has to be asked something else."""
        return SceneQuery.of(self.dataset(name).imagery).text

    def label_owner(self, name: str) -> str:
        """The dataset whose label chips this one uses: itself if it has any, else one of the same tiles and labels."""
        mine = self.dataset(name)
        same = [
            other
            for other, dataset in self.config.datasets.items()
            if (dataset.tiles, dataset.labels) == (mine.tiles, mine.labels)
        ]
        return next((other for other in (name, *same) if is_own_folder(self.folder(other) / "labels")), same[0])

    def label_digest(self, name: str) -> str:
        """Changes when the label lock has to be made again."""
        owner = self.label_owner(name)
        contents = self._contents(self.label_sources(name)) if owner == name else []
        return digest(module_version("labels.lock"), self.dataset(name).labels, owner, *contents)

    def keys_digest(self, name: str) -> str:
        """Changes with the set of tiles; empty while there is no manifest."""
        manifest = self.folder(name) / "tiles.parquet"
        if not manifest.exists():
            return ""
        return self._once(("keys", name), manifest, lambda path: digest(*(row.key for row in read_manifest(path))))

    def placed(self, name: str) -> Sequence[TileAssignment]:
        """Every tile with its split, shard and state."""
        return self._once(("placed", name), self.folder(name) / "splits.parquet", read_splits)

    def plan(self, name: str) -> ImagePlan:
        """What the images are made from."""

        def read(path: Path) -> ImagePlan:
            dataset = self.dataset(name)
            code = module_version("chips.images", *foreign_to_images(dataset.imagery.source))
            return ImagePlan(dataset.imagery, read_lock(path), code, f"datasets.{name}.imagery")

        return self._once(("plan", name), self.folder(name) / "scenes.parquet", read)

    def split_sources(self, name: str) -> list[str]:
        """The file whose regions name splits, where the splits follow regions."""
        splitting = self.dataset(name).splitting
        return [str(splitting.path)] if splitting.by == "region" else []

    def needs_labels(self, name: str) -> bool:
        """Whether labels have a say in which tiles are made, or in which split."""
        dataset = self.dataset(name)
        return dataset.splitting.cover or dataset.select.by_label or dataset.labels.coverage is not None

    def splits_digest(self, name: str) -> str:
        """Changes when tiles have to be placed again: with tiles, config, regions, and labels as far as they matter."""
        dataset, seen = self.dataset(name), []
        if self.needs_labels(name) and (self.folder(name) / "labels.parquet").exists():
            lock = self.label_lock(name)
            seen = [key for key, known in lock.covered_pixels.items() if not known]
            seen += map(str, (lock.digests if dataset.select.by_label else lock.values).values())
        how = (self.scheme(name), dataset.select, dataset.tfrecords.shards)
        return digest(module_version("splits.splits"), *how, self.keys_digest(name), *seen)

    def scheme(self, name: str) -> str:
        """Changes when moved blocks are free again."""
        return digest(self.dataset(name).splitting, *self._contents(self.split_sources(name)))

    def label_lock(self, name: str) -> LabelLock:
        """What the labels are made from."""
        return self._once(("labels", name), self.folder(name) / "labels.parquet", read_label_lock)

    def features(self, name: str) -> LabelFeatures:
        """The label features, loaded once in this process for all datasets that burn the same."""
        labels = self.dataset(name).labels
        sources = [Path(path) for path in self.label_sources(name)]
        return self._once(("features", repr(labels)), sources[0], lambda _: LabelFeatures(labels))

    def image_digest(self, name: str, tile: str) -> str:
        """Changes when the tile's image chip has to be made again."""
        key = Tile.from_name(tile).key
        if key not in self.plan(name).lock.tiles:
            raise InputError(
                f"tile {key} is not in the manifest of dataset '{name}' ({self.folder(name) / 'tiles.parquet'})"
            )
        return self.plan(name).digest(key)

    def label_chip_digest(self, name: str, tile: str) -> str:
        """Changes when the tile's label chip has to be made again."""
        return self.label_lock(name).digests[Tile.from_name(tile).key]

    def provenance_digest(self, name: str, tile: str) -> str:
        """Changes when the tile's image chip has to be made again with its provenance, which counts days."""
        return digest(self.image_digest(name, tile), self.dataset(name).imagery.reference_date)

    def descriptors_digest(self, name: str) -> str:
        """Changes when the descriptors have to be written again although the results are the same."""
        dataset, template = self.dataset(name), (TEMPLATES / "card.md.j2").read_bytes()
        imagery = replace(dataset.imagery, catalog=None)
        return digest(module_version("reports.descriptors"), template, dataset.tiles, imagery, dataset.labels)

    def conflicts_digest(self, name: str) -> str:
        """Changes when conflicts have to be counted again."""
        return digest(module_version("labels.conflicts"), *self.label_lock(name).digests.values())

    def audit_digest(self, name: str) -> str:
        """Changes when the audit has to be made again although the ledger is the same."""
        dataset = self.dataset(name)
        return digest(
            module_version("reports.audit"), dataset.splitting, dataset.labels.background, dataset.labels.unknown
        )

    def shard_tiles(self, name: str, split: str, shard: int) -> list[str]:
        """The keys of the tiles of one shard that have chips."""
        return self._members(name).get((split, shard), [])

    def record_recipe(self, name: str, split: str) -> str:
        """Changes when the records of a split have to be made again although their chips are the same."""
        dataset = self.dataset(name)
        how = (replace(dataset.tfrecords, splits={}), dataset.imagery.min_valid, dataset.labels.unknown)
        return digest(module_version("records.shard_writer"), *how, split)

    def shard_digest(self, name: str, split: str, shard: int) -> str:
        """Changes when the shard has to be written again although its chips are the same."""
        return digest(self.record_recipe(name, split), *self.shard_tiles(name, split, shard))

    def traced(self, provenance: bool) -> str:
        """A pattern of the names of all datasets that have, or have not, provenance files."""
        names = (name for name, dataset in self.config.datasets.items() if dataset.imagery.provenance == provenance)
        return "|".join(names) or "none"

    def image_kinds(self, name: str) -> list[str]:
        """The kinds of chips that come with a tile's image."""
        return ["images", "provenance"] if self.dataset(name).imagery.provenance else ["images"]

    def chips(self, name: str, kind: str, keys: Sequence[str]) -> list[str]:
        """The chip files of tiles; `kind` is images, labels or provenance."""
        folder = self.folder(self.label_owner(name) if kind == "labels" else name) / kind
        return [f"{folder}/{chip_filename(key)}" for key in keys]

    def report_digest(self, name: str) -> str:
        """Changes when the report has to be written again although the results are the same."""
        template, area = (TEMPLATES / "report.html.j2").read_bytes(), self.dataset(name).tiles.aoi
        return digest(
            module_version("reports.report"), template, self.dataset(name), *self._contents([area] if area else [])
        )

    def indices(self, name: str) -> list[str]:
        """The index files of all shards."""
        config = self.dataset(name).tfrecords
        names = [index_name(name, split, n, config.shards) for split in config.splits for n in range(config.shards)]
        return [str(self.folder(name) / "tfrecords" / index) for index in names]

    def tallies(self, name: str) -> list[str]:
        """The tallies of all shards."""
        return [str(counts_path(Path(index))) for index in self.indices(name)]

    def example(self, name: str, kind: str) -> list[str]:
        """The chip that shows what all chips of the dataset are like."""
        return self.chips(name, kind, self.made(name)[:1])

    def info_digest(self, name: str) -> str:
        """Changes when the description of the shards has to be written again."""
        dataset = self.dataset(name)
        return digest(
            module_version("records.dataset_description"),
            dataset.tfrecords,
            dataset.imagery.products,
            dataset.labels.background,
            dataset.labels.unknown,
        )

    def made(self, name: str) -> list[str]:
        """The tiles that get chips: neither dropped nor without scenes."""
        made = {key for members in self._members(name).values() for key in members}
        return [row.key for row in self.placed(name) if row.key in made]

    def _members(self, name: str) -> Mapping[tuple[str, int], list[str]]:
        def gather(_: Path) -> Mapping[tuple[str, int], list[str]]:
            made = set(self.plan(name).tiles_with_chips())
            members: dict[tuple[str, int], list[str]] = {}
            for row in self.placed(name):
                if row.state == PLANNED and row.key in made:
                    members.setdefault((row.split, row.shard), []).append(row.key)
            return members

        stamp = (self.folder(name) / "scenes.parquet").stat().st_mtime_ns
        return self._once(("members", name, stamp), self.folder(name) / "splits.parquet", gather)

    def _contents(self, paths: Sequence[str]) -> list[str]:
        """Digests of the files' contents; of one that a rule has yet to make, a mark that it is missing."""
        return [
            self._once("content", Path(path), content_digest) if os.path.exists(path) else "missing" for path in paths
        ]

    def _once(self, what: object, path: Path, make: Callable[[Path], T]) -> T:
        """What `make` gives for the file, made again only when the file has changed."""
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        kept = self._kept.get((what, path))
        if kept and kept[0] == stamp:
            return kept[1]
        with self._lock:
            kept = self._kept.get((what, path))
            if not (kept and kept[0] == stamp):
                kept = self._kept[what, path] = (stamp, make(path))
            return kept[1]
