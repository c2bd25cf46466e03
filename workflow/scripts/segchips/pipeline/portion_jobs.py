"""Jobs of portions: the chips of many tiles, each made in a worker process as by a job of its own."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from segchips.errors import CredentialsError, SegchipsError
from segchips.files import atomic_write, write_json
from segchips.grids.squares import square_of
from segchips.grids.tile import chip_name
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.portions import UNKNOWN, Chip, Portion, Portions, file_ages
from segchips.pipeline.runner import JobRunner, Place, Task
from segchips.pipeline.steps.portions import make_image_chip, make_label_chip

_BATCH = 16
"""Tiles that a worker process gets at once, where they do not wait for a network."""
_SPARE = 2
"""Batches that wait for a worker process, so that none waits for this one."""
_under_way: dict[tuple[str, str, str, str], threading.Lock] = {}
"""A lock for the chips of each portion: by the dataset that has them, kind, part and name."""


@dataclass(frozen=True)
class Control:
    """What a run says to its portions.

    Attributes:
        side_by_side: How many tiles, or batches of them, are under way at once.
        must_stop: Whether no further tile is to be begun.
        keeps_going: Whether other tiles are made after one has failed.
        count: Is told a step, a portion, how many of its tiles are done, and how many of these have failed.
    """

    side_by_side: int
    must_stop: Callable[[], bool]
    keeps_going: bool
    count: Callable[[str, object, int, int], None]


def make_portion(
    runner: JobRunner, portions: Portions, portion: Portion, record: str, log: str, control: Control
) -> Exception | None:
    """Make the chips of a portion that are missing or not those wanted, in the run's worker processes.

    Datasets that share labels have portions of the same chips, which come one after another.

    Args:
        runner: Runs the tiles.
        portions: The portions of all datasets.
        portion: The portion.
        record: The file to write when all chips are right.
        log: The log of the portion; those of its tiles are written, too.
        control: What the run says.

    Returns:
        The error for the rule to raise, or None.
    """
    owner = runner.datasets.chip_owner(portion.dataset, portion.kind)
    with _under_way.setdefault((owner, portion.kind, portion.part, portion.name), threading.Lock()):
        return _make_portion(runner, portions, portion, owner, record, log, control)


def _make_portion(
    runner: JobRunner, portions: Portions, portion: Portion, owner: str, record: str, log: str, control: Control
) -> Exception | None:
    chips = portions.outdated(portion)
    place = runner.place(portion.dataset, portion.part) if portion.kind == "images" else "core"
    size = _BATCH if place == "core" else 1
    batches = [chips[start : start + size] for start in range(0, len(chips), size)]
    count = len(portions.keys(portion))
    control.count(portion.kind, portion, count - len(chips), 0)
    failures: list[tuple[Chip, Exception]] = []
    done: list[Chip] = []

    def make(batch: Sequence[Chip]) -> None:
        is_over = any(isinstance(error, CredentialsError) for _, error in failures)
        if control.must_stop() or is_over or (failures and not control.keeps_going):
            return
        tasks = [_task(runner.datasets, owner, portion, chip) for chip in batch]
        for chip, error in zip(batch, _outcomes(runner, place, tasks), strict=True):
            if error:
                failures.append((chip, error))
            else:
                done.append(chip)
        tried = count - len(chips) + len(done) + len(failures)
        control.count(portion.kind, portion, tried, len(failures))

    with ThreadPoolExecutor(control.side_by_side if place != "core" else control.side_by_side + _SPARE) as threads:
        list(threads.map(make, batches))
    portions.remember(portion, chips, {chip.key: portions.lacking_scenes(portion, chip) for chip in done})
    ages = [(chip.ages, file_ages(chip.files)) for chip in done]
    excluded, made = sum(now is None for _, now in ages), sum(now not in (None, before) for before, now in ages)
    kept = count - len(chips) + len(done) - made - excluded
    atomic_write(log, f"{made} tiles made, {kept} kept, {excluded} excluded, {len(failures)} failed\n")
    if failures:
        return _error(failures, [chip.key for chip in chips])
    if len(done) < len(chips):
        return SegchipsError(f"{portion.dataset}: stopped after {len(done)} of {len(chips)} tiles; run again to go on")
    write_json(Path(record), {"tiles": count})
    return None


def _outcomes(runner: JobRunner, place: Place, tasks: Sequence[Task]) -> Iterator[Exception | None]:
    """The error of each task, or None; where a process dies of one of them, the others run again."""
    try:
        yield from runner.run_batch(place, tasks)
    except Exception as error:
        if len(tasks) == 1:
            yield error
        else:
            for task in tasks:
                yield from _outcomes(runner, place, [task])


def _error(failures: Sequence[tuple[Chip, Exception]], order: Sequence[str]) -> Exception:
    """The error of the first tile, with the number of others; one about credentials comes before all."""
    places = {key: place for place, key in enumerate(order)}
    ordered = sorted(failures, key=lambda failure: places[failure[0].key])
    error = next((error for _, error in ordered if isinstance(error, CredentialsError)), ordered[0][1])
    if len(failures) == 1 or not isinstance(error, SegchipsError):
        return error
    return type(error)(f"{error} ({len(failures) - 1} more tiles of its portion fail; see the ledger)")


def _task(datasets: Datasets, owner: str, portion: Portion, chip: Chip) -> Task:
    """The task of a tile: named and logged as the job of one tile of the dataset that has the chips."""
    log = datasets.chip_logs(owner, portion.kind, portion.part) / f"{chip_name(chip.key)}.log"
    job = f"{portion.part}: tile {chip.key}" if portion.part else f"tile {chip.key}"
    body = make_image_chip if portion.kind == "images" else make_label_chip
    step = None if chip.reason == UNKNOWN else portion.kind
    near = owner, portion.part, square_of(chip_name(chip.key))
    return Task(job, str(log), body, (owner, portion.part, chip, str(log)), step, near)
