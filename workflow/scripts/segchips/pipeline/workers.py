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
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

_UNEVEN = 8
"""How many more calls than another a process may have for the sake of calls that are near each other."""


class WorkerDiedError(RuntimeError):
    """A worker process ended during a call."""


class WorkerConnection:
    """A connection to a worker process, over which it serves one call at a time."""

    def __init__(self, near: socket.socket) -> None:
        self._tasks, self._answers = near.makefile("wb"), near.makefile("rb")

    def send(self, message: object) -> None:
        """Send a task to the process."""
        self._tasks.write(pickle.dumps(message))  # nothing, where the message cannot be pickled
        self._tasks.flush()

    def receive(self) -> Any:
        """Wait for the answer of the process."""
        return pickle.load(self._answers)


class WorkerProcess:
    """A process that serves calls once it is told its state; until then it imports what they need.

    Args:
        module: The module that it imports.
    """

    def __init__(self, module: str = __name__) -> None:
        pairs = [socket.socketpair() for _ in range(2)]
        far = [end.fileno() for _, end in pairs]
        code = f"from {__name__} import serve; serve()"
        # By default, each thread may keep the memory that it has freed for itself.
        environment = {"MALLOC_ARENA_MAX": "1"} | os.environ
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        command = [sys.executable, "-c", code, module, *map(str, far)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=far, env=environment)
        self._doorbell, first = (near for near, _ in pairs)
        self.first = WorkerConnection(first)
        for _, end in pairs:
            end.close()

    def connect(self) -> WorkerConnection:
        """Open a further connection, over which the process serves calls in a thread of their own.

        Raises:
            OSError: The process has ended, or no more files can be open.
        """
        near, far = socket.socketpair()
        with far:
            socket.send_fds(self._doorbell, [b"\0"], [far.fileno()])
        return WorkerConnection(near)


@dataclass(eq=False)
class _Worker:
    """A place for a process, its calls under way, how many of these compute, and its idle connections.

    Attributes:
        limit: How many calls it takes at a time.
    """

    limit: int
    process: WorkerProcess | None = None
    calls: int = 0
    computing: int = 0
    idle: list[WorkerConnection] = field(default_factory=list)


class WorkerPool:
    """Up to `count` processes, each started when it is first needed; a call goes to the one with the fewest calls.

    Args:
        count: How many processes there are at most.
        make_state: A function of a module, called once in each process.
        arguments: Its arguments.
        threads: How many calls a process serves at a time, of which one computes and others wait for a network.
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
        self._state, self._threads = (make_state, arguments), threads
        self._workers = [_Worker(threads) for _ in range(count)]
        self._nearest: dict[Hashable, _Worker] = {}
        self._changed = threading.Condition()
        self.processes: list[subprocess.Popen[bytes]] = []
        if started and count:
            self._use(self._workers[0], started)

    def call(
        self,
        function: Callable[..., Any],
        *arguments: object,
        start_ahead: bool = True,
        waits: bool = False,
        near: Hashable = None,
    ) -> Any:
        """Call a function of a module in a worker process, with its state as the first argument.

        Args:
            function: The function.
            arguments: Its arguments after the state.
            start_ahead: Whether further calls are to be expected, for which another process starts.
            waits: Whether the function mostly waits for a network, so that it runs beside others of one process.
            near: Calls that name the same go to the same process, unless others have far fewer.

        Returns:
            What the function returns; both have to be picklable.

        Raises:
            Exception: Whatever the function raises.
            WorkerDiedError: The process died.
        """
        worker, connection = self._take(waits, near)
        if start_ahead:
            self.start_one_ahead()
        try:
            connection.send((function, arguments))
            answer, error = connection.receive()
        except (EOFError, OSError, pickle.UnpicklingError) as trouble:
            self._replace(worker)
            raise WorkerDiedError(f"a worker process died during {function.__name__}") from trouble
        except BaseException:  # an argument or an answer that cannot be pickled
            self._replace(worker)
            raise
        with self._changed:
            worker.calls -= 1
            worker.computing -= not waits
            worker.idle.append(connection)
            self._changed.notify_all()
        if error:
            raise error
        return answer

    def start_one_ahead(self) -> None:
        """Have one process more than are at work, if one is left to start: it imports before it is needed."""
        with self._changed, suppress(OSError):
            waiting = [worker for worker in self._workers if not worker.process]
            if waiting and all(worker.calls for worker in self._workers if worker.process):
                self._use(waiting[0], WorkerProcess())

    def _take(self, waits: bool, near: Hashable) -> tuple[_Worker, WorkerConnection]:
        with self._changed:
            while True:
                free = [one for one in self._workers if one.calls < one.limit and (waits or not one.computing)]
                if not free:
                    self._changed.wait()
                    continue
                worker = min(free, key=lambda one: (one.calls, not one.process))
                if near and (same := self._nearest.get(near)) in free and same.calls <= worker.calls + _UNEVEN:
                    worker = same
                if connection := self._connection(worker):
                    worker.calls += 1
                    worker.computing += not waits
                    if near:
                        self._nearest[near] = worker
                    return worker, connection

    def _connection(self, worker: _Worker) -> WorkerConnection | None:
        """A connection that no call uses; None if no more files can be open, so that a call has to wait."""
        if not worker.process:
            self._use(worker, WorkerProcess())
        elif not worker.idle:
            try:
                return worker.process.connect()
            except OSError:
                if not worker.calls:
                    raise
                worker.limit = worker.calls
                return None
        return worker.idle.pop()

    def _replace(self, worker: _Worker) -> None:
        """Let another process start in place of one that died; no call goes to its connections."""
        with self._changed:
            if worker in self._workers:
                self._workers[self._workers.index(worker)] = _Worker(self._threads)
                self._changed.notify_all()

    def _use(self, worker: _Worker, started: WorkerProcess) -> None:
        """Tell a process its state, and let it serve the calls of a worker."""
        self.processes.append(started.process)
        worker.process, worker.idle = started, [started.first]
        started.first.send(self._state)


def serve() -> None:
    """Serve calls in a worker process until its parent closes the connections or ends."""
    _import_pyogrio()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = sys.stderr
    module, doorbell, number = sys.argv[1:]
    first = WorkerConnection(socket.socket(fileno=int(number)))
    importlib.import_module(module)
    try:
        make_state, arguments = first.receive()
    except EOFError:
        return  # the parent found nothing to do
    state = make_state(*arguments)
    threading.Thread(target=_accept, args=(socket.socket(fileno=int(doorbell)), state), daemon=True).start()
    _serve(first, state)


def _accept(doorbell: socket.socket, state: Any) -> None:
    """Serve each connection that the parent opens, in a thread of its own."""
    while True:
        message, ends, _, _ = socket.recv_fds(doorbell, 1, 1)
        if not message:
            return
        connection = WorkerConnection(socket.socket(fileno=ends[0]))
        threading.Thread(target=_serve, args=(connection, state)).start()


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
            outcome = _outcome(state, function, arguments)
            try:
                connection.send(outcome)
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                connection.send((None, RuntimeError(f"{function.__name__} returns what cannot be sent ({error})")))
        except (EOFError, OSError):
            return


def _outcome(state: Any, function: Callable[..., Any], arguments: tuple[object, ...]) -> tuple[Any, Exception | None]:
    """The function's result and None, or None and the exception that the parent is to raise."""
    try:
        return function(state, *arguments), None
    except Exception as error:
        return None, error
