"""The audit step: overlaps, distances and classes of the splits of a finished dataset.

The audit compares the chips that are in the shards, pair by pair. It does not depend on the code that assigns splits.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segchips.config.model import Dataset
from segchips.errors import InputError
from segchips.files import atomic_write
from segchips.grids.tile import Tile
from segchips.labels.conflicts import read_conflicts
from segchips.records.statistics import statistics
from segchips.reports.ledger import LedgerRow, read_ledger
from segchips.reports.overlaps import OverlappingPair, find_overlaps, min_distances
from segchips.tiles.assignment import MADE

MAX_LISTED_PAIRS = 1000
"""How many overlapping pairs of tiles audit.json lists."""

ClassPixels = Mapping[str, Counter[int]]
"""How many label pixels of each value each split has."""


def read_class_pixels(directory: Path) -> ClassPixels:
    """Read the label pixels of each value and split from the statistics in a directory of shards."""
    classes_by_split = {split: entry.classes or {} for split, entry in statistics(directory).items()}
    return {
        split: Counter({value: entry.pixels for value, entry in classes.items()})
        for split, classes in classes_by_split.items()
    }


def audit_splits(
    dataset: Dataset, rows: Sequence[LedgerRow], class_pixels: ClassPixels, conflicts: Mapping[str, int]
) -> tuple[dict[str, Any], list[str]]:
    """Compare the splits of a dataset.

    Args:
        dataset: The config of the dataset.
        rows: The ledger.
        class_pixels: The label pixels of each value in each split.
        conflicts: How many label pixels are in conflict, by tile key.

    Returns:
        The content of audit.json, and the same as lines for the log.
    """
    with_chips = [row for row in rows if row.state == MADE]
    tiles, splits = [Tile.from_key(row.tile) for row in with_chips], [row.split for row in with_chips]
    pairs, distances = find_overlaps(tiles, splits), min_distances(tiles, splits)
    count = {split: splits.count(split) for split in dataset.tfrecords.splits}
    no_class = {dataset.labels.first.background, dataset.labels.first.unknown}
    classes = sorted({value for counts in class_pixels.values() for value in counts} - no_class)
    lacking = [
        (split, value) for split in count for value in classes if count[split] and not class_pixels[split][value]
    ]
    tiles_in_conflict = {row.tile: conflicts[row.tile] for row in with_chips if conflicts[row.tile]}
    content = {
        "passed": not pairs or dataset.splitting.allow_overlap,
        "tiles": count,
        "allow_overlap": dataset.splitting.allow_overlap,
        "least_distance": {"-".join(pair): metres for pair, metres in distances.items()},
        "shared": {
            "pairs": len(pairs),
            "pairs_between_zones": sum(pair.between_zones for pair in pairs),
            "pixels": round(sum(pair.pixels for pair in pairs), 3),
            "by_splits": _overlaps_by_splits(pairs),
            "listed": [vars(pair) for pair in pairs[:MAX_LISTED_PAIRS]],
        },
        "empty_splits": [split for split in count if not count[split]],
        "lacking": [{"split": split, "class": value} for split, value in lacking],
        "class_pixels": {
            split: {str(value): pixels for value, pixels in sorted(counts.items())}
            for split, counts in class_pixels.items()
        },
        "class_shares": {split: _class_shares(counts) for split, counts in class_pixels.items()},
        "conflicts": {
            "tiles": len(tiles_in_conflict),
            "pixels": sum(tiles_in_conflict.values()),
            "by_tile": tiles_in_conflict,
        },
    }
    return content, [*_lines(content, pairs)]


def _overlaps_by_splits(pairs: Sequence[OverlappingPair]) -> dict[str, dict[str, float]]:
    """The number of overlapping pairs and the pixels that they share, by pair of splits."""
    totals: dict[str, dict[str, float]] = {}
    for pair in pairs:
        total = totals.setdefault("-".join(sorted(pair.splits)), {"pairs": 0, "pixels": 0.0})
        total["pairs"], total["pixels"] = total["pairs"] + 1, round(total["pixels"] + pair.pixels, 3)
    return dict(sorted(totals.items()))


def _class_shares(counts: Counter[int]) -> dict[str, float]:
    return {str(value): round(count / counts.total(), 6) for value, count in sorted(counts.items())}


def _lines(content: Mapping[str, Any], pairs: Sequence[OverlappingPair]) -> Iterator[str]:
    yield ", ".join(f"{split}: {count} tiles" for split, count in content["tiles"].items())
    for splits, metres in content["least_distance"].items():
        yield f"{splits}: at least {metres:g} m apart"
    yield f"{len(pairs)} pairs of tiles of different splits overlap"
    yield from (f"split {split} is empty" for split in content["empty_splits"])
    yield from (f"split {lack['split']} has no pixel of class {lack['class']}" for lack in content["lacking"])
    conflicts = content["conflicts"]
    yield f"{conflicts['pixels']} pixels of {conflicts['tiles']} tiles lie in features of different classes"
    yield from map(_describe_pair, pairs)


def _describe_pair(pair: OverlappingPair) -> str:
    where = ", across UTM zones" if pair.between_zones else ""
    first, second = pair.splits
    return f"{pair.first} ({first}) and {pair.second} ({second}) share {pair.pixels:g} pixels{where}"


def write_audit(dataset: Dataset, folder: Path, path: Path, log: Path) -> None:
    """Audit the splits and write the outcome.

    Args:
        dataset: The config of the dataset.
        folder: The dataset's folder of results.
        path: Where to write audit.json.
        log: Where to write the same as text.

    Raises:
        InputError: A file of results is missing or damaged.
    """
    rows, conflicts = read_ledger(folder / "ledger.csv"), read_conflicts(folder / "conflicts.parquet")
    content, lines = audit_splits(dataset, rows, read_class_pixels(folder / "tfrecords"), conflicts)
    atomic_write(log, "".join(f"{line}\n" for line in lines))
    atomic_write(path, json.dumps(content, indent=2) + "\n")


def read_audit(path: Path) -> dict[str, Any]:
    """Read a file that `write_audit` wrote.

    Raises:
        InputError: The file is missing or is not an audit.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        content["passed"], content["shared"]["pairs"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not an audit ({error!r}); delete it and run again") from error
    return content


def check_audit(path: Path) -> None:
    """Raise InputError, which names two tiles, if tiles of different splits overlap and the config forbids it."""
    content = read_audit(path)
    if not content["passed"]:
        overlaps = content["shared"]
        first = _describe_pair(OverlappingPair(**overlaps["listed"][0]))
        raise InputError(
            f"{first}; {path} lists {len(overlaps['listed'])} of {overlaps['pairs']} such pairs. "
            "Let splitting.guard drop such tiles, or accept them with splitting.allow_overlap: true"
        )
