"""Processes that run the bodies of jobs, so that no job pays for an interpreter, an import or a config.

`concurrent.futures` and loky pickle a job's state with every call, or start all processes at once; here a process sets
its state up once, starts when it is needed, and may serve several calls at a time.
"""

import importlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, LifoQueue
from typing import Any


class WorkerConnection:
    """A connection to a worker process, over which it serves one call at a time."""

    def __init__(self, near: socket.socket, siblings: "list[WorkerConnection]") -> None:
        self._tasks, self._answers = near.makefile("wb"), near.makefile("rb")
        self.siblings, self.broken = siblings, False

    def send(self, message: object) -> None:
        """Send a task to the process."""
        pickle.dump(message, self._tasks)
        self._tasks.flush()

    def receive(self) -> Any:
        """Wait for the answer of the process."""
        return pickle.load(self._answers)


class WorkerProcess:
    """A process that serves calls once it is told its state; until then it imports what they need.

    Args:
        threads: How many calls it serves at a time.
        module: The module that it imports.
    """

    def __init__(self, threads: int = 1, module: str = __name__) -> None:
        pairs = [socket.socketpair() for _ in range(threads)]
        far = [end.fileno() for _, end in pairs]
        code = f"from {__name__} import serve; serve()"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        command = [sys.executable, "-c", code, module, *map(str, far)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=far, env=environment)
        self.connections: list[WorkerConnection] = []
        self.connections += [WorkerConnection(near, self.connections) for near, _ in pairs]
        for _, end in pairs:
            end.close()


class WorkerPool:
    """Up to `count` processes, each started when it is first needed.

    Args:
        count: How many processes there are at most.
        make_state: A function of a module, called once in each process.
        arguments: Its arguments.
        threads: How many calls a process serves at a time.
        started: A process that has started already and waits for its state.
    """

    def __init__(
        self,
        count: int,
        make_state: Callable[..., Any],
        *arguments: object,
        threads: int = 1,
        started: WorkerProcess | None = None,
    ) -> None:
        self._state, self._threads, self._lock = (make_state, arguments), threads, threading.Lock()
        self._idle: LifoQueue[WorkerConnection | None] = LifoQueue()
        self.processes: list[subprocess.Popen[bytes]] = []
        for _ in range(count):
            self._idle.put(None)
        if started and count:
            self._idle.get()
            self._idle.put(self._use(started))

    def call(self, function: Callable[..., Any], *arguments: object, start_ahead: bool = True) -> Any:
        """Call a function of a module in a worker process, with its state as the first argument.

        Args:
            function: The function.
            arguments: Its arguments after the state.
            start_ahead: Whether further calls are to be expected, for which another process starts.

        Returns:
            What the function returns; both have to be picklable.

        Raises:
            Exception: Whatever the function raises.
            RuntimeError: The process died.
        """
        connection = self._take()
        if start_ahead:
            self.start_one_ahead()
        try:
            connection.send((function, arguments))
            answer, error = connection.receive()
        except (EOFError, OSError, pickle.UnpicklingError) as trouble:
            self._replace(connection)
            what = f"{function.__name__}{arguments}"
            raise RuntimeError(f"a worker process died during {what}; is the memory used up?") from trouble
        self._idle.put(connection)
        if error:
            raise error
        return answer

    def start_one_ahead(self) -> None:
        """Have one process more than are at work, if one is left to start: it imports before it is needed."""
        with suppress(Empty, OSError):
            self._idle.put(self._idle.get_nowait() or self._start())

    def _take(self) -> WorkerConnection:
        while True:
            connection = self._idle.get()
            if connection is None:
                return self._start()
            if not connection.broken:
                return connection

    def _replace(self, connection: WorkerConnection) -> None:
        """Let another process start in place of one that died; no call goes to its other connections."""
        with self._lock:
            if not connection.broken:
                self._idle.put(None)
            for sibling in connection.siblings:
                sibling.broken = True

    def _start(self) -> WorkerConnection:
        try:
            return self._use(WorkerProcess(self._threads))
        except OSError:
            self._idle.put(None)
            raise

    def _use(self, started: WorkerProcess) -> WorkerConnection:
        """Tell a process its state, and return its first connection; the others are put among the idle ones."""
        self.processes.append(started.process)
        first, *others = started.connections
        first.send(self._state)
        for connection in others:
            self._idle.put(connection)
        return first


def serve() -> None:
    """Serve calls in a worker process until its parent closes the connections or ends."""
    _import_pyogrio()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = sys.stderr
    module, *numbers = sys.argv[1:]
    first, *others = [WorkerConnection(socket.socket(fileno=int(number)), []) for number in numbers]
    importlib.import_module(module)
    try:
        make_state, arguments = first.receive()
    except EOFError:
        return  # the parent found nothing to do
    state = make_state(*arguments)
    for connection in others:
        threading.Thread(target=_serve, args=(connection, state)).start()
    _serve(first, state)


def _import_pyogrio() -> None:
    """Import what reads labels, without geopandas: it takes longer than all else, and job bodies do not need it."""
    unneeded = {name: None for name in ("geopandas", "pandas") if name not in sys.modules}
    sys.modules |= unneeded  # type: ignore[arg-type]  # None means that it cannot be imported
    import pyogrio.raw  # noqa: F401

    for name in unneeded:
        del sys.modules[name]


def _serve(connection: WorkerConnection, state: Any) -> None:
    while True:
        try:
            function, arguments = connection.receive()
            connection.send(_outcome(state, function, arguments))
        except (EOFError, OSError):
            return


def _outcome(state: Any, function: Callable[..., Any], arguments: tuple[object, ...]) -> tuple[Any, Exception | None]:
    """The function's result and None, or None and the exception that the parent is to raise."""
    try:
        return function(state, *arguments), None
    except Exception as error:
        return None, error
