"""Requests to an object store from a forked process, such as a worker of a PyTorch DataLoader.

The threads of obstore do not survive a fork, and it would wait for them without end. A fresh process makes the requests
of a forked one, which speaks to it over pipes.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

_first_process: list[int] = []
"""The process that used obstore first."""


def is_forked() -> bool:
    """Whether this process is a fork of one that has used obstore."""
    if not _first_process:
        _first_process.append(os.getpid())
    return _first_process[0] != os.getpid()


class StoreProcess:
    """A process that answers requests, one after another."""

    def __init__(self) -> None:
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
        command = [sys.executable, "-c", "from segchips.records.forked_store import answer_requests; answer_requests()"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=os.environ | {"PYTHONPATH": path})
        self._lock = threading.Lock()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of a module there; returns what it returns or raises what it raises."""
        assert self._process.stdin and self._process.stdout
        with self._lock:
            pickle.dump((function, arguments), self._process.stdin)
            self._process.stdin.flush()
            answer = pickle.load(self._process.stdout)
        if isinstance(answer, Exception):
            raise answer
        return answer


@lru_cache(1)
def store_process(process: int) -> StoreProcess:
    """The process that makes the requests of a forked process."""
    return StoreProcess()


def answer_requests() -> None:
    """Answer requests from standard input until it ends."""
    while True:
        try:
            function, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = function(*arguments)
        except Exception as error:
            answer = error
        sys.stdout.buffer.write(pickle.dumps(answer))
        sys.stdout.buffer.flush()
