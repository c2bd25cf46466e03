"""How long jobs of each step took in the last run, from which `snakemake plan` says how long a run takes."""

import json
import threading
from contextlib import suppress
from pathlib import Path

from segchips.files import atomic_write

_FEW = 10
"""Jobs below which a run says too little about the time of a job."""


class JobTimes:
    """The mean time of the jobs of a step, which is kept in the results folder.

    Args:
        results: The results folder.
    """

    def __init__(self, results: Path) -> None:
        self._path = results / ".job_seconds.json"
        self._lock = threading.Lock()
        self._added: dict[str, list[float]] = {}

    def add(self, dataset: str, step: str, seconds: float) -> None:
        """Count a finished job of this run."""
        with self._lock:
            self._added.setdefault(f"{dataset}/{step}", []).append(seconds)

    def save(self) -> None:
        """Keep the times of this run's steps of many jobs for later runs."""
        means = {step: sum(seconds) / len(seconds) for step, seconds in self._added.items() if len(seconds) >= _FEW}
        if means:
            with suppress(OSError):
                atomic_write(self._path, json.dumps(self._saved() | means))

    def seconds(self, dataset: str, step: str) -> float | None:
        """The mean seconds of a job in the last run that had many of them; None where no run had."""
        return self._saved().get(f"{dataset}/{step}")

    def _saved(self) -> dict[str, float]:
        with suppress(OSError, ValueError, AttributeError, TypeError):
            return {str(step): float(seconds) for step, seconds in json.loads(self._path.read_bytes()).items()}
        return {}
