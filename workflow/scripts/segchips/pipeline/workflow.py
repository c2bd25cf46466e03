"""The bodies of the rules: the only module that knows of Snakemake and of the library."""

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from segchips.chips.images import make_image
from segchips.errors import InputError, SceneError, SegchipsError
from segchips.files import atomic_write
from segchips.grids.tile import Tile
from segchips.labels.chip import make_label
from segchips.labels.lock import lock_labels, write_label_lock
from segchips.labels.shared_folder import is_own_folder, link_label_folder
from segchips.pipeline.code_versions import module_version
from segchips.pipeline.exclusive_results import exclusive_results
from segchips.pipeline.job import failed
from segchips.pipeline.messages import log_warning
from segchips.pipeline.questions import SAMPLE, Questions
from segchips.pipeline.workers import Workers
from segchips.records.dataset_description import describe_dataset
from segchips.records.file_names import counts_path, provenance_path, shard_path
from segchips.records.shard_writer import write_shard
from segchips.reports import ledger
from segchips.splits.splits import make_splits
from segchips.tiles.manifest import read_manifest

T = TypeVar("T")
_ASKING = ("check_scenes", "make_scenes", "make_image")


def _tell_scripts_where_the_library_is() -> None:
    library = str(Path(__file__).parents[2])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if library not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([library, *filter(None, paths)])


def _guarded(log: str, job: str, make: Callable[[], None]) -> SegchipsError | None:
    """Keep a job's failure in its log, for the ledger, and give it back without its traceback, for the terminal."""
    try:
        make()
    except SegchipsError as error:
        atomic_write(log, f"{error}\n")
        return type(error)(f"{job}: {error}")
    return None


