"""Progress of a run: from time to time a line with jobs done, their rates, the time left and failures.

The counts come from the events that Snakemake logs, whatever logger plugin shows them.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from segchips.remote.fetcher import Traffic

STEPS = ("images", "provenance", "labels")
"""The rules that have a job for each tile."""
PERIOD = 30.0
"""Seconds between lines."""


def tile_rules(workflow: Any) -> set[str]:
    """The names of the rules that have a job for each tile, as a module statement may have changed them."""
    return {rule.name for rule in workflow.rules if {"dataset", "tile"} <= set(rule.wildcard_names)}


def show_progress(
    workflow: Any,
    logger: logging.Logger,
    traffic: Callable[[], Traffic | None],
    tiles_in_portions: Callable[[], Mapping[str, int]],
) -> "Progress":
    """Show lines about the progress of a run; once, whatever the number of modules in it.

    Args:
        workflow: Snakemake's workflow.
        logger: Snakemake's logger.
        traffic: Returns what was fetched from HTTP servers so far, if anything was.
        tiles_in_portions: As in `Progress`.

    Returns:
        What counts the tiles.
    """
    for handler in logger.handlers:
        if isinstance(handler, Progress):
            return handler
    is_step = lambda rule: rule in tile_rules(workflow)  # noqa: E731
    progress = Progress(logger.info, is_step=is_step, traffic=traffic, tiles_in_portions=tiles_in_portions)
    logger.addHandler(progress)
    progress.start()
    return progress


def network_summary(traffic: Traffic) -> str:
    """Return a line that sums up what a run has fetched from HTTP servers."""
    under_way = traffic.waited / traffic.busy if traffic.busy else 0
    amounts = f"{traffic.requests:,} requests, {traffic.received / 1e6:,.1f} MB"
    return f"network: {amounts}; {under_way:.3g} requests under way on average in {traffic.busy:,.1f} s"


class Progress(logging.Handler):
    """Counts finished and failed tile jobs, and shows a line after each period in which a tile was finished.

    A job that is tried again has not failed.

    Args:
        show: Shows a line to the user.
        period: Seconds between lines.
        is_step: Whether a rule has a job for each tile.
        traffic: Returns what was fetched from HTTP servers so far; None where nothing was.
        tiles_in_portions: Returns how many tiles the portions of this run have, by step.
    """

    def __init__(
        self,
        show: Callable[[str], None],
        period: float = PERIOD,
        *,
        is_step: Callable[[str], bool] = STEPS.__contains__,
        traffic: Callable[[], Traffic | None] = lambda: None,
        tiles_in_portions: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        super().__init__(logging.INFO)
        self._show, self._period, self._is_step, self._traffic = show, period, is_step, traffic
        self._tiles_in_portions = tiles_in_portions
        self._fetched, self._fetched_at = Traffic(), 0.0
        self._rules: dict[int, str] = {}
        self._started: dict[str, float] = {}
        self._done: Counter[str] = Counter()
        self._failed: set[int] = set()
        self._portions: dict[tuple[str, object], tuple[int, int]] = {}
        self._jobs_done = self._jobs = 0

    def start(self) -> None:
        """Show lines from now on, in a thread of its own, until the process ends."""
        threading.Thread(target=self._show_lines, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Count the event that a record tells, if any."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self._failed.discard(record.jobid)  # type: ignore[attr-defined]
            self._rules[record.jobid] = record.rule_name  # type: ignore[attr-defined]
            self._started.setdefault(record.rule_name, time.monotonic())  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_FINISHED:
            self._done[self._rules.pop(record.job_id, "")] += 1  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_ERROR:
            if self._is_step(self._rules.pop(record.jobid, "")):  # type: ignore[attr-defined]
                self._failed.add(record.jobid)  # type: ignore[attr-defined]
        elif event == LogEvent.PROGRESS:
            self._jobs_done, self._jobs = record.done, record.total  # type: ignore[attr-defined]

    def count(self, step: str, portion: object, done: int, failed: int) -> None:
        """Note how many tiles of a portion are done, and how many of them have failed."""
        self._started.setdefault(step, time.monotonic())
        self._portions[step, portion] = done, failed

    def line(self, now: float) -> str:
        """The line to show at a moment, in seconds of the monotonic clock; a rate counts from a step's first job."""
        parts, totals = [], self._tiles_in_portions() if self._portions else {}
        for step in self._steps():
            seconds = now - self._started[step]
            rate = f", {self._tiles(step) / seconds:.3g} a second" if self._tiles(step) and seconds else ""
            total = f" of {totals[step]:,}" if totals.get(step) else ""
            parts.append(f"{step}: {self._tiles(step):,}{total}{rate}")
        jobs = self._all_jobs(now, sum(map(self._tiles, totals)), sum(totals.values()))
        return "; ".join([*parts, *self._network(now), jobs, f"{self._failures():,} failed"])

    def _steps(self) -> list[str]:
        of_portions = {step for step, _ in list(self._portions)}
        return [step for step in list(self._started) if self._is_step(step) or step in of_portions]

    def _tiles(self, step: str) -> int:
        return self._done[step] + sum(done for (name, _), (done, _) in list(self._portions.items()) if name == step)

    def _failures(self) -> int:
        return len(self._failed) + sum(failed for _, failed in list(self._portions.values()))

    def _network(self, now: float) -> list[str]:
        """Requests under way and megabytes a second, on average since the last line; empty where there are none."""
        fetched = self._traffic()
        if fetched is None:
            return []
        former, since = self._fetched, self._fetched_at or min(self._started.values(), default=now)
        self._fetched, self._fetched_at = fetched, now
        seconds = now - since
        if fetched.waited == former.waited or not seconds:
            return []
        under_way = (fetched.waited - former.waited) / seconds
        rate = (fetched.received - former.received) / seconds / 1e6
        return [f"network: {under_way:.3g} requests under way, {rate:.3g} MB a second"]

    def _all_jobs(self, now: float, tiles_done: int, tiles: int) -> str:
        """The jobs, and the time that is left by the number of tiles in portions, or else of jobs."""
        text = f"{self._jobs_done:,} of {self._jobs:,} jobs"
        done, count = (tiles_done, tiles) if tiles else (self._jobs_done, self._jobs)
        if not self._started or not 0 < done < count:
            return text
        seconds = (now - min(self._started.values())) / done * (count - done)
        return f"{text}, {timedelta(seconds=round(seconds))} left"

    def _show_lines(self) -> None:
        shown = 0
        while True:
            time.sleep(self._period)
            done = sum(map(self._tiles, self._steps())) + self._failures()
            traffic = self._traffic() or self._fetched
            if done != shown or traffic.received != self._fetched.received:
                self._show(self.line(time.monotonic()))
                shown = done
