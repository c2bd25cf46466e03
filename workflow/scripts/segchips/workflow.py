"""What the Snakemake rules and scripts ask of the library; the only module that knows of both."""

import ast
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from segchips import ledger
from segchips.chips import is_intact
from segchips.code import foreign_modules, version
from segchips.config import Config, Dataset
from segchips.description import PLANNED, index_name, shard_beside, tally_beside
from segchips.errors import InputError, SceneError, SegchipsError
from segchips.files import content_digest, digest, write_whole
from segchips.grid import Tile
from segchips.images import Plan, make_image
from segchips.job import SCHEMA, failed
from segchips.labels import (
    Features,
    LabelLock,
    is_own,
    lock_labels,
    make_label,
    read_label_lock,
    share_labels,
    write_label_lock,
)
from segchips.scenes import Query, read_lock
from segchips.shards import write_info, write_shard
from segchips.solitude import alone
from segchips.splits import make_splits, read_splits
from segchips.tiles import Planned, read_manifest
from segchips.validation import load_config
from segchips.workers import Workers

T = TypeVar("T")
SAMPLE = Path("resources/sample")
_CLOCK = 0.001
_ASKING = ("check_scenes", "make_scenes", "make_image")


class Record(Protocol):
    """What Snakemake keeps of a file it made: the params of the job, as Python literals, and the file's age."""

    params: list[str] | None
    endtime: float | None


def _tell_scripts_where_the_library_is() -> None:
    library = str(Path(__file__).parents[1])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if library not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([library, *filter(None, paths)])


def _guarded(log: str, job: str, make: Callable[[], None]) -> SegchipsError | None:
    """Keep a job's failure in its log, for the ledger, and give it back without its traceback, for the terminal."""
    try:
        make()
    except SegchipsError as error:
        write_whole(log, f"{error}\n")
        return type(error)(f"{job}: {error}")
    return None


def _tell(message: str) -> None:
    """Show the user a line among Snakemake's own."""
    from snakemake.logging import logger

    logger.warning(message)


def while_intact(digest: str, chip: Path, tile: Tile, record: Record | None) -> str:
    """The digest as Snakemake keeps it while the chip is the one that was made; else one that says it is not.

    Only a chip of another age than recorded is read.
    """
    kept = _kept(digest, record)
    if record is None or not kept or not chip.exists():
        return digest
    age = chip.stat().st_mtime
    if abs(age - (record.endtime or 0)) < _CLOCK or is_intact(chip, tile):
        return kept
    _tell(f"{chip} is not the chip that was made; it is made again")
    return f"{digest}, not the file of {_moment(age)}"


def while_whole(digest: str, shard: Path, chips: Sequence[str], record: Record | None) -> str:
    """The digest as Snakemake keeps it while all chips of the shard are there; else one that says they are not."""
    missing = 0 if record is None or not shard.exists() else sum(not os.path.exists(chip) for chip in chips)
    if missing:
        return f"{digest}, {missing} chips missing beside the file of {_moment(shard.stat().st_mtime)}"
    return _kept(digest, record) or digest


def _kept(digest: str, record: Record | None) -> str:
    """The param that Snakemake has recorded for this digest, with what may have been added to it."""
    texts = map(ast.literal_eval, (record and record.params) or ())
    return next((text for text in texts if digest in str(text)), "")


def _moment(age: float) -> str:
    return f"{datetime.fromtimestamp(age, UTC):%Y-%m-%d %H:%M:%S.%f}"


