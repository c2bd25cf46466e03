"""Progress of a run: from time to time a line with jobs done, their rates, the time left and failures.

The counts come from the events that Snakemake logs, whatever logger plugin shows them.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
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


def show_progress(workflow: Any, logger: logging.Logger, traffic: Callable[[], Traffic | None]) -> None:
    """Show lines about the progress of a run; once, whatever the number of modules in it.

    Args:
        workflow: Snakemake's workflow.
        logger: Snakemake's logger.
        traffic: Returns what was fetched from HTTP servers so far, if anything was.
    """
    if any(isinstance(handler, Progress) for handler in logger.handlers):
        return
    progress = Progress(logger.info, is_step=lambda rule: rule in tile_rules(workflow), traffic=traffic)
    logger.addHandler(progress)
    progress.start()


class Progress(logging.Handler):
    """Counts finished and failed tile jobs, and shows a line after each period in which a tile was finished.

    Args:
        show: Shows a line to the user.
        period: Seconds between lines.
        is_step: Whether a rule has a job for each tile.
        traffic: Returns what was fetched from HTTP servers so far; None where nothing was.
    """

    def __init__(
        self,
        show: Callable[[str], None],
        period: float = PERIOD,
        *,
        is_step: Callable[[str], bool] = STEPS.__contains__,
        traffic: Callable[[], Traffic | None] = lambda: None,
    ) -> None:
        super().__init__(logging.INFO)
        self._show, self._period, self._is_step, self._traffic = show, period, is_step, traffic
        self._fetched, self._fetched_at = Traffic(), 0.0
        self._rules: dict[int, str] = {}
        self._started: dict[str, float] = {}
        self._done: Counter[str] = Counter()
        self._failed = self._jobs_done = self._jobs = 0

    def start(self) -> None:
        """Show lines from now on, in a thread of its own, until the process ends."""
        threading.Thread(target=self._show_lines, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Count the event that a record tells, if any."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self._rules[record.jobid] = record.rule_name  # type: ignore[attr-defined]
            self._started.setdefault(record.rule_name, time.monotonic())  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_FINISHED:
            self._done[self._rules.pop(record.job_id, "")] += 1  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_ERROR:
            self._failed += self._is_step(self._rules.pop(record.jobid, ""))  # type: ignore[attr-defined]
        elif event == LogEvent.PROGRESS:
            self._jobs_done, self._jobs = record.done, record.total  # type: ignore[attr-defined]

    def line(self, now: float) -> str:
        """The line to show at a moment, in seconds of the monotonic clock; a rate counts from a step's first job."""
        parts = []
        for step in filter(self._is_step, self._started):
            seconds = now - self._started[step]
            rate = f", {self._done[step] / seconds:.3g} a second" if self._done[step] and seconds else ""
            parts.append(f"{step}: {self._done[step]:,}{rate}")
        return "; ".join([*parts, *self._network(now), self._all_jobs(now), f"{self._failed} failed"])

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

    def _all_jobs(self, now: float) -> str:
        text = f"{self._jobs_done:,} of {self._jobs:,} jobs"
        if not self._started or not 0 < self._jobs_done < self._jobs:
            return text
        seconds = (now - min(self._started.values())) / self._jobs_done * (self._jobs - self._jobs_done)
        return f"{text}, {timedelta(seconds=round(seconds))} left"

    def _show_lines(self) -> None:
        shown = 0
        while True:
            time.sleep(self._period)
            done = sum(self._done[step] for step in filter(self._is_step, list(self._started))) + self._failed
            traffic = self._traffic() or self._fetched
            if done != shown or traffic.received != self._fetched.received:
                self._show(self.line(time.monotonic()))
                shown = done
