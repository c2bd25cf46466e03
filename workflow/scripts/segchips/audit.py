"""The audit step: what the splits of the finished dataset share, how far apart they are, and which classes each holds.

It looks at the records that were written, pair by pair, and knows nothing of how tiles were split.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from segchips.config import Dataset
from segchips.conflicts import read_conflicts
from segchips.description import MADE
from segchips.errors import InputError
from segchips.files import write_whole
from segchips.grid import Tile
from segchips.ledger import Row, read_ledger
from segchips.pixelstats import statistics
from segchips.vectors import Geometries

Ints = npt.NDArray[np.int64]

LISTED = 1000
"""Pairs of tiles that the file names at most."""
# Less than this share of a pixel is rounding between two projections.
_NOTHING = 1e-3


@dataclass(frozen=True)
class Shared:
    """Two tiles of different splits whose padded footprints overlap, by so many pixels of theirs."""

    first: str
    second: str
    splits: tuple[str, str]
    pixels: float
    between_zones: bool


@dataclass(frozen=True)
class _Zone:
    """The tiles of one UTM zone: positions in the dataset, and padded boxes."""

    crs: str
    members: Ints
    boxes: Geometries

    def moved(self, crs: str) -> Geometries:
        """The boxes in another zone's CRS, edges where they were on the ground to a fraction of a pixel."""
        project = pyproj.Transformer.from_crs(self.crs, crs, always_xy=True).transform
        width = np.max(np.subtract(*shapely.bounds(self.boxes[:1]).T[[2, 0]]))
        moved: Geometries = shapely.transform(shapely.segmentize(self.boxes, width / 16), project, interleaved=False)
        return moved


def shared_ground(tiles: Sequence[Tile], splits: Sequence[str]) -> list[Shared]:
    """All pairs of tiles of different splits that share ground, with the area in pixels, exact within a zone."""
    zones = _zones(tiles)
    names = np.asarray(splits, dtype=object)
    found = []
    for zone, first, second, boxes in _neighbouring(zones):
        tree = shapely.STRtree(zone.boxes)
        theirs, ours = tree.query(boxes, predicate="intersects")
        pairs = np.column_stack([first.members[ours], second.members[theirs]])
        chosen = names[pairs[:, 0]] != names[pairs[:, 1]]
        if first is second:
            chosen &= pairs[:, 0] < pairs[:, 1]
        area = shapely.area(shapely.intersection(zone.boxes[ours[chosen]], boxes[theirs[chosen]]))
        pixels = area / tiles[0].grid.resolution ** 2
        for (one, other), count in zip(pairs[chosen].tolist(), pixels.tolist(), strict=True):
            if count > _NOTHING:
                keys, both = (tiles[one].key, tiles[other].key), (splits[one], splits[other])
                found.append(Shared(*keys, both, round(count, 3), first is not second))
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def least_distances(tiles: Sequence[Tile], splits: Sequence[str]) -> dict[tuple[str, str], float]:
    """Metres (UTM) between the padded footprints of each two splits; between far zones, geodesic between middles."""
    names, zones = np.asarray(splits, dtype=object), _zones(tiles)
    pairs = list(combinations(dict.fromkeys(sorted(splits)), 2))
    found = dict.fromkeys(pairs, np.inf)
    for zone, first, second, boxes in _neighbouring(zones):
        ours, theirs = names[first.members], names[second.members]
        for pair in pairs:
            for one, other in (pair, pair[::-1])[: 1 + (first is not second)]:
                found[pair] = min(found[pair], _nearest(zone.boxes[ours == one], boxes[theirs == other]))
    for pair in pairs:
        if found[pair] == np.inf:
            found[pair] = _far_apart(
                *([tile for tile, name in zip(tiles, splits, strict=True) if name == one] for one in pair)
            )
    return {pair: round(distance, 3) for pair, distance in found.items()}


def _zones(tiles: Sequence[Tile]) -> list[_Zone]:
    numbers = np.array([tile.zone for tile in tiles])
    bounds = np.array([tile.bounds for tile in tiles]).reshape(-1, 4)
    members = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
    return [_Zone(tiles[who[0]].crs, who, shapely.box(*bounds[who].T)) for who in members]


def _neighbouring(zones: Sequence[_Zone]) -> Iterator[tuple[_Zone, _Zone, _Zone, Geometries]]:
    """Each zone with itself, and each two that lie side by side, with the second's boxes in the first's CRS."""
    for zone in zones:
        yield zone, zone, zone, zone.boxes
    for first, second in combinations(zones, 2):
        if abs(int(first.crs[-2:]) - int(second.crs[-2:])) in (1, 59):
            yield first, first, second, second.moved(first.crs)


