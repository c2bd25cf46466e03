"""Portions: sets of neighbouring tiles of a large dataset, whose chips one job makes.

The tiles are ordered by zone, and in it along a curve that keeps near tiles together (Morton order). The order is cut
before tiles whose keys have the lowest hashes, until no portion is too large. A tile that comes or goes so changes the
portion that it lies in, and seldom a neighbour.

Each portion has a hidden file that says of each chip what it was made from, and when. A chip that is still that file is
up to date, or outdated, without being opened.
"""

import itertools
import json
import os
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from segchips.arrays import Ints
from segchips.chips.skipped_scenes import skipped_scenes
from segchips.config.model import AUTO
from segchips.errors import InputError
from segchips.files import atomic_write, digest
from segchips.grids.tile import chip_name
from segchips.grids.tile_array import TileArray, TileKeys
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.digests import Digests

TILES = 1000
"""Tiles of a portion on average, and tiles of a dataset from which on it has portions, unless the config says so."""
FORCED = "SEGCHIPS_FORCED"
"""The environment variable of a run that makes chips again: when it began, in nanoseconds since 1970, and the files of
these chips or what stands for all of a kind, as JSON."""
FOLDER = ".portions"
MISSING, OUTDATED, UNKNOWN, REPEATED = "missing", "outdated", "changed or unknown", "forced"
INCOMPLETE = "made without a scene that they should have"
_EXAMPLES = 3
"""Tiles that a line names."""
_FAR = 2**31
"""Added to columns and rows, which may be negative."""


@dataclass(frozen=True)
class Portion:
    """A portion of a dataset's chips.

    Attributes:
        dataset: The dataset's name.
        kind: `images`, with provenance where the config asks for it, or `labels`.
        part: The layer or target.
        name: The name of the first tile.
    """

    dataset: str
    kind: str
    part: str
    name: str


@dataclass(frozen=True)
class Chip:
    """A chip of a portion that is not known to be right.

    Attributes:
        key: The key of its tile.
        digest: The rerun digest of the chip as it should be.
        files: The image and its provenance file, or the label chip.
        reason: What is wrong with it.
        ages: When the files were written; None where they are missing.
    """

    key: str
    digest: str
    files: tuple[str, ...]
    reason: str
    ages: Sequence[int] | None


def divide(keys: TileKeys, size: int) -> dict[str, TileKeys]:
    """Divide tiles into portions.

    Args:
        keys: The keys of the tiles, of which there is one at least.
        size: How many tiles a portion has on average, and half of what it has at most.

    Returns:
        The keys of each portion's tiles, in the order in which they are to be made, by the name of its first tile.
    """
    zones, columns, rows = TileArray.from_keys(keys).indices.T
    curve = _spread(columns) | _spread(rows) << np.uint64(1)
    ordered = TileKeys(keys.column.take(pa.array(np.lexsort((curve, zones)))))
    hashes = np.fromiter((zlib.crc32(key.encode()) for key in ordered), np.uint32, len(keys))
    starts, todo = [0], [(0, len(keys))]
    while todo:
        first, end = todo.pop()
        if end - first > 2 * size:
            cut = first + 1 + int(np.argmin(hashes[first + 1 : end]))
            starts.append(cut)
            todo += [(first, cut), (cut, end)]
    starts.sort()
    portions = (ordered[start:stop] for start, stop in itertools.pairwise([*starts, len(keys)]))
    return {chip_name(portion[0]): portion for portion in portions}


def _spread(numbers: Ints) -> npt.NDArray[np.uint64]:
    """Columns or rows (n) with a zero before each of their 32 bits."""
    bits = (numbers + _FAR).astype(np.uint64)
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        bits = (bits | bits << np.uint64(shift)) & np.uint64(mask)
    return bits


