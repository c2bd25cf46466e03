"""Processes that do the work of tile jobs, so that neither it nor Snakemake waits for the other's Python."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from queue import Empty, LifoQueue
from typing import Any


class WorkerConnection:
    """A connection to a process, over which it serves one call at a time."""

    def __init__(self, near: socket.socket, process: "list[WorkerConnection]") -> None:
        self._tasks, self._answers = near.makefile("wb"), near.makefile("rb")
        self.process, self.broken = process, False

    def send(self, message: object) -> None:
        """Give the process something to do."""
        pickle.dump(message, self._tasks)
        self._tasks.flush()

    def receive(self) -> Any:
        """What the process answers."""
        return pickle.load(self._answers)


class Workers:
    """Up to `count` processes, started as they are needed; each has the config and serves `threads` calls at a time."""

    def __init__(self, count: int, raw: Mapping[str, Any], threads: int = 1) -> None:
        self._raw, self._threads, self._lock = raw, threads, threading.Lock()
        self._idle: LifoQueue[WorkerConnection | None] = LifoQueue()
        self._children: list[subprocess.Popen[bytes]] = []
        for _ in range(count):
            self._idle.put(None)

    def call(self, method: str, *arguments: object) -> Any:
        """What the method of `segchips.pipeline.workflow.State` returns or raises; RuntimeError where the process dies."""
        line = self._take()
        self.reserve()
        try:
            line.send((method, arguments))
            answer, error = line.receive()
        except (EOFError, OSError, pickle.UnpicklingError) as trouble:
            self._give_up(line)
            raise RuntimeError(f"a worker process died during {method}{arguments}; is the memory used up?") from trouble
        self._idle.put(line)
        if error:
            raise error
        return answer

    def reserve(self) -> None:
        """Have one process more than are at work, if one is left to start: its imports are done when it is needed."""
        with suppress(Empty, OSError):
            self._idle.put(self._idle.get_nowait() or self._start())

    def _take(self) -> WorkerConnection:
        while True:
            line = self._idle.get()
            if line is None:
                return self._start()
            if not line.broken:
                return line

    def _give_up(self, line: WorkerConnection) -> None:
        """Let another process be started in place of one that died, and no call go to it any more."""
        with self._lock:
            if not line.broken:
                self._idle.put(None)
            for each in line.process:
                each.broken = True

    def _start(self) -> WorkerConnection:
        pairs = [socket.socketpair() for _ in range(self._threads)]
        far = [end.fileno() for _, end in pairs]
        command = [sys.executable, "-c", "from segchips.pipeline.workers import serve; serve()", *map(str, far)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        try:
            self._children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=far, env=environment))
        except OSError:
            self._idle.put(None)
            raise
        lines: list[WorkerConnection] = []
        lines += [WorkerConnection(near, lines) for near, _ in pairs]
        for _, end in pairs:
            end.close()
        lines[0].send(self._raw)
        for line in lines[1:]:
            self._idle.put(line)
        return lines[0]


def serve() -> None:
    """What a worker does until its parent closes the connections or ends."""
    import pyogrio.raw  # noqa: F401 - labels need it, and it takes longest

    from segchips.pipeline.workflow import State

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = sys.stderr
    first, *others = [WorkerConnection(socket.socket(fileno=int(number)), []) for number in sys.argv[1:]]
    state = State(first.receive())
    for line in others:
        threading.Thread(target=_serve, args=(line, state)).start()
    _serve(first, state)


def _serve(line: WorkerConnection, state: Any) -> None:
    while True:
        try:
            method, arguments = line.receive()
            line.send(_outcome(state, method, arguments))
        except (EOFError, OSError):
            return


def _outcome(state: Any, method: str, arguments: tuple[object, ...]) -> tuple[Any, Exception | None]:
    """What the method returns, and what it raises, for the parent to raise."""
    try:
        return getattr(state, method)(*arguments), None
    except Exception as error:
        return None, error
