"""What options of Snakemake mean for chips that portions make, which are not in its graph."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from segchips.errors import SegchipsError
from segchips.files import write_json
from segchips.grids.tile import chip_key
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.portions import FORCED, Portion, Portions

_LOCKS = ("tiles.parquet", "scenes.parquet", "labels.parquet", "splits.parquet")
"""Without these files of a dataset, its portions are not known."""
_PORTION_RULES = {
    "images": "image_portions",
    "provenance": "image_portions",
    "series": "image_portions",
    "labels": "label_portions",
}
"""The rule of portions that does what a rule of tiles does."""


def translate_options(workflow: Any, datasets: Datasets, portions: Portions, name_rule: Callable[[str], str]) -> None:
    """Let `--forcerun`, `--forceall`, `--until` and `--omit-from` of rules of tiles hold for those of portions, too.

    `--forcerun` of a chip holds for the chip alone.

    Args:
        workflow: Snakemake's workflow.
        datasets: The datasets of this workflow, which may be a module of it.
        portions: Their portions.
        name_rule: Returns the name that a rule of this workflow has, which a module statement may have changed.
    """
    settings, rules = workflow.dag_settings, {rule.name for rule in workflow.rules}
    for option in ("forcerun", "until", "omit_from"):
        chosen = set(getattr(settings, option))
        setattr(settings, option, frozenset(chosen | rules.intersection(map(_portion_rule, chosen))))
    names = rules if settings.forceall else settings.forcerun
    kinds = [portions.all_of(kind) for kind in ("images", "labels") if name_rule(_PORTION_RULES[kind]) in names]
    _, *of_other_modules = json.loads(os.environ.get(FORCED, "[0]"))
    forced = {*of_other_modules, *kinds, *_force_chips(settings, datasets, portions)}
    os.environ[FORCED] = json.dumps([time.time_ns(), *sorted(forced)])


def _force_chips(settings: Any, datasets: Datasets, portions: Portions) -> list[str]:
    """Have `--forcerun` name the portions of chips in their place; returns the files of these chips.

    A chip that is a target, too, stays: it is made by itself. So do those of portions that are not known yet.
    """
    targets = set(map(os.path.abspath, settings.targets))
    chosen = {os.path.abspath(name): name for name in settings.forcerun if name.endswith(".tif")}
    chosen = {path: name for path, name in chosen.items() if path not in targets}
    keys = {chip_key(Path(path).stem) for path in chosen}
    found: list[str] = []
    with suppress(SegchipsError):  # of locks that the run is to make again
        for portion in _all(datasets, portions) if chosen else ():
            for files in portions.files(portion, [key for key in portions.keys(portion) if key in keys]):
                if names := {chosen[path] for path in map(os.path.abspath, files) if path in chosen}:
                    settings.forcerun = settings.forcerun - names | {portions.record(portion)}
                    found += files
    return found


def _portion_rule(name: str) -> str | None:
    """The rule of portions for a rule of tiles, whose name a module statement may have given a prefix."""
    for rule, portions in _PORTION_RULES.items():
        if name == rule or name.endswith(f"_{rule}"):
            return name.removesuffix(rule) + portions
    return None


def touch_portions(datasets: Datasets, portions: Portions) -> None:
    """Mark all chips of portions as those wanted, for `--touch`."""
    for portion in _all(datasets, portions):
        chips = portions.outdated(portion)
        portions.remember(portion, chips, {chip.key: portions.lacking_scenes(portion, chip) for chip in chips})
        if all(os.path.exists(file) for chip in chips for file in chip.files):
            write_json(Path(portions.record(portion)), {"tiles": len(portions.keys(portion))})


def describe_portions(portions: Portions, name: str) -> list[str]:
    """A line for each portion of a dataset with chips that are not known to be right, for `--dry-run`."""
    lines = map(portions.describe, portions.all(name))
    return [f"{name}: {line}" for line in lines if line]


def _all(datasets: Datasets, portions: Portions) -> Iterator[Portion]:
    for name in datasets.config.datasets:
        if datasets.has_result(name, *_LOCKS):
            yield from portions.all(name)
