"""Processes that do the work of tile jobs, so that neither it nor Snakemake waits for the other's Python."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from queue import LifoQueue
from typing import Any


class Workers:
    """Up to `count` processes, started when first needed; each has the config and serves one thread at a time."""

    def __init__(self, count: int, raw: Mapping[str, Any], schema: Path) -> None:
        self._setting = raw, schema
        self._idle: LifoQueue[subprocess.Popen[bytes] | None] = LifoQueue()
        for _ in range(count):
            self._idle.put(None)

    def call(self, method: str, *arguments: object) -> Any:
        """What the method of `segchips.workflow.State` returns or raises; RuntimeError where the process dies."""
        worker = self._idle.get()
        try:
            worker = worker or self._start()
            _send(worker.stdin, (method, arguments))
            answer, error = pickle.load(worker.stdout)  # type: ignore[arg-type]
        except (EOFError, OSError, pickle.UnpicklingError) as trouble:
            worker = None
            raise RuntimeError(f"a worker process died during {method}{arguments}; is the memory used up?") from trouble
        finally:
            self._idle.put(worker)
        if error:
            raise error
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "from segchips.workers import serve; serve()"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        _send(worker.stdin, self._setting)
        return worker


def _send(stream: Any, message: object) -> None:
    pickle.dump(message, stream)
    stream.flush()


def serve() -> None:
    """What a worker does until its parent closes the pipe or ends."""
    from segchips.workflow import State

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr
    raw, schema = pickle.load(tasks)
    state = State(raw, schema)
    while True:
        try:
            method, arguments = pickle.load(tasks)
        except EOFError:
            return
        _send(answers, _outcome(state, method, arguments))


def _outcome(state: Any, method: str, arguments: tuple[object, ...]) -> tuple[Any, Exception | None]:
    """What the method returns, and what it raises, for the parent to raise."""
    try:
        return getattr(state, method)(*arguments), None
    except Exception as error:
        return None, error
