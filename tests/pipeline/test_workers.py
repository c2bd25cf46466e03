"""workers.py: calls in other processes, several at a time in one of them, and processes that die."""

import gc
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from segchips.pipeline.datasets import Datasets
from segchips.pipeline.runner import JobRunner, Task
from segchips.pipeline.workers import WorkerDiedError, WorkerPool
from support.projects import Project


def pool(count: int, threads: int = 1) -> WorkerPool:
    return WorkerPool(count, list, ("a", "b", "c"), threads=threads)


def call(workers: WorkerPool, *arguments: object) -> object:
    """The item of the state at an index."""
    return workers.call(list.__getitem__, *arguments)


@pytest.mark.parametrize(("count", "threads"), [(1, 1), (2, 1), (1, 5), (2, 3)])
def test_every_call_gets_its_own_answer(count: int, threads: int) -> None:
    workers, answers = pool(count, threads), {}

    def ask(number: int) -> None:
        for index in range(3):
            answers[number, index] = workers.call(list.__getitem__, index, waits=number % 2 == 0)

    callers = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert answers == {(number, index): "abc"[index] for number in range(8) for index in range(3)}
    assert len(workers.processes) <= count


def test_one_process_more_than_are_at_work_is_ready() -> None:
    workers = pool(3)
    for _ in range(2):
        workers.start_one_ahead()
        assert len(workers.processes) == 1
    for _ in range(2):
        call(workers, 0)
        assert len(workers.processes) == 2


def overlap(state: list[str], folder: str, enough: int) -> tuple[int, int]:
    """This process, and how many calls are under way once enough of them are; later ones do not wait."""
    marks, go_on = Path(folder) / "calls", Path(folder) / "go on"
    marks.mkdir(exist_ok=True)
    mark = marks / f"{os.getpid()}-{threading.get_ident()}"
    mark.touch()
    until(lambda: go_on.exists() or len(list(marks.iterdir())) >= enough)
    go_on.touch()
    under_way = len(list(marks.iterdir()))
    mark.unlink()
    return os.getpid(), under_way


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "that never came"
        time.sleep(0.005)


@pytest.mark.parametrize(("waits", "together"), [(True, 6), (False, 2)])
def test_only_calls_that_wait_run_beside_others_of_their_process(tmp_path: Path, waits: bool, together: int) -> None:
    workers = pool(2, 3)
    for _ in range(2):
        workers.start_one_ahead()
    with ThreadPoolExecutor(12) as callers:
        found = list(callers.map(lambda _: workers.call(overlap, str(tmp_path), together, waits=waits), range(12)))
    assert max(under_way for _, under_way in found) == together
    assert len({process for process, _ in found}) == 2


def test_calls_near_each_other_go_to_one_process_unless_another_has_far_fewer(tmp_path: Path) -> None:
    workers = pool(2, 40)
    for _ in range(2):
        workers.start_one_ahead()

    def processes(places: str) -> list[int]:
        folder = tmp_path / places
        folder.mkdir()
        with ThreadPoolExecutor(len(places)) as callers:
            calls = []
            for number, place in enumerate(places, 1):
                calls.append(callers.submit(workers.call, overlap, str(folder), len(places), waits=True, near=place))
                until(lambda number=number: number == len(places) or len(list(folder.glob("calls/*"))) == number)
            return [call.result()[0] for call in calls]

    found = processes("abababab")
    assert len({*found[::2]}) == len({*found[1::2]}) == 1 and len({*found}) == 2
    alone = processes("c" * 20)
    assert min(alone.count(process) for process in {*alone}) >= 4 and len({*alone}) == 2


def test_an_exception_of_a_call_is_raised_here() -> None:
    workers = pool(1, 2)
    for _ in range(3):
        with pytest.raises(IndexError, match="out of range"):
            call(workers, 9)
    assert call(workers, 0) == "a"


def test_an_argument_that_cannot_be_sent_takes_no_place() -> None:
    workers = pool(1)
    for _ in range(2):
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            call(workers, threading.Lock())
        assert call(workers, 0) == "a"


def make_lock(state: list[str]) -> object:
    return threading.Lock()


@pytest.mark.parametrize("threads", [1, 3])
def test_a_result_that_cannot_be_sent_is_an_error(threads: int) -> None:
    workers = pool(1, threads)
    for _ in range(4):
        with pytest.raises(RuntimeError, match="make_lock returns what cannot be sent"):
            workers.call(make_lock)
    assert call(workers, 0) == "a"


def die(datasets: Datasets, name: str) -> list[str]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def test_the_log_of_a_job_whose_process_dies_says_so(sample_run: Project, tmp_path: Path) -> None:
    runner = JobRunner(sample_run.config, 1, str(tmp_path))
    logs = [str(tmp_path / name) for name in ("a.log", "b.log", "c.log")]
    error = runner.run("tile a", logs[0], die, "sample")
    (other,) = runner.run_batch("core", [Task("tile a", logs[1], die, ("sample",), None, None)])
    assert str(error) == str(other) and str(error).startswith("tile a: its process was killed, as when memory is used")
    assert {Path(log).read_text() for log in logs[:2]} == {f"{str(error).removeprefix('tile a: ')}\n"}
    two = [Task("tile", logs[2], die, ("sample",), None, None) for _ in range(2)]
    with pytest.raises(WorkerDiedError):
        runner.run_batch("core", two)


@pytest.mark.parametrize("threads", [1, 3])
def test_another_process_replaces_one_that_dies(threads: int) -> None:
    workers = pool(1, threads)
    assert call(workers, 0) == "a"
    os.kill(workers.processes[0].pid, signal.SIGKILL)
    workers.processes[0].wait()
    with pytest.raises(RuntimeError, match="a worker process died during __getitem__"):
        call(workers, 0)
    for _ in range(2 * threads):
        assert call(workers, 1) == "b"
    assert len(workers.processes) == 2


def test_processes_end_with_their_parent() -> None:
    workers = pool(1, 3)
    assert call(workers, 0) == "a"
    (process,) = workers.processes
    del workers
    gc.collect()
    until(lambda: process.poll() is not None)
    assert process.returncode == 0
