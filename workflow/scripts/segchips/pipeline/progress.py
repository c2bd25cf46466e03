"""How far a run has come, as a line now and then: tiles done, the rate, the time left, failures so far."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

STEPS = ("images", "provenance", "labels")
"""The rules that have a job for each tile."""
PERIOD = 30.0
"""Seconds between lines."""


class Progress(threading.Thread):
    """Tells the progress of a Snakemake workflow while its process lives; nothing where a run ends within a period."""

    def __init__(self, workflow: Any, period: float = PERIOD) -> None:
        super().__init__(daemon=True)
        self._workflow, self._period = workflow, period
        self._begun: dict[str, tuple[float, int]] = {}

    def run(self) -> None:
        """Tell a line after each period in which some tile was finished."""
        from snakemake.logging import logger

        told: Counter[str] = Counter()
        while True:
            time.sleep(self._period)
            done, total, failed = self._counts()
            if done != told:
                logger.info(self.line(done, total, failed, time.monotonic()))
                told = done

    def _counts(self) -> tuple[Counter[str], Counter[str], int]:
        dag, scheduler = getattr(self._workflow, "_dag", None), getattr(self._workflow, "scheduler", None)
        if not dag or not scheduler:
            return Counter(), Counter(), 0
        jobs = [job for job in list(dag._finished | dag._needrun) if job.rule.name in STEPS]
        done = Counter(job.rule.name for job in jobs if dag.finished(job))
        failed = sum(job.rule.name in STEPS for group in list(scheduler.failed) for job in _members(group))
        return done, Counter(job.rule.name for job in jobs), failed

    def line(self, done: Mapping[str, int], total: Mapping[str, int], failed: int, now: float) -> str:
        """What is told at a moment, in seconds: the rate of a step is that since it was first told to be under way."""
        parts = []
        for step in (step for step in STEPS if step in total):
            begun, before = self._begun.setdefault(step, (now, done[step])) if done.get(step) else (now, 0)
            parts.append(_part(step, done.get(step, 0), total[step], done.get(step, 0) - before, now - begun))
        return "; ".join([*parts, f"{failed} failed"])


def _members(job: Any) -> list[Any]:
    return list(job) if job.is_group() else [job]


def _part(step: str, done: int, total: int, made: int, seconds: float) -> str:
    text = f"{step}: {done:,} of {total:,}"
    if not made or done == total:
        return text
    rate = made / seconds
    return f"{text}, {rate:.3g} a second, {timedelta(seconds=round((total - done) / rate))} left"
