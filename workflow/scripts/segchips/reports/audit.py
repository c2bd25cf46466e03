"""The audit step: what the splits of the finished dataset share, how far apart they are, and which classes each holds.

It looks at the records that were written, pair by pair, and knows nothing of how tiles were split.
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
"""Pairs of tiles that the file names at most."""


def read_class_pixels(directory: Path) -> dict[str, Counter[int]]:
    """The label pixels of each value in the records of each split."""
    classes = {split: found.classes or {} for split, found in statistics(directory).items()}
    return {split: Counter({value: one.pixels for value, one in found.items()}) for split, found in classes.items()}


def audit_splits(
    dataset: Dataset, rows: Sequence[LedgerRow], classes: Mapping[str, Counter[int]], conflicts: Mapping[str, int]
) -> tuple[dict[str, Any], list[str]]:
    """What the audit finds, as JSON and as lines to read."""
    made = [row for row in rows if row.state == MADE]
    tiles, splits = [Tile.from_key(row.tile) for row in made], [row.split for row in made]
    pairs, distances = find_overlaps(tiles, splits), min_distances(tiles, splits)
    count = {split: splits.count(split) for split in dataset.tfrecords.splits}
    labels = dataset.labels
    known = sorted({value for counts in classes.values() for value in counts} - {labels.background, labels.unknown})
    lacking = [(split, value) for split in count for value in known if count[split] and not classes[split][value]]
    claimed = {row.tile: conflicts[row.tile] for row in made if conflicts[row.tile]}
    content = {
        "passed": not pairs or dataset.splitting.allow_overlap,
        "tiles": count,
        "allow_overlap": dataset.splitting.allow_overlap,
        "least_distance": {"-".join(pair): metres for pair, metres in distances.items()},
        "shared": {
            "pairs": len(pairs),
            "pairs_between_zones": sum(pair.between_zones for pair in pairs),
            "pixels": round(sum(pair.pixels for pair in pairs), 3),
            "by_splits": _by_splits(pairs),
            "listed": [vars(pair) for pair in pairs[:MAX_LISTED_PAIRS]],
        },
        "empty_splits": [split for split in count if not count[split]],
        "lacking": [{"split": split, "class": value} for split, value in lacking],
        "class_pixels": {split: {str(v): n for v, n in sorted(counts.items())} for split, counts in classes.items()},
        "class_shares": {split: _shares(counts) for split, counts in classes.items()},
        "conflicts": {"tiles": len(claimed), "pixels": sum(claimed.values()), "by_tile": claimed},
    }
    return content, [*_lines(content, pairs)]


def _by_splits(pairs: Sequence[OverlappingPair]) -> dict[str, dict[str, float]]:
    """Pairs of tiles and the pixels that they share, by pair of splits that share any."""
    found: dict[str, dict[str, float]] = {}
    for pair in pairs:
        entry = found.setdefault("-".join(sorted(pair.splits)), {"pairs": 0, "pixels": 0.0})
        entry["pairs"], entry["pixels"] = entry["pairs"] + 1, round(entry["pixels"] + pair.pixels, 3)
    return dict(sorted(found.items()))


def _shares(counts: Counter[int]) -> dict[str, float]:
    return {str(value): round(count / counts.total(), 6) for value, count in sorted(counts.items())}


def _lines(content: Mapping[str, Any], pairs: Sequence[OverlappingPair]) -> Iterator[str]:
    yield ", ".join(f"{split}: {count} tiles" for split, count in content["tiles"].items())
    for pair, metres in content["least_distance"].items():
        yield f"{pair}: at least {metres:g} m apart"
    yield f"{len(pairs)} pairs of tiles of different splits share ground"
    yield from (f"split {split} is empty" for split in content["empty_splits"])
    yield from (f"split {found['split']} has no pixel of class {found['class']}" for found in content["lacking"])
    conflicts = content["conflicts"]
    yield f"{conflicts['pixels']} pixels of {conflicts['tiles']} tiles lie in features of different classes"
    yield from map(_pair, pairs)


def _pair(pair: OverlappingPair) -> str:
    where = ", across UTM zones" if pair.between_zones else ""
    first, second = pair.splits
    return f"{pair.first} ({first}) and {pair.second} ({second}) share {pair.pixels:g} pixels{where}"


def write_audit(dataset: Dataset, folder: Path, path: Path, log: Path) -> None:
    """Write audit.json, and the same to read."""
    rows, conflicts = read_ledger(folder / "ledger.csv"), read_conflicts(folder / "conflicts.parquet")
    content, lines = audit_splits(dataset, rows, read_class_pixels(folder / "tfrecords"), conflicts)
    atomic_write(log, "".join(f"{line}\n" for line in lines))
    atomic_write(path, json.dumps(content, indent=2) + "\n")


def read_audit(path: Path) -> dict[str, Any]:
    """Read what `write_audit` wrote; InputError where the file is something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["passed"], content["shared"]["pairs"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not an audit ({error!r}); delete it and run again") from error
    found: dict[str, Any] = content
    return found


def check_audit(path: Path) -> None:
    """InputError names tiles that share ground though they must not."""
    content = read_audit(path)
    if not content["passed"]:
        shared = content["shared"]
        raise InputError(
            f"{_pair(OverlappingPair(**shared['listed'][0]))}; {path} lists {len(shared['listed'])} of {shared['pairs']} such "
            "pairs. Let splitting.guard drop such tiles, or accept them with splitting.allow_overlap: true"
        )
