"""The audit of a dataset of chips made elsewhere: the ground that its splits share, and the classes in each split."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segchips.errors import InputError
from segchips.files import atomic_write
from segchips.records.chip_ground import Ground, SharedGround, describe_shared_ground, find_shared_ground
from segchips.reports.audit import MAX_LISTED_PAIRS, read_class_pixels


def audit_chips(
    grounds: Mapping[str, Ground],
    splits: Mapping[str, str],
    names: Sequence[str],
    directory: Path,
    allow_overlap: bool,
    no_class: set[int | None],
) -> tuple[dict[str, Any], list[str]]:
    """Compare the splits of chips made elsewhere.

    Args:
        grounds: The ground of each chip that has a location.
        splits: The split of each chip.
        names: The names of the splits.
        directory: The directory of the shards.
        allow_overlap: Whether splits may share ground.
        no_class: The label values of background and unknown.

    Returns:
        The content of audit.json, and sentences for the log.
    """
    shared = find_shared_ground(grounds, splits)
    class_pixels = read_class_pixels(directory)
    chips = Counter(splits[name] for name in splits)
    classes = sorted({value for counts in class_pixels.values() for value in counts} - no_class)
    lacking = [(name, value) for name in names if chips[name] for value in classes if not class_pixels[name][value]]
    content = {
        "passed": not shared or allow_overlap,
        "chips": {name: chips[name] for name in names},
        "without_location": len(splits) - len(grounds),
        "allow_overlap": allow_overlap,
        "shared": {
            "pairs": len(shared),
            "pixels": round(sum(pair.pixels for pair in shared), 3),
            "by_splits": _by_splits(shared),
            "listed": [vars(pair) for pair in shared[:MAX_LISTED_PAIRS]],
        },
        "empty_splits": [name for name in names if not chips[name]],
        "lacking": [{"split": name, "class": value} for name, value in lacking],
        "class_pixels": {
            name: {str(value): pixels for value, pixels in sorted(counts.items())}
            for name, counts in class_pixels.items()
        },
    }
    lines = [describe_shared_ground(shared)] if shared else []
    if content["without_location"]:
        lines.append(f"{content['without_location']} chips have no location, so the audit cannot compare their ground")
    return content, lines + [f"split {name} has no pixel of class {value}" for name, value in lacking]


def _by_splits(shared: Sequence[SharedGround]) -> dict[str, dict[str, float]]:
    totals: dict[str, dict[str, float]] = {}
    for pair in shared:
        total = totals.setdefault("-".join(sorted(pair.splits)), {"pairs": 0, "pixels": 0.0})
        total["pairs"], total["pixels"] = total["pairs"] + 1, round(total["pixels"] + pair.pixels, 3)
    return dict(sorted(totals.items()))


def write_chips_audit(path: Path, content: Mapping[str, Any], lines: Sequence[str]) -> None:
    """Write audit.json; InputError, which names two chips, if splits share ground and the config forbids it."""
    atomic_write(path, json.dumps(content, indent=2) + "\n")
    if not content["passed"]:
        raise InputError(f"{lines[0]}, or accept it with splitting.allow_overlap: true; {path} lists all pairs")
