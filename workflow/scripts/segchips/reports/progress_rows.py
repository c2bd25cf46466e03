"""The state of every tile while a dataset is made, from its files alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from segchips.errors import InputError
from segchips.grids.tile import chip_filename, chip_name
from segchips.records.shard_index import IndexEntry, read_index
from segchips.reports.ledger import FAILED, NO_SCENES, UNFINISHED, LedgerRow, is_exclusion_marker
from segchips.scenes.lock import read_locks
from segchips.splits.splits import read_splits
from segchips.tiles.assignment import DROPPED, EXCLUDED, TileAssignment
from segchips.tiles.manifest import read_manifest

READY = "the chips are made; their shard is not yet"


@dataclass(frozen=True)
class ChipParts:
    """The folders of chips that a dataset has, by the name of the layer or target; "" for the only one."""

    images: Mapping[str, Path]
    labels: Mapping[str, Path]

    @classmethod
    def of(cls, folder: Path) -> "ChipParts":
        """Find the folders of chips below a dataset's folder of results."""
        return cls(_parts(folder / "images"), _parts(folder / "labels"))


def _parts(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    named = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")}
    return named or {"": folder}


def progress_rows(folder: Path, logs: Path) -> list[LedgerRow]:
    """Return a row for each tile, as in the ledger, whether the dataset is finished or not.

    Args:
        folder: The dataset's folder of results.
        logs: The dataset's folder of logs, which hold the messages of failed jobs.

    Raises:
        InputError: The folder has no tiles yet, or a file is damaged.
    """
    assignments = _assignments(folder)
    entries = {entry.tile: entry for path in _indices(folder) for entry in read_index(path)}
    scenes = _scenes(folder)
    parts = ChipParts.of(folder)
    made = {
        (kind, part): {path.name for path in place.glob("*.tif") if path.stat().st_size}
        for kind, folders in (("images", parts.images), ("labels", parts.labels))
        for part, place in folders.items()
    }
    failures = dict(_failures(parts, logs))
    return [_row(assignment, entries, scenes, made, failures) for assignment in assignments]


def _assignments(folder: Path) -> list[TileAssignment]:
    if (folder / "splits.parquet").exists():
        return read_splits(folder / "splits.parquet")
    if (folder / "tiles.parquet").exists():
        return read_manifest(folder / "tiles.parquet")
    raise InputError(
        f"'{folder}' has no tiles.parquet; name the folder of a dataset, such as results/sample, and run the workflow "
        "until its tiles are known"
    )


def _indices(folder: Path) -> list[Path]:
    return sorted((folder / "tfrecords").glob("*.index-*.csv"))


def _scenes(folder: Path) -> Mapping[str, Mapping[str, int]]:
    """The number of pinned scenes of each tile, by layer; empty before scenes are pinned."""
    path = folder / "scenes.parquet"
    if not path.exists():
        return {}
    return {
        layer: {key: len(indices) for key, indices in lock.tiles.items()} for layer, lock in read_locks(path).items()
    }


def _failures(parts: ChipParts, logs: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """State and reason of chips that could not be made, by the name of the chip, from logs that are not empty."""
    for kind, folders in (("images", parts.images), ("labels", parts.labels)):
        for part, place in folders.items():
            for log in sorted((logs / kind / part).glob("*.log")):
                chip = place / f"{log.stem}.tif"
                excluded = is_exclusion_marker(chip)
                if log.stat().st_size and (excluded or not chip.exists()):
                    reason = log.read_text(encoding="utf-8", errors="replace").strip()
                    yield log.stem, (EXCLUDED if excluded else FAILED, f"{part}: {reason}" if part else reason)


def _row(
    assignment: TileAssignment,
    entries: Mapping[str, IndexEntry],
    scenes: Mapping[str, Mapping[str, int]],
    made: Mapping[tuple[str, str], set[str]],
    failures: Mapping[str, tuple[str, str]],
) -> LedgerRow:
    key, valid = assignment.key, None
    name = chip_filename(key)
    if assignment.state == DROPPED:
        state, reason = DROPPED, assignment.reason
    elif chip_name(key) in failures:
        state, reason = failures[chip_name(key)]
    elif key in entries:
        state, reason, valid = entries[key].state, entries[key].reason, entries[key].valid
    else:
        state, reason = _waiting(key, name, scenes, made)
    count = sum(counts.get(key, 0) for counts in scenes.values())
    return LedgerRow(key, assignment.split, assignment.shard, state, reason, valid, count)


def _waiting(
    key: str, name: str, scenes: Mapping[str, Mapping[str, int]], made: Mapping[tuple[str, str], set[str]]
) -> tuple[str, str]:
    """The state of a tile that is in no shard yet."""
    missing = [_title(kind, part) for (kind, part), names in made.items() if name not in names]
    for layer, counts in scenes.items():
        if not counts.get(key) and name not in made.get(("images", layer), ()):
            return NO_SCENES, f"{layer}: no scene of the tile" if layer else "no scene of the tile"
    if not made or missing:
        return UNFINISHED, f"not made yet: {', '.join(missing) or 'all chips'}"
    return UNFINISHED, READY


def _title(kind: str, part: str) -> str:
    return f"{kind.removesuffix('s')} {part}".rstrip()
