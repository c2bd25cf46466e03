"""Threads compute one at a time, in the order that keeps the network busy and neighbours together."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from segchips.remote import turn
from segchips.remote.turn import computing, waiting


def until_waiting(length):
    """Wait until so many threads wait for the turn."""
    deadline = time.monotonic() + 60
    while len(turn._turn._waiting) < length:
        assert time.monotonic() < deadline, "a thread does not wait"
        time.sleep(0.001)


def test_jobs_that_ask_for_nothing_yet_come_first_and_then_those_that_began_first():
    begun, answers = [threading.Event() for _ in range(4)], [threading.Event() for _ in range(4)]
    order: list[str] = []

    def job(number):
        with computing():
            begun[number].set()
            order.append(f"{number} asks")
            with waiting():
                answers[number].wait()
            order.append(f"{number} computes")

    with ThreadPoolExecutor(5) as pool:
        jobs = []
        for number in range(3):
            jobs.append(pool.submit(job, number))
            begun[number].wait()
        with computing():  # meanwhile all answers come, the last first, and another job begins
            for length, number in enumerate((2, 1, 0), 1):
                answers[number].set()
                until_waiting(length)
            answers[3].set()
            jobs.append(pool.submit(job, 3))
            until_waiting(4)
            order.clear()
        for each in jobs:
            each.result()
    assert order[0] == "3 asks"
    assert order[1:] == [f"{number} computes" for number in range(4)]


def test_one_thread_computes_at_a_time():
    busy = threading.Lock()

    def job(number):
        for _ in range(20):
            with computing():
                assert busy.acquire(blocking=False)
                busy.release()
                with waiting():
                    time.sleep(0.0002 * (number % 3))
                assert busy.acquire(blocking=False)
                busy.release()

    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(job, range(8)):
            assert result is None


def test_waiting_without_a_turn_takes_none():
    with computing(), ThreadPoolExecutor(1) as pool:

        def other():
            with waiting():
                return "done"

        assert pool.submit(other).result(timeout=10) == "done"
