"""The audit step: overlaps, distances and classes of the splits of a finished dataset.

The audit compares the chips that are in the shards, pair by pair. It does not depend on the code that assigns splits.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from segchips.config.model import Dataset
from segchips.errors import InputError
from segchips.files import atomic_write
from segchips.grids.tile import Tile
from segchips.grids.tile_array import ByTile, TileArray, TileKeys
from segchips.labels.conflicts import read_conflicts
from segchips.records.statistics import statistics
from segchips.reports.ledger import LedgerRow, is_in, read_ledger, to_ledger
from segchips.reports.overlaps import OverlappingPair, Overlaps, find_overlaps, min_distances
from segchips.tiles.assignment import MADE

MAX_LISTED_PAIRS = 1000
"""How many overlapping pairs of tiles audit.json and the log list."""

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
    dataset: Dataset, rows: Iterable[LedgerRow], class_pixels: ClassPixels, conflicts: ByTile[int]
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
    ledger = to_ledger(rows)
    made = is_in(ledger, MADE)
    with_chips, tiles = ledger.where(made), TileArray.from_keys(TileKeys(ledger.column("tile"))).where(made)
    keys, splits = tiles.keys, with_chips.column("split")
    pairs = find_overlaps(tiles, splits)
    by_splits = pairs.by_splits()
    distances = min_distances(tiles, splits, by_splits)
    by_split = with_chips.counts("split")
    count = {split: by_split[split] for split in dataset.tfrecords.splits}
    no_class = {dataset.labels.first.background, dataset.labels.first.unknown}
    classes = sorted({value for counts in class_pixels.values() for value in counts} - no_class)
    lacking = [
        (split, value) for split in count for value in classes if count[split] and not class_pixels[split][value]
    ]
    pixels = conflicts.column.take(pa.array(conflicts.tiles.known_rows(keys)))
    some = pc.greater(pixels, 0)
    tiles_in_conflict = dict(zip(keys.column.filter(some).to_pylist(), pixels.filter(some).to_pylist(), strict=True))
    content = {
        "passed": not pairs or dataset.splitting.allow_overlap,
        "tiles": count,
        "allow_overlap": dataset.splitting.allow_overlap,
        "least_distance": {"-".join(pair): metres for pair, metres in distances.items()},
        "shared": {
            "pairs": len(pairs),
            "pairs_between_zones": int(pairs.between_zones.sum()),
            "pixels": pairs.total_pixels() if pairs else 0,
            "by_splits": {
                "-".join(both): {"pairs": int(chosen.sum()), "pixels": pairs.total_pixels(chosen)}
                for both, chosen in by_splits.items()
            },
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


def _class_shares(counts: Counter[int]) -> dict[str, float]:
    return {str(value): round(count / counts.total(), 6) for value, count in sorted(counts.items())}


def _lines(content: Mapping[str, Any], pairs: Overlaps) -> Iterator[str]:
    yield ", ".join(f"{split}: {count} tiles" for split, count in content["tiles"].items())
    for splits, metres in content["least_distance"].items():
        yield f"{splits}: at least {metres:g} m apart"
    yield f"{len(pairs)} pairs of tiles of different splits overlap"
    yield from (f"split {split} is empty" for split in content["empty_splits"])
    yield from (f"split {lack['split']} has no pixel of class {lack['class']}" for lack in content["lacking"])
    conflicts = content["conflicts"]
    yield f"{conflicts['pixels']} pixels of {conflicts['tiles']} tiles lie in features of different classes"
    yield from map(_describe_pair, pairs[:MAX_LISTED_PAIRS])
    if len(pairs) > MAX_LISTED_PAIRS:
        yield f"and {len(pairs) - MAX_LISTED_PAIRS} more such pairs"


def _describe_pair(pair: OverlappingPair) -> str:
    zones = {Tile.from_key(key).zone for key in (pair.first, pair.second)}
    ends = "UTM zones" if len(zones) == 2 else "the ends of the grid"
    where = f", across {ends}" if pair.between_zones else ""
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
