"""The state of every tile while a dataset is made, from its files alone."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from segchips.arrays import Ints, Mask
from segchips.config.layers import UNNAMED
from segchips.errors import InputError
from segchips.files import read_parquet
from segchips.grids.tile import chip_filename, chip_key
from segchips.grids.tile_array import TileKeys
from segchips.records.shard_index import read_index_columns
from segchips.reports.ledger import (
    FAILED,
    NO_SCENES,
    UNFINISHED,
    Ledger,
    LedgerRow,
    is_exclusion_marker,
    is_in,
    to_ledger,
)
from segchips.scenes.lock import read_locks
from segchips.splits.splits import read_splits
from segchips.tiles.assignment import DROPPED, EXCLUDED, Assignments
from segchips.tiles.manifest import read_manifest

READY = "the chips are made; their shard is not yet"
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True)
class ChipParts:
    """The folders of chips that a dataset has, by the name of the layer or target; "" for the only one."""

    images: Mapping[str, Path]
    labels: Mapping[str, Path]

    @classmethod
    def of(cls, folder: Path) -> "ChipParts":
        """Find the folders of chips below a dataset's folder of results."""
        return cls(_parts(folder / "images"), _parts(folder / "labels"))

    def all(self) -> Iterator[tuple[str, str, Path]]:
        """Kind of chips, layer or target, and folder."""
        for kind, folders in (("images", self.images), ("labels", self.labels)):
            yield from ((kind, part, place) for part, place in folders.items())


