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
from dataclasses import dataclass, field
from typing import Any


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
        self.connections = [WorkerConnection(near) for near, _ in pairs]
        for _, end in pairs:
            end.close()


@dataclass(eq=False)
class _Worker:
    """A process, started or not, its calls under way, how many of these compute, and its connections for others."""

    is_started: bool = False
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
        self._workers = [_Worker() for _ in range(count)]
        self._changed = threading.Condition()
        self.processes: list[subprocess.Popen[bytes]] = []
        if started and count:
            self._use(self._workers[0], started)

    def call(
        self, function: Callable[..., Any], *arguments: object, start_ahead: bool = True, waits: bool = False
    ) -> Any:
        """Call a function of a module in a worker process, with its state as the first argument.

        Args:
            function: The function.
            arguments: Its arguments after the state.
            start_ahead: Whether further calls are to be expected, for which another process starts.
            waits: Whether the function mostly waits for a network, so that it runs beside others of one process.

        Returns:
            What the function returns; both have to be picklable.

        Raises:
            Exception: Whatever the function raises.
            RuntimeError: The process died.
        """
        worker, connection = self._take(waits)
        if start_ahead:
            self.start_one_ahead()
        try:
            connection.send((function, arguments))
            answer, error = connection.receive()
        except (EOFError, OSError, pickle.UnpicklingError) as trouble:
            self._replace(worker)
            what = f"{function.__name__}{arguments}"
            raise RuntimeError(f"a worker process died during {what}; is the memory used up?") from trouble
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
            waiting = [worker for worker in self._workers if not worker.is_started]
            if waiting and all(worker.calls for worker in self._workers if worker.is_started):
                self._start(waiting[0])

    def _take(self, waits: bool) -> tuple[_Worker, WorkerConnection]:
        with self._changed:
            while not (free := [worker for worker in self._workers if self._has_place(worker, waits)]):
                self._changed.wait()
            worker = min(free, key=lambda worker: (worker.calls, not worker.is_started))
            if not worker.is_started:
                self._start(worker)
            worker.calls += 1
            worker.computing += not waits
            return worker, worker.idle.pop()

    def _has_place(self, worker: _Worker, waits: bool) -> bool:
        return bool(worker.idle or not worker.is_started) and (waits or not worker.computing)

    def _replace(self, worker: _Worker) -> None:
        """Let another process start in place of one that died; no call goes to its connections."""
        with self._changed:
            if worker in self._workers:
                self._workers[self._workers.index(worker)] = _Worker()
                self._changed.notify_all()

    def _start(self, worker: _Worker) -> None:
        self._use(worker, WorkerProcess(self._threads))

    def _use(self, worker: _Worker, started: WorkerProcess) -> None:
        """Tell a process its state, and let it serve the calls of a worker."""
        self.processes.append(started.process)
        worker.idle, worker.is_started = list(started.connections), True
        worker.idle[0].send(self._state)


def serve() -> None:
    """Serve calls in a worker process until its parent closes the connections or ends."""
    _import_pyogrio()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = sys.stderr
    module, *numbers = sys.argv[1:]
    first, *others = [WorkerConnection(socket.socket(fileno=int(number))) for number in numbers]
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