class State:
    """Everything the rules ask about the datasets, read once and kept until the file it came from changes."""

    def __init__(self, raw: Mapping[str, Any], schema: Path = SCHEMA, workers: int = 0) -> None:
        self.config: Config = load_config(raw, schema)
        _tell_scripts_where_the_library_is()
        self._kept: dict[object, tuple[object, Any]] = {}
        self._lock = threading.RLock()
        self._workers = Workers(workers, dict(raw), schema) if workers else None
        self._askers = Workers(1, dict(raw), schema, threads=self.jobs_at_once) if workers else None

    @property
    def jobs_at_once(self) -> int:
        """How many jobs may ask platforms: twice the requests, so that none of these ever waits for the next job."""
        return 2 * self.config.requests

    def run(self, method: str, name: str, *arguments: object) -> SegchipsError | None:
        """Call a body below in a worker process, or here where there is none; gives back what went wrong.

        Whatever needs a platform's client is done in the one process that imports it.
        """
        workers = self._askers if method in _ASKING and self.asks(name) else self._workers
        if workers:
            return workers.call(method, name, *arguments)
        return getattr(self, method)(name, *arguments)

    def asks(self, name: str) -> bool:
        """Whether the image chips of a dataset wait for a platform rather than need a core."""
        return self.dataset(name).imagery.on_platform

    def check_inputs(self) -> None:
        """Look at every input before any job runs; SegchipsError names the dataset and what is wrong."""
        from segchips.inputs import check_conversion, check_dataset, check_writable

        check_writable(self.config.results)
        for name, dataset in self.config.datasets.items():
            check_dataset(dataset, self.config.results / name, SAMPLE)
            if not (self.folder(name) / "scenes.parquet").exists() and (error := self.run("check_scenes", name)):
                raise error
        for conversion in self.config.conversions.values():
            check_conversion(conversion)

    def alone(self, execute: Callable[..., T]) -> Callable[..., T]:
        """Let Snakemake execute only while no other run is at work in the results."""

        def execute_alone(*arguments: Any, **keywords: Any) -> T:
            try:
                with alone(self.config.results):
                    self.forget_exclusions()  # of a run that was killed
                    return execute(*arguments, **keywords)
            except InputError as error:
                raise SystemExit(failed(error)) from error

        return execute_alone

    def check_scenes(self, name: str) -> SegchipsError | None:
        """Look whether the dataset's catalogue has what the config names; gives back what is wrong."""
        from segchips.inputs import check_catalogue

        try:
            check_catalogue(self.dataset(name), SAMPLE)
        except SegchipsError as error:
            return error
        return None

    def conversion_digest(self, name: str) -> str:
        """Changes when the chips have to be converted again: with the config, or any file's name, size or age."""
        conversion = self.config.conversions[name]
        files = [
            (entry.name, entry.stat().st_size, entry.stat().st_mtime_ns)
            for folder in (conversion.images, conversion.labels)
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
        ]
        return digest(version("convert"), conversion, files)

    def folder(self, name: str) -> Path:
        """The dataset's folder of results."""
        return self.config.results / name

    def dataset(self, name: str) -> Dataset:
        """The dataset called `name`."""
        return self.config.datasets[name]

    def version(self, step: str) -> str:
        """The version of a step's code."""
        return version(step)

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
        return digest(self.version("placing"), *how, *self._contents(self.tile_sources(name)))

    def scenes_version(self, name: str) -> str:
        """The version of the code that asks the dataset's catalogue."""
        return version("resolve", *foreign_modules(self.dataset(name).imagery.source))

    def query(self, name: str) -> str:
        """Changes when the catalogue has to be asked something else."""
        return Query.of(self.dataset(name).imagery).text

    def label_owner(self, name: str) -> str:
        """The dataset whose label chips this one uses: itself if it has any, else one of the same tiles and labels."""
        mine = self.dataset(name)
        same = [
            other
            for other, dataset in self.config.datasets.items()
            if (dataset.tiles, dataset.labels) == (mine.tiles, mine.labels)
        ]
        return next((other for other in (name, *same) if is_own(self.folder(other) / "labels")), same[0])

    def label_digest(self, name: str) -> str:
        """Changes when the label lock has to be made again."""
        owner = self.label_owner(name)
        contents = self._contents(self.label_sources(name)) if owner == name else []
        return digest(self.version("labels"), self.dataset(name).labels, owner, *contents)

    def keys_digest(self, name: str) -> str:
        """Changes with the set of tiles; empty while there is no manifest."""
        manifest = self.folder(name) / "tiles.parquet"
        if not manifest.exists():
            return ""
        return self._once(("keys", name), manifest, lambda path: digest(*(row.key for row in read_manifest(path))))

    def placed(self, name: str) -> Sequence[Planned]:
        """Every tile with its split, shard and state."""
        return self._once(("placed", name), self.folder(name) / "splits.parquet", read_splits)

    def plan(self, name: str) -> Plan:
        """What the images are made from."""
        return self._once(
            ("plan", name), self.folder(name) / "scenes.parquet", lambda path: Plan(self.dataset(name), read_lock(path))
        )

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
            seen = [key for key, known in lock.known.items() if not known]
            seen += map(str, (lock.digests if dataset.select.by_label else lock.values).values())
        how = (self.scheme(name), dataset.select, dataset.tfrecords.shards)
        return digest(self.version("splits"), *how, self.keys_digest(name), *seen)

    def scheme(self, name: str) -> str:
        """Changes when moved blocks are free again."""
        return digest(self.dataset(name).splitting, *self._contents(self.split_sources(name)))

    def make_tiles(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the tiles rule; gives back what went wrong."""
        from segchips.placing import write_tiles

        def make() -> None:
            write_whole(log, "".join(f"{line}\n" for line in write_tiles(self.dataset(name), Path(path))))

        return _guarded(log, f"{name}: tiles", make)

    def make_scenes(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the scenes rule; gives back what went wrong."""
        from segchips.resolve import resolve

        def make() -> None:
            lines = list(resolve(self.dataset(name), self.folder(name) / "tiles.parquet", Path(path), anew=False))
            write_whole(log, "".join(f"{line}\n" for line in lines))
            for line in lines:
                if " is left out: " in line:
                    print(f"{name}: {line}", file=sys.stderr)

        return _guarded(log, f"{name}: scenes", make)

    def make_splits(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the splits rule; gives back what went wrong."""

        def make() -> None:
            lock = self.label_lock(name) if self.needs_labels(name) else None
            files = self.folder(name) / "tiles.parquet", Path(path)
            notes = make_splits(self.dataset(name), *files, lock, self.scheme(name))
            write_whole(log, "".join(f"{note}\n" for note in notes))
            for note in notes[:20]:
                print(f"{name}: {note}", file=sys.stderr)

        return _guarded(log, f"{name}: splits", make)

    def label_lock(self, name: str) -> LabelLock:
        """What the labels are made from."""
        return self._once(("labels", name), self.folder(name) / "labels.parquet", read_label_lock)

    def make_label_lock(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the label_lock rule; gives back what went wrong."""
        folder, owner = self.folder(name), self.folder(self.label_owner(name))

        def make() -> None:
            share_labels(folder / "labels", owner / "labels")
            if owner == folder:
                features, rows = self.features(name), read_manifest(folder / "tiles.parquet")
                write_label_lock(Path(path), lock_labels(features, [Tile.from_key(row.key) for row in rows]))
                lines = [f"{len(features)} features", *features.notes]
            else:
                write_whole(path, (owner / "labels.parquet").read_bytes())
                lines = [f"the labels are those of {owner.name}"]
            write_whole(log, "".join(f"{line}\n" for line in lines))

        return _guarded(log, f"{name}: labels", make)

    def features(self, name: str) -> Features:
        """The label features, loaded once in this process for all datasets that burn the same."""
        labels = self.dataset(name).labels
        sources = [Path(path) for path in self.label_sources(name)]
        return self._once(("features", repr(labels)), sources[0], lambda _: Features(labels))

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

    def make_image(self, name: str, tile: str, log: str, *paths: str) -> SegchipsError | None:
        """Body of the images rule, and of the provenance rule with a second path; gives back what went wrong.

        Where a tile may be excluded, an empty file takes the place of a chip that cannot be made, until the run ends.
        """
        place = Tile.from_name(tile)
        error = _guarded(log, f"tile {place.key}", lambda: make_image(self.plan(name), place, *map(Path, paths)))
        if isinstance(error, SceneError) and self.dataset(name).imagery.on_failure == "exclude":
            for path in paths:
                write_whole(path, b"")
            return None
        return error

    def make_label(self, name: str, tile: str, path: str, log: str) -> SegchipsError | None:
        """Body of the labels rule; gives back what went wrong."""
        place, lock = Tile.from_name(tile), self.label_lock(name)
        chip = (place, lock.features[place.key], Path(path))
        return _guarded(log, f"tile {place.key}", lambda: make_label(self.features(name), *chip))

    def make_shard(self, name: str, split: str, shard: int, path: str, index: str, log: str) -> SegchipsError | None:
        """Body of the tfrecords rule; gives back what went wrong."""
        dataset, folder = self.dataset(name), self.folder(name)
        keys, min_valid = self.shard_tiles(name, split, shard), dataset.imagery.min_valid
        files, chips = (Path(path), Path(index)), (folder / "images", folder / "labels")
        excluded = self._excluded(name, keys)
        made = partial(write_shard, *files, keys, *chips, split, dataset.tfrecords)
        make = partial(made, min_valid, excluded, dataset.labels.unknown)
        return _guarded(log, files[0].name, make)

    def _excluded(self, name: str, keys: Sequence[str]) -> dict[str, str]:
        """The tiles among these whose chips could not be made, with the reasons."""
        chips = zip(keys, map(Path, self.chips(name, "images", keys)), strict=True)
        logs = {key: self.logs(name) / "images" / f"{chip.stem}.log" for key, chip in chips if ledger.is_mark(chip)}
        return {key: log.read_text(encoding="utf-8").strip() for key, log in logs.items()}

    def forget_exclusions(self) -> None:
        """Remove the marks of excluded tiles, so that the next run tries these again, and say how many there are."""
        for name, dataset in self.config.datasets.items():
            if dataset.imagery.on_failure == "exclude":
                marks = [chip for chip in (self.folder(name) / "images").glob("*.tif") if ledger.is_mark(chip)]
                for mark in marks:
                    mark.unlink()
                    (self.folder(name) / "provenance" / mark.name).unlink(missing_ok=True)
                if marks:
                    where = self.folder(name) / "ledger.csv"
                    print(
                        f"{name}: {len(marks)} tiles excluded, see {where}; the next run tries again", file=sys.stderr
                    )

    def make_info(self, name: str, indices: Sequence[str], log: str) -> SegchipsError | None:
        """Body of the tfrecords_info rule; `indices` are those of all shards, split by split."""
        return _guarded(log, f"dataset {name}", lambda: self._write_info(name, indices, log))

    def _write_info(self, name: str, indices: Sequence[str], log: str) -> None:
        dataset, folder = self.dataset(name), self.folder(name) / "tfrecords"
        values = dataset.labels.background, dataset.labels.unknown
        write_info(folder, name, dataset.tfrecords, self._by_split(name, indices), *self._example(name), *values)
        removed = self._remove_shards_of_other_layouts(name, folder)
        write_whole(log, "".join(f"removed {path}, of an earlier layout of shards\n" for path in removed))

    def _by_split(self, name: str, indices: Sequence[str]) -> Mapping[str, list[Path]]:
        config = self.dataset(name).tfrecords
        return {
            split: [Path(index) for index in indices[number * config.shards : (number + 1) * config.shards]]
            for number, split in enumerate(config.splits)
        }

    def _remove_shards_of_other_layouts(self, name: str, folder: Path) -> list[Path]:
        """Remove shards of an earlier layout: whoever reads `*.tfrecord*` would read them, too."""
        current = {Path(index).name for index in self.indices(name)}
        stale = [index for index in folder.glob(f"{name}-*.index-*-of-*.csv") if index.name not in current]
        for index in stale:
            for path in (shard_beside(index), tally_beside(index), index):
                path.unlink(missing_ok=True)
        return [shard_beside(index) for index in stale]

    def make_ledger(self, name: str, indices: Sequence[str], path: str, log: str) -> None:
        """Body of the ledger rule."""
        rows = ledger.finished(self.placed(name), self.plan(name), [Path(index) for index in indices])
        rows = ledger.moved(rows, ledger.read_ledger(Path(path)) if os.path.exists(path) else [])
        ledger.write_ledger(Path(path), rows)
        stale = self.stale_chips(name)
        if stale:
            message = f"{name}: {len(stale)} chips belong to no tile any more; `snakemake prune` removes them"
            _tell(f"{message} (listed in {log})")
        write_whole(log, "\n".join([ledger.summary(rows), *(f"of no tile any more: {chip}" for chip in stale), ""]))

    def make_descriptors(self, name: str, log: str) -> SegchipsError | None:
        """Body of the descriptors rule; gives back what went wrong."""
        from segchips.descriptors import write_descriptors

        return _guarded(log, f"dataset {name}", lambda: write_descriptors(self.dataset(name), self.folder(name)))

    def descriptors_digest(self, name: str) -> str:
        """Changes when the descriptors have to be written again although the results are the same."""
        dataset, template = self.dataset(name), Path(__file__).with_name("card.md.j2").read_bytes()
        imagery = replace(dataset.imagery, catalog=None)
        return digest(self.version("descriptors"), template, dataset.tiles, imagery, dataset.labels)

    def stale_chips(self, name: str) -> list[Path]:
        """The chips in the dataset's own folders that no dataset needs any more."""
        locks = "scenes.parquet", "splits.parquet"
        planned = [
            other for other in self.config.datasets if all((self.folder(other) / lock).exists() for lock in locks)
        ]
        needed = {chip for kind in self.image_kinds(name) for chip in self.chips(name, kind, self.made(name))}
        needed.update(chip for other in planned for chip in self.chips(other, "labels", self.made(other)))
        folders = filter(is_own, (self.folder(name) / kind for kind in ("images", "labels", "provenance")))
        return sorted(chip for folder in folders for chip in folder.glob("*.tif") if str(chip) not in needed)

    def prune(self, log: str) -> None:
        """Remove every dataset's chips that no dataset needs any more, and keep a list of them."""
        stale = [chip for name in self.config.datasets for chip in self.stale_chips(name)]
        for chip in stale:
            chip.unlink()
        write_whole(log, "".join(f"removed {chip}\n" for chip in stale))
        _tell(f"{len(stale)} chips removed; {log} lists them")

    def conflicts_digest(self, name: str) -> str:
        """Changes when conflicts have to be counted again."""
        return digest(self.version("conflicts"), *self.label_lock(name).digests.values())

    def make_conflicts(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the conflicts rule; gives back what went wrong."""
        from segchips.conflicts import write_conflicts

        def make() -> None:
            found = write_conflicts(Path(path), self.features(name), self.label_lock(name))
            write_whole(log, f"{found}\n")

        return _guarded(log, f"{name}: conflicts", make)

    def audit_digest(self, name: str) -> str:
        """Changes when the audit has to be made again although the ledger is the same."""
        dataset = self.dataset(name)
        return digest(self.version("audit"), dataset.splitting, dataset.labels.background, dataset.labels.unknown)

    def make_audit(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the audit rule; gives back what went wrong."""
        from segchips.audit import write_audit

        files = self.folder(name), Path(path), Path(log)
        return _guarded(log, f"{name}: audit", lambda: write_audit(self.dataset(name), *files))

    def check_audit(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the verdict rule; gives back what the audit found wrong."""
        from segchips.audit import check_audit

        return _guarded(log, f"{name}: audit", lambda: check_audit(Path(path)))

    def logs(self, name: str) -> Path:
        """The dataset's folder of logs."""
        return Path("logs") / name

    def shard_tiles(self, name: str, split: str, shard: int) -> list[str]:
        """The keys of the tiles of one shard that have chips."""
        return self._members(name).get((split, shard), [])

    def shard_digest(self, name: str, split: str, shard: int) -> str:
        """Changes when the shard has to be written again although its chips are the same."""
        dataset = self.dataset(name)
        how = (replace(dataset.tfrecords, splits={}), dataset.imagery.min_valid, dataset.labels.unknown)
        return digest(version("shards"), *how, split, *self.shard_tiles(name, split, shard))

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
        return [f"{folder}/{key.replace(':', '#')}.tif" for key in keys]

    def report_digest(self, name: str) -> str:
        """Changes when the report has to be written again although the results are the same."""
        template, area = Path(__file__).with_name("report.html.j2").read_bytes(), self.dataset(name).tiles.aoi
        return digest(self.version("report"), template, self.dataset(name), *self._contents([area] if area else []))

    def make_report(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the report rule; gives back what went wrong."""
        from segchips.report import write_report

        return _guarded(log, f"{name}: report", lambda: write_report(self.dataset(name), self.folder(name), Path(path)))

    def indices(self, name: str) -> list[str]:
        """The index files of all shards."""
        config = self.dataset(name).tfrecords
        names = [index_name(name, split, n, config.shards) for split in config.splits for n in range(config.shards)]
        return [str(self.folder(name) / "tfrecords" / index) for index in names]

    def tallies(self, name: str) -> list[str]:
        """The tallies of all shards."""
        return [str(tally_beside(Path(index))) for index in self.indices(name)]

    def example(self, name: str, kind: str) -> list[str]:
        """The chip that shows what all chips of the dataset are like."""
        return self.chips(name, kind, self.made(name)[:1])

    def _example(self, name: str) -> tuple[Path, Path]:
        """The first pair of chips that could be made."""
        keys = self.made(name)
        for image, label in zip(*(self.chips(name, kind, keys) for kind in ("images", "labels")), strict=True):
            if not ledger.is_mark(Path(image)):
                return Path(image), Path(label)
        raise InputError(f"none of its {len(keys)} tiles could be made; see {self.logs(name) / 'images'}")

    def info_digest(self, name: str) -> str:
        """Changes when the description of the shards has to be written again."""
        dataset = self.dataset(name)
        return digest(
            version("shards"),
            dataset.tfrecords,
            dataset.imagery.products,
            dataset.labels.background,
            dataset.labels.unknown,
        )

    def write_unfinished_ledger(self, name: str) -> None:
        """After a failure: the ledger of what is there, with the reasons from the logs of tiles that failed."""
        folder = self.folder(name)
        if (folder / "splits.parquet").exists() and (folder / "scenes.parquet").exists():
            rows, path = (
                ledger.unfinished(self.placed(name), self.plan(name), folder, self.logs(name)),
                folder / "ledger.csv",
            )
            if not path.exists() or ledger.read_ledger(path) != rows:
                ledger.write_ledger(path, rows)
            print(f"{name}: {ledger.summary(rows)}; see {path}", file=sys.stderr)

    def made(self, name: str) -> list[str]:
        """The tiles that get chips: neither dropped nor without scenes."""
        made = {key for members in self._members(name).values() for key in members}
        return [row.key for row in self.placed(name) if row.key in made]

    def _members(self, name: str) -> Mapping[tuple[str, int], list[str]]:
        def gather(_: Path) -> Mapping[tuple[str, int], list[str]]:
            made = set(self.plan(name).made())
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