def _nearest(ours: Geometries, theirs: Geometries) -> float:
    if not len(ours) or not len(theirs):
        return float(np.inf)
    few, many = sorted((ours, theirs), key=len)
    _, distances = shapely.STRtree(many).query_nearest(few, return_distance=True, all_matches=False)
    return float(distances.min())


def _far_apart(ours: Sequence[Tile], theirs: Sequence[Tile]) -> float:
    one, other = (shapely.points(np.array([_middle(tile) for tile in side])) for side in (ours, theirs))
    which, nearest = shapely.STRtree(one).query_nearest(other, all_matches=False)
    places = shapely.get_coordinates(one[nearest]), shapely.get_coordinates(other[which])
    _, _, metres = pyproj.Geod(ellps="WGS84").inv(*places[0].T, *places[1].T)
    return float(np.min(metres))


def _middle(tile: Tile) -> tuple[float, float]:
    west, south, east, north = tile.core_bounds
    project = pyproj.Transformer.from_crs(tile.crs, 4326, always_xy=True).transform
    lon, lat = project((west + east) / 2, (south + north) / 2)
    return lon, lat


def class_pixels(directory: Path) -> dict[str, Counter[int]]:
    """The label pixels of each value in the records of each split."""
    classes = {split: found.classes or {} for split, found in statistics(directory).items()}
    return {split: Counter({value: one.pixels for value, one in found.items()}) for split, found in classes.items()}


def audit(
    dataset: Dataset, rows: Sequence[Row], classes: Mapping[str, Counter[int]], conflicts: Mapping[str, int]
) -> tuple[dict[str, Any], list[str]]:
    """What the audit finds, as JSON and as lines to read."""
    made = [row for row in rows if row.state == MADE]
    tiles, splits = [Tile.from_key(row.tile) for row in made], [row.split for row in made]
    pairs, distances = shared_ground(tiles, splits), least_distances(tiles, splits)
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
            "listed": [vars(pair) for pair in pairs[:LISTED]],
        },
        "empty_splits": [split for split in count if not count[split]],
        "lacking": [{"split": split, "class": value} for split, value in lacking],
        "class_pixels": {split: {str(v): n for v, n in sorted(counts.items())} for split, counts in classes.items()},
        "class_shares": {split: _shares(counts) for split, counts in classes.items()},
        "conflicts": {"tiles": len(claimed), "pixels": sum(claimed.values()), "by_tile": claimed},
    }
    return content, [*_lines(content, pairs)]


def _by_splits(pairs: Sequence[Shared]) -> dict[str, dict[str, float]]:
    """Pairs of tiles and the pixels that they share, by pair of splits that share any."""
    found: dict[str, dict[str, float]] = {}
    for pair in pairs:
        entry = found.setdefault("-".join(sorted(pair.splits)), {"pairs": 0, "pixels": 0.0})
        entry["pairs"], entry["pixels"] = entry["pairs"] + 1, round(entry["pixels"] + pair.pixels, 3)
    return dict(sorted(found.items()))


def _shares(counts: Counter[int]) -> dict[str, float]:
    return {str(value): round(count / counts.total(), 6) for value, count in sorted(counts.items())}


def _lines(content: Mapping[str, Any], pairs: Sequence[Shared]) -> Iterator[str]:
    yield ", ".join(f"{split}: {count} tiles" for split, count in content["tiles"].items())
    for pair, metres in content["least_distance"].items():
        yield f"{pair}: at least {metres:g} m apart"
    yield f"{len(pairs)} pairs of tiles of different splits share ground"
    yield from (f"split {split} is empty" for split in content["empty_splits"])
    yield from (f"split {found['split']} has no pixel of class {found['class']}" for found in content["lacking"])
    conflicts = content["conflicts"]
    yield f"{conflicts['pixels']} pixels of {conflicts['tiles']} tiles lie in features of different classes"
    yield from map(_pair, pairs)


def _pair(pair: Shared) -> str:
    where = ", across UTM zones" if pair.between_zones else ""
    first, second = pair.splits
    return f"{pair.first} ({first}) and {pair.second} ({second}) share {pair.pixels:g} pixels{where}"


def write_audit(dataset: Dataset, folder: Path, path: Path, log: Path) -> None:
    """Write audit.json, and the same to read."""
    rows, conflicts = read_ledger(folder / "ledger.csv"), read_conflicts(folder / "conflicts.parquet")
    content, lines = audit(dataset, rows, class_pixels(folder / "tfrecords"), conflicts)
    write_whole(log, "".join(f"{line}\n" for line in lines))
    write_whole(path, json.dumps(content, indent=2) + "\n")


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
            f"{_pair(Shared(**shared['listed'][0]))}; {path} lists {len(shared['listed'])} of {shared['pairs']} such "
            "pairs. Let splitting.guard drop such tiles, or accept them with splitting.allow_overlap: true"
        )