def _parts(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    return {name: folder / name for name in names} or {"": folder}


@dataclass(frozen=True)
class Progress:
    """How far a dataset is.

    Attributes:
        rows: A row for each tile (n), as in the ledger.
        have_images: The tiles (n) that have an image chip of any layer.
    """

    rows: Ledger
    have_images: Mask


def read_progress(folder: Path, logs: Path) -> Progress:
    """Find the state of each tile, whether the dataset is finished or not.

    A chip counts as made once its file is there, whether a job of its own or that of a portion under way has made it.

    Args:
        folder: The dataset's folder of results.
        logs: The dataset's folder of logs, which hold the messages of failed jobs.

    Raises:
        InputError: The folder has no tiles yet, or a file is damaged.
    """
    assignments = _assignments(folder)
    keys, scenes = TileKeys(assignments.column("key")), dict[str, Ints]()
    if (folder / "scenes.parquet").exists():
        scenes = _scene_counts(folder / "scenes.parquet", keys)
    parts = _wanted_parts(folder, list(scenes))
    made = {(kind, part): _have_chips(place, keys) for kind, part, place in parts.all()}
    states, reasons = _waiting(len(keys), scenes, made)
    entries = read_index_columns(
        sorted((folder / "tfrecords").glob("*.index-*.csv")), ["tile", "state", "reason", "valid"]
    )
    place = TileKeys(entries["tile"]).rows(keys)
    indexed, dropped = place >= 0, is_in(assignments, DROPPED)
    states[indexed], reasons[indexed] = (_texts(entries[name], place[indexed]) for name in ("state", "reason"))
    failures = dict(_failures(parts, logs))
    failed = keys.rows(TileKeys(failures))
    for row, (state, reason) in zip(failed.tolist(), failures.values(), strict=True):
        if row >= 0:
            states[row], reasons[row] = state, reason
    states[dropped], reasons[dropped] = DROPPED, _texts(assignments.column("reason"), np.flatnonzero(dropped))
    left_out = dropped | np.isin(np.arange(len(keys)), failed)
    columns = {
        "tile": keys.column,
        "split": assignments.column("split"),
        "shard": assignments.column("shard"),
        "state": pa.array(states, pa.string()),
        "reason": pa.array(reasons, pa.string()),
        "valid": entries["valid"].combine_chunks().take(pa.array(place, mask=~indexed | left_out)),
        "scenes": pa.array(sum(scenes.values(), np.zeros(len(keys), np.int64)), pa.int32()),
    }
    have_images = [found for (kind, _), found in made.items() if kind == "images"]
    return Progress(
        Ledger(LedgerRow, pa.table(columns, schema=to_ledger([]).table.schema)),
        np.any([np.zeros(len(keys), bool), *have_images], axis=0),
    )


def _assignments(folder: Path) -> Assignments:
    if (folder / "splits.parquet").exists():
        return read_splits(folder / "splits.parquet")
    if (folder / "tiles.parquet").exists():
        return read_manifest(folder / "tiles.parquet")
    raise InputError(
        f"'{folder}' has no tiles.parquet; name the folder of a dataset, such as results/sample, and run the workflow "
        "until its tiles are known"
    )


def _scene_counts(path: Path, keys: TileKeys) -> dict[str, Ints]:
    """The number of pinned scenes of each tile (n), by layer."""
    counts = {}
    for layer, lock in read_locks(path).items():
        rows, sizes = lock.tiles.tiles.rows(keys), np.array([0, *map(len, lock.tiles.sets)])
        counts[layer] = sizes[np.where(rows < 0, 0, lock.tiles.numbers[rows] + 1)] if len(lock.tiles) else 0 * rows
    return counts


def _wanted_parts(folder: Path, layers: list[str]) -> ChipParts:
    """The folders of the chips that tiles are to have: those that there are, and those of which locks tell already."""
    parts, lock, targets = ChipParts.of(folder), folder / "labels.parquet", list[str]()
    if lock.exists():
        named = "target" in pq.read_schema(lock).names
        targets = pc.unique(read_parquet(lock, ["target"])["target"]).to_pylist() if named else [UNNAMED]
    return ChipParts(
        _with_locked(folder / "images", parts.images, layers), _with_locked(folder / "labels", parts.labels, targets)
    )


def _with_locked(folder: Path, there: Mapping[str, Path], names: list[str]) -> dict[str, Path]:
    locked = {name: folder / name for name in names}
    return {part: place for part, place in there.items() if part or "" in locked or not locked} | locked


def _have_chips(place: Path, keys: TileKeys) -> Mask:
    """Which tiles (n) have a chip in a folder; an empty file is none."""
    found = np.zeros(len(keys), bool)
    if place.is_dir():
        with os.scandir(place) as entries:
            chips = [chip_key(entry.name[:-4]) for entry in entries if _is_filled(entry, ".tif")]
        rows = keys.rows(TileKeys(chips))
        found[rows[rows >= 0]] = True
    return found


def _is_filled(entry: "os.DirEntry[str]", suffix: str) -> bool:
    return entry.name.endswith(suffix) and entry.stat().st_size > 0


def _waiting(count: int, scenes: Mapping[str, Ints], made: Mapping[tuple[str, str], Mask]) -> tuple[Texts, Texts]:
    """State and reason of tiles (n) that are in no shard yet."""
    states, reasons = np.full(count, UNFINISHED, object), np.full(count, "not made yet: all chips", object)
    if made:
        # One number tells which of the parts are missing.
        missing = sum((~found).astype(np.int64) << place for place, found in enumerate(made.values()))
        numbers, positions = np.unique(missing, return_inverse=True)
        titles = [_title(kind, part) for kind, part in made]
        lists = [[title for place, title in enumerate(titles) if number >> place & 1] for number in numbers.tolist()]
        texts = [f"not made yet: {', '.join(some)}" if some else READY for some in lists]
        reasons = np.array(texts, object)[positions]
    for layer, counts in reversed(list(scenes.items())):
        lacking = counts == 0
        if ("images", layer) in made:
            lacking &= ~made["images", layer]
        states[lacking] = NO_SCENES
        reasons[lacking] = f"{layer}: no scene of the tile" if layer else "no scene of the tile"
    return states, reasons


def _title(kind: str, part: str) -> str:
    return f"{kind.removesuffix('s')} {part}".rstrip()


def _texts(column: pa.Array | pa.ChunkedArray, rows: Ints) -> Texts:
    return np.asarray(column.take(pa.array(rows)).to_pylist(), object)


def _failures(parts: ChipParts, logs: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """State and reason of chips that could not be made, by the key of the tile, from logs that are not empty."""
    for kind, part, place in parts.all():
        if not (logs / kind / part).is_dir():
            continue
        with os.scandir(logs / kind / part) as entries:
            names = sorted(entry.name for entry in entries if _is_filled(entry, ".log"))
        for name in names:
            key = chip_key(name.removesuffix(".log"))
            chip = place / chip_filename(key)
            excluded = is_exclusion_marker(chip)
            if excluded or not chip.exists():
                reason = (logs / kind / part / name).read_text(encoding="utf-8", errors="replace").strip()
                yield key, (EXCLUDED if excluded else FAILED, f"{part}: {reason}" if part else reason)