class State(Questions):
    """All that rules ask and do, and the processes that do it."""

    def __init__(self, raw: Mapping[str, Any], workers: int = 0) -> None:
        super().__init__(raw)
        _tell_scripts_where_the_library_is()
        self._workers = Workers(workers, dict(raw)) if workers else None
        self._askers = Workers(1, dict(raw), threads=self.jobs_at_once) if workers else None

    def run(self, method: str, name: str, *arguments: object) -> SegchipsError | None:
        """Call a body below in a worker process, or here where there is none; gives back what went wrong.

        Whatever needs a platform's client is done in the one process that imports it.
        """
        workers = self._askers if method in _ASKING and self.asks(name) else self._workers
        if workers:
            return workers.call(method, name, *arguments)
        return getattr(self, method)(name, *arguments)

    def check_inputs(self) -> None:
        """Look at every input before any job runs; SegchipsError names the dataset and what is wrong."""
        from segchips.pipeline.inputs import check_conversion, check_dataset, check_writable

        check_writable(self.config.results)
        for name, dataset in self.config.datasets.items():
            check_dataset(dataset, self.config.results / name, SAMPLE)
            if not (self.folder(name) / "scenes.parquet").exists() and (error := self.run("check_scenes", name)):
                raise error
        for conversion in self.config.conversions.values():
            check_conversion(conversion)

    def alone(self, execute: Callable[..., T], stop: Callable[[], None]) -> Callable[..., T]:
        """Let Snakemake execute only while no other run is at work in the results; `stop` it where they vanish."""

        def execute_alone(*arguments: Any, **keywords: Any) -> T:
            logging.raiseExceptions = False  # for a logger that looks for the log of a job that did not begin
            try:
                with exclusive_results(self.config.results, stop):
                    os.environ["SEGCHIPS_RESULTS"] = str(self.config.results.absolute())  # marks what is submitted
                    self.forget_exclusions()  # of a run that was killed
                    return execute(*arguments, **keywords)
            except SegchipsError as error:
                raise SystemExit(failed(error)) from error

        return execute_alone

    def reserve(self) -> None:
        """Let a worker do its imports while Snakemake reads the workflow and looks at the jobs."""
        if self._workers:
            self._workers.reserve()

    def check_scenes(self, name: str) -> SegchipsError | None:
        """Look whether the dataset's catalogue has what the config names; gives back what is wrong."""
        from segchips.pipeline.inputs import check_catalogue

        try:
            check_catalogue(self.dataset(name), SAMPLE)
        except SegchipsError as error:
            return error
        return None

    def make_tiles(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the tiles rule; gives back what went wrong."""
        from segchips.tiles.tiles import make_tiles

        def make() -> None:
            atomic_write(log, "".join(f"{line}\n" for line in make_tiles(self.dataset(name), Path(path))))

        return _guarded(log, f"{name}: tiles", make)

    def make_scenes(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the scenes rule; gives back what went wrong."""
        from segchips.scenes.resolve import resolve

        def make() -> None:
            lines = list(resolve(self.dataset(name), self.folder(name) / "tiles.parquet", Path(path), refresh=False))
            atomic_write(log, "".join(f"{line}\n" for line in lines))
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
            atomic_write(log, "".join(f"{note}\n" for note in notes))
            for note in notes[:20]:
                print(f"{name}: {note}", file=sys.stderr)

        return _guarded(log, f"{name}: splits", make)

    def make_label_lock(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the label_lock rule; gives back what went wrong."""
        folder, owner = self.folder(name), self.folder(self.label_owner(name))

        def make() -> None:
            link_label_folder(folder / "labels", owner / "labels")
            if owner == folder:
                features, rows = self.features(name), read_manifest(folder / "tiles.parquet")
                write_label_lock(
                    Path(path),
                    lock_labels(features, [Tile.from_key(row.key) for row in rows], module_version("labels.chip")),
                )
                lines = [f"{len(features)} features", *features.notes]
            else:
                atomic_write(path, (owner / "labels.parquet").read_bytes())
                lines = [f"the labels are those of {owner.name}"]
            atomic_write(log, "".join(f"{line}\n" for line in lines))

        return _guarded(log, f"{name}: labels", make)

    def make_image(self, name: str, tile: str, log: str, *paths: str) -> SegchipsError | None:
        """Body of the images rule, and of the provenance rule with a second path; gives back what went wrong.

        Where a tile may be excluded, an empty file takes the place of a chip that cannot be made, until the run ends.
        """
        place = Tile.from_name(tile)
        error = _guarded(log, f"tile {place.key}", lambda: make_image(self.plan(name), place, *map(Path, paths)))
        if isinstance(error, SceneError) and self.dataset(name).imagery.on_failure == "exclude":
            for path in paths:
                atomic_write(path, b"")
            return None
        return error

    def make_label(self, name: str, tile: str, path: str, log: str) -> SegchipsError | None:
        """Body of the labels rule; gives back what went wrong."""
        place, lock = Tile.from_name(tile), self.label_lock(name)
        chip = (place, lock.feature_indices[place.key], Path(path))
        return _guarded(log, f"tile {place.key}", lambda: make_label(self.features(name), *chip))

    def make_shard(self, name: str, split: str, shard: int, path: str, index: str, log: str) -> SegchipsError | None:
        """Body of the tfrecords rule; gives back what went wrong."""
        dataset, folder = self.dataset(name), self.folder(name)
        keys, recipe = self.shard_tiles(name, split, shard), self.record_recipe(name, split)
        files, chips = (Path(path), Path(index)), (folder / "images", folder / "labels")
        write = partial(write_shard, *files, keys, *chips, split, dataset.tfrecords, dataset.imagery.min_valid)

        def make() -> None:
            made, kept = write(self._excluded(name, keys), dataset.labels.unknown, recipe)
            atomic_write(log, f"{made} records made, {kept} kept of the shard that was there\n")

        return _guarded(log, files[0].name, make)

    def _excluded(self, name: str, keys: Sequence[str]) -> dict[str, str]:
        """The tiles among these whose chips could not be made, with the reasons."""
        chips = zip(keys, map(Path, self.chips(name, "images", keys)), strict=True)
        logs = {
            key: self.logs(name) / "images" / f"{chip.stem}.log"
            for key, chip in chips
            if ledger.is_exclusion_marker(chip)
        }
        return {key: log.read_text(encoding="utf-8").strip() for key, log in logs.items()}

    def forget_exclusions(self) -> None:
        """Remove the marks of excluded tiles, so that the next run tries these again, and say how many there are."""
        for name, dataset in self.config.datasets.items():
            if dataset.imagery.on_failure == "exclude":
                marks = [
                    chip for chip in (self.folder(name) / "images").glob("*.tif") if ledger.is_exclusion_marker(chip)
                ]
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
        describe_dataset(folder, name, dataset.tfrecords, self._by_split(name, indices), *self._example(name), *values)
        removed = self._remove_shards_of_other_layouts(name, folder)
        atomic_write(log, "".join(f"removed {path}, of an earlier layout of shards\n" for path in removed))

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
            for path in (shard_path(index), counts_path(index), provenance_path(index), index):
                path.unlink(missing_ok=True)
        return [shard_path(index) for index in stale]

    def make_ledger(self, name: str, indices: Sequence[str], path: str, log: str) -> None:
        """Body of the ledger rule."""
        rows = ledger.finished_rows(self.placed(name), self.plan(name), [Path(index) for index in indices])
        rows = ledger.mark_moved_tiles(rows, ledger.read_ledger(Path(path)) if os.path.exists(path) else [])
        ledger.write_ledger(Path(path), rows)
        stale = self.stale_chips(name)
        if stale:
            message = f"{name}: {len(stale)} chips belong to no tile any more; `snakemake prune` removes them"
            log_warning(f"{message} (listed in {log})")
        atomic_write(
            log, "\n".join([ledger.summarise_states(rows), *(f"of no tile any more: {chip}" for chip in stale), ""])
        )

    def make_descriptors(self, name: str, log: str) -> SegchipsError | None:
        """Body of the descriptors rule; gives back what went wrong."""
        from segchips.reports.descriptors import write_descriptors

        return _guarded(log, f"dataset {name}", lambda: write_descriptors(self.dataset(name), self.folder(name)))

    def stale_chips(self, name: str) -> list[Path]:
        """The chips in the dataset's own folders that no dataset needs any more."""
        locks = "scenes.parquet", "splits.parquet"
        planned = [
            other for other in self.config.datasets if all((self.folder(other) / lock).exists() for lock in locks)
        ]
        needed = {chip for kind in self.image_kinds(name) for chip in self.chips(name, kind, self.made(name))}
        needed.update(chip for other in planned for chip in self.chips(other, "labels", self.made(other)))
        folders = filter(is_own_folder, (self.folder(name) / kind for kind in ("images", "labels", "provenance")))
        return sorted(chip for folder in folders for chip in folder.glob("*.tif") if str(chip) not in needed)

    def prune(self, log: str) -> None:
        """Remove every dataset's chips that no dataset needs any more, and keep a list of them."""
        stale = [chip for name in self.config.datasets for chip in self.stale_chips(name)]
        for chip in stale:
            chip.unlink()
        atomic_write(log, "".join(f"removed {chip}\n" for chip in stale))
        log_warning(f"{len(stale)} chips removed; {log} lists them")

    def make_conflicts(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the conflicts rule; gives back what went wrong."""
        from segchips.labels.conflicts import write_conflicts

        def make() -> None:
            found = write_conflicts(Path(path), self.features(name), self.label_lock(name))
            atomic_write(log, f"{found}\n")

        return _guarded(log, f"{name}: conflicts", make)

    def make_audit(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the audit rule; gives back what went wrong."""
        from segchips.reports.audit import write_audit

        files = self.folder(name), Path(path), Path(log)
        return _guarded(log, f"{name}: audit", lambda: write_audit(self.dataset(name), *files))

    def check_audit(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the verdict rule; gives back what the audit found wrong."""
        from segchips.reports.audit import check_audit

        return _guarded(log, f"{name}: audit", lambda: check_audit(Path(path)))

    def logs(self, name: str) -> Path:
        """The dataset's folder of logs."""
        return Path("logs") / name

    def make_report(self, name: str, path: str, log: str) -> SegchipsError | None:
        """Body of the report rule; gives back what went wrong."""
        from segchips.reports.report import write_report

        return _guarded(log, f"{name}: report", lambda: write_report(self.dataset(name), self.folder(name), Path(path)))

    def _example(self, name: str) -> tuple[Path, Path]:
        """The first pair of chips that could be made."""
        keys = self.made(name)
        for image, label in zip(*(self.chips(name, kind, keys) for kind in ("images", "labels")), strict=True):
            if not ledger.is_exclusion_marker(Path(image)):
                return Path(image), Path(label)
        raise InputError(f"none of its {len(keys)} tiles could be made; see {self.logs(name) / 'images'}")

    def write_unfinished_ledger(self, name: str) -> None:
        """After a failure: the ledger of what is there, with the reasons from the logs of tiles that failed."""
        folder = self.folder(name)
        if (folder / "splits.parquet").exists() and (folder / "scenes.parquet").exists():
            rows, path = (
                ledger.unfinished_rows(self.placed(name), self.plan(name), folder, self.logs(name)),
                folder / "ledger.csv",
            )
            if not path.exists() or ledger.read_ledger(path) != rows:
                ledger.write_ledger(path, rows)
            print(f"{name}: {ledger.summarise_states(rows)}; see {path}", file=sys.stderr)
