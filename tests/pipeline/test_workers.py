"""workers.py: calls in other processes, several at a time in one of them, and processes that die."""

import gc
import os
import signal
import threading
import time

import pytest

from segchips.pipeline.workers import Workers
from segchips.pipeline.workflow import State

CONFIG = {
    "datasets": {
        "one": {
            "tiles": {"keys": ["60:2:10.0:33:-58:8465"]},
            "imagery": {
                "catalog": "catalog.json",
                "products": [{"id": "s2", "bands": ["B1"]}],
                "start": "2017-01-01",
                "end": "2017-12-31",
                "composite": "mean",
            },
            "labels": {"path": "labels.gpkg"},
        }
    }
}


@pytest.mark.parametrize(("count", "threads"), [(1, 1), (2, 1), (1, 5), (2, 3)])
def test_every_call_gets_its_own_answer(count, threads):
    workers = Workers(count, CONFIG, threads)
    expected = State(CONFIG)
    found = {}

    def call(number):
        for ask in ("label_sources", "catalog_file", "tile_sources"):
            found[number, ask] = workers.call(ask, "one") == getattr(expected, ask)("one")
        found[number, "query"] = workers.call("query", "one") == expected.query("one")

    callers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 32 and all(found.values())
    assert len(workers._children) <= count


def test_one_process_more_than_are_at_work_is_ready():
    workers = Workers(3, CONFIG)
    for started in (1, 1):
        workers.reserve()
        assert len(workers._children) == started
    for started in (2, 2):
        workers.call("query", "one")
        assert len(workers._children) == started
    for started in (2, 3, 3):
        workers._take()
        workers.reserve()
        assert len(workers._children) == started


def test_what_a_call_raises_is_raised_here():
    workers = Workers(1, CONFIG, 2)
    for _ in range(3):
        with pytest.raises(KeyError, match="nobody"):
            workers.call("query", "nobody")
    assert workers.call("query", "one")


@pytest.mark.parametrize("threads", [1, 3])
def test_another_process_takes_the_place_of_one_that_dies(threads):
    workers = Workers(1, CONFIG, threads)
    assert workers.call("query", "one")
    os.kill(workers._children[0].pid, signal.SIGKILL)
    workers._children[0].wait()
    with pytest.raises(RuntimeError, match="a worker process died during query"):
        workers.call("query", "one")
    for _ in range(2 * threads):
        assert workers.call("query", "one")
    assert len(workers._children) == 2


def test_processes_end_with_their_parent():
    workers = Workers(1, CONFIG, 3)
    assert workers.call("query", "one")
    (child,) = workers._children
    del workers
    gc.collect()
    for _ in range(100):
        if child.poll() is not None:
            break
        time.sleep(0.1)
    assert child.returncode == 0
