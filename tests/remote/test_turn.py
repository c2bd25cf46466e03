"""Threads compute one at a time, in the order that keeps the network busy and neighbours together."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from segchips.remote.turn import computing, waiting


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
            time.sleep(0.01)

    with ThreadPoolExecutor(5) as pool:
        jobs = []
        for number in range(3):
            jobs.append(pool.submit(job, number))
            begun[number].wait()
        with computing():  # meanwhile all answers come, the last first, and another job begins
            for number in (2, 1, 0):
                answers[number].set()
                time.sleep(0.05)
            answers[3].set()
            jobs.append(pool.submit(job, 3))
            time.sleep(0.05)
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