class Portions:
    """The portions of all datasets.

    Args:
        datasets: The datasets.
        lacks_scene: Whether the chip of a dataset, layer and tile, at a path, lacks a scene that can be read now.
    """

    def __init__(self, datasets: Datasets, lacks_scene: Callable[[str, str, str, str], bool]) -> None:
        self._datasets, self._digests, self._lacks_scene = datasets, Digests(datasets), lacks_scene

    def are_used(self, name: str) -> bool:
        """Whether a dataset, whose tiles have splits, is made in portions."""
        size = self._datasets.config.tiles_per_job
        return len(self._datasets.assignments(name)) >= TILES if size == AUTO else size != 1

    def are_known_to_be_used(self, name: str) -> bool:
        """As `are_used`, before it is known whether the splits are there and can be read."""
        with suppress(InputError, OSError):
            return self.are_used(name)
        return False

    def all(self, name: str) -> list[Portion]:
        """All portions of a dataset; none where it is not made in portions."""
        if not self.are_used(name):
            return []
        parts = self._datasets.parts(name)
        return [Portion(name, kind, part, portion) for kind, part in parts for portion in self._keys(name)]

    def folder(self, name: str) -> Path:
        """The folder of what is known of a dataset's portions."""
        return self._datasets.folder(name) / FOLDER

    def record(self, portion: Portion) -> str:
        """The file that stands for a finished portion."""
        return f"{self.folder(portion.dataset) / portion.kind / portion.part / portion.name}.json"

    def keys(self, portion: Portion) -> TileKeys:
        """The keys of the portion's tiles that get chips."""
        return self._keys(portion.dataset).get(portion.name, TileKeys([]))

    def count(self, name: str, portion: str) -> int:
        """How many tiles a portion, given by name, has that get chips."""
        return len(self._keys(name).get(portion, ()))

    def _keys(self, name: str) -> Mapping[str, TileKeys]:
        folder = self._datasets.folder(name)
        manifest, lock, splits = (folder / f"{file}.parquet" for file in ("tiles", "scenes", "splits"))

        def divide_all(_: Path) -> Mapping[str, TileKeys]:
            size = self._datasets.config.tiles_per_job
            return divide(self._datasets.keys(name), TILES if size == AUTO else int(size))

        def choose(_: Path) -> Mapping[str, TileKeys]:
            chosen = self._datasets.tiles_with_chips(name)
            portions = self._datasets.read_once("portions", manifest, divide_all)
            if len(chosen) == len(self._datasets.keys(name)):
                return portions
            kept = {portion: keys.where(chosen.rows(keys) >= 0) for portion, keys in portions.items()}
            return {portion: keys for portion, keys in kept.items() if len(keys)}

        others = tuple(file.stat().st_mtime_ns for file in (manifest, lock))
        return self._datasets.read_once(("tiles by portion", others), splits, choose)

    def digest(self, portion: Portion) -> str:
        """The rerun digest of a portion: of all of its chips."""
        keys = self.keys(portion)
        chips = self._digests.chips(portion.dataset, portion.kind, portion.part, keys)
        return digest(*map(" ".join, zip(keys, chips, strict=True)))

    def digest_of_all(self, name: str) -> str:
        """The rerun digest of what stands for all portions: of their names, with a note of missing ones."""
        portions = self.all(name)
        missing = sum(not os.path.exists(self.record(portion)) for portion in portions)
        made_from = digest(*((portion.kind, portion.part, portion.name) for portion in portions))
        return f"{made_from}, {missing} portions missing" if missing else made_from

    def note_of_shard(self, name: str, keys: Sequence[str]) -> str:
        """What the digest of a shard says of chips that lack scenes: their own digests are those of whole ones."""
        layers, gathered = self._datasets[name].imagery.layers, self.folder(name) / "all.json"
        if not any(imagery.skips_scenes for imagery in layers.values()) or not gathered.exists():
            return ""

        def read(_: Path) -> dict[str, list[str]]:
            lacking: dict[str, list[str]] = {}
            for portion in self.all(name):
                tiles, incomplete = self.keys(portion), self._read_state(portion)[1]
                for key in incomplete.keys() & set(tiles) if incomplete else ():
                    lacking.setdefault(key, []).append(f"{portion.part} {incomplete[key]}")
            return lacking

        incomplete = self._datasets.read_once("incomplete", gathered, read)
        lacking = [(key, *incomplete[key]) for key in keys if key in incomplete]
        return f", {digest(*lacking)} made without scenes" if lacking else ""

    def outdated(self, portion: Portion) -> list[Chip]:
        """The chips of a portion that are not known to be right, in the order in which they are to be made."""
        keys = self.keys(portion)
        digests = self._digests.chips(portion.dataset, portion.kind, portion.part, keys)
        known, incomplete = self._read_state(portion)
        since, *names = json.loads(os.environ.get(FORCED, "[0]"))
        forced, of_kind, chips = set(names), self.all_of(portion.kind), list[Chip]()
        for key, wanted, files in zip(keys, digests, self.files(portion, keys), strict=True):
            ages = file_ages(files)
            made_from, *made = known.get(key, [None])
            if ages is None:
                reason = MISSING
            elif not forced.isdisjoint((of_kind, *files)) and not since <= min(ages) <= time.time_ns():
                reason = REPEATED
            elif made != ages:
                reason = UNKNOWN
            elif made_from != wanted:
                reason = OUTDATED
            elif key in incomplete and self._lacks_scene(portion.dataset, portion.part, chip_name(key), files[0]):
                reason = INCOMPLETE
            else:
                continue
            chips.append(Chip(key, wanted, files, reason, ages))
        return chips

    def describe(self, portion: Portion) -> str:
        """How many chips of a portion are not known to be right, with the first of them; empty where all are."""
        by_reason: dict[str, list[str]] = {}
        for chip in self.outdated(portion):
            by_reason.setdefault(chip.reason, []).append(chip.key)
        texts = []
        for reason, keys in by_reason.items():
            more = ", ..." if len(keys) > _EXAMPLES else ""
            texts.append(f"{len(keys):,} {reason} ({', '.join(keys[:_EXAMPLES])}{more})")
        return f"{portion.kind} of {len(self.keys(portion)):,} tiles: {'; '.join(texts)}" if texts else ""

    def files(self, portion: Portion, keys: Sequence[str]) -> list[tuple[str, ...]]:
        """The chip files of tiles: for each tile, the image and its provenance file, or the label chip."""
        name, part = portion.dataset, portion.part
        kinds = self._datasets.image_kinds(name, part) if portion.kind == "images" else [portion.kind]
        return list(zip(*(self._datasets.chips(name, kind, part, keys) for kind in kinds), strict=True))

    def all_of(self, kind: str) -> str:
        """What stands for all chips of a kind where the chips are named that are made again."""
        return f"{kind} in {self._datasets.config.results}"

    def lacking_scenes(self, portion: Portion, chip: Chip) -> str:
        """A digest of the scenes that a chip lacks because they could not be read; empty where it lacks none."""
        layers = self._datasets[portion.dataset].imagery.layers
        if portion.kind != "images" or not layers[portion.part].skips_scenes:
            return ""
        scenes = skipped_scenes(Path(chip.files[0]))
        return digest(*scenes) if scenes else ""

    def _state(self, portion: Portion) -> Path:
        record = Path(self.record(portion))
        return record.with_name(f".{record.stem}.chips")

    def _read_state(self, portion: Portion) -> tuple[Mapping[str, list[Any]], Mapping[str, str]]:
        """Digest and ages of each chip as it was made, and the scenes that chips lack; nothing if it is damaged."""
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            state = json.loads(self._state(portion).read_bytes())
            chips = {str(key): [str(made_from), *map(int, ages)] for key, (made_from, *ages) in state["chips"].items()}
            return chips, {str(key): str(scenes) for key, scenes in state["incomplete"].items()}
        return {}, {}

    def remember(self, portion: Portion, chips: Sequence[Chip], right: Mapping[str, str]) -> None:
        """Write what is known of the chips of a portion.

        Args:
            portion: The portion.
            chips: What `outdated` has returned.
            right: The keys of those that are right now, with what `lacking_scenes` says of each.
        """
        known, incomplete = self._read_state(portion)
        wanted = set(self.keys(portion)) - {chip.key for chip in chips}
        state = {key: value for key, value in known.items() if key in wanted}
        for chip in chips:
            if chip.key in right and (ages := file_ages(chip.files)):
                state[chip.key] = [chip.digest, *ages]
        lacking = {key: scenes for key, scenes in incomplete.items() if key in wanted}
        lacking |= {key: scenes for key, scenes in right.items() if scenes}
        atomic_write(self._state(portion), json.dumps({"chips": state, "incomplete": lacking}))

    def forget_former(self, name: str) -> None:
        """Remove what is known of portions that the dataset does not have any more."""
        current = {Path(self.record(portion)) for portion in self.all(name)}
        for path in self.folder(name).rglob("*#*"):
            if path.with_name(f"{path.stem.removeprefix('.')}.json") not in current:
                path.unlink()


def file_ages(files: Sequence[str]) -> list[int] | None:
    """When files were written, in nanoseconds; None where one is missing, empty or out of reach."""
    try:
        found = [os.stat(file) for file in files]
    except OSError:
        return None
    return [status.st_mtime_ns for status in found] if all(status.st_size for status in found) else None
