"""A Snakemake scheduler for very many small jobs: it takes ready jobs by the name of what they make."""

import gc
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from snakemake_interface_common.io import AnnotatedStringInterface
from snakemake_interface_scheduler_plugins.base import SchedulerBase
from snakemake_interface_scheduler_plugins.interfaces.jobs import JobSchedulerInterface

Needs = tuple[tuple[str, int], ...]
Kind = tuple[bool, Needs]
_AHEAD = 32
# So many jobs more than there are cores are handed to the worker processes, so that these never wait for Snakemake.
_QUEUED = 4
# From so many jobs on, which stay until the end, looking for garbage among them costs more than it finds.
_MANY = 500


class Scheduler(SchedulerBase):
    """Chooses the first ready jobs that fit; neighbours follow each other, so that what was read serves again.

    Jobs of equal needs wait in one line, so that those which no resource is left for do not stand before others. Jobs
    with a `run` body only wait for a worker process, of which there are as many as cores: some may wait there.
    """

    def __post_init__(self) -> None:
        """Lift the limit on job starts for local runs.

        It is 100 a second unless set, and while there is one, each round of scheduling wakes another a second later,
        so that the cost of a job grows with the number of jobs already done.
        """
        self._lines: dict[Kind, deque[JobSchedulerInterface]] = {}
        self._waiting: set[JobSchedulerInterface] = set()
        self._known = 0
        self._ready = False
        workflow = self.dag.workflow
        if workflow.local_exec:
            workflow.scheduling_settings.max_jobs_per_timespan = None
        if workflow.remote_exec:  # in a cluster's job, which hears of the scheduler, but of nothing else in a profile
            workflow.execution_settings.use_threads = True
            workflow.execution_settings.keep_going = True

    def dag_updated(self) -> None:
        """Nothing to do: jobs that are no longer ready are passed over."""

    def select_jobs(
        self,
        selectable_jobs: Sequence[JobSchedulerInterface],
        remaining_jobs: Sequence[JobSchedulerInterface],
        available_resources: Mapping[str, int | str],
        input_sizes: dict[AnnotatedStringInterface, int],
    ) -> Sequence[JobSchedulerInterface]:
        """The jobs to start now."""
        self._make_room()
        if not self.dag.workflow.local_exec:
            selectable_jobs = self._settled(selectable_jobs)
        free = {name: amount for name, amount in available_resources.items() if isinstance(amount, int)}
        self._line_up(selectable_jobs)
        chosen: list[JobSchedulerInterface] = []
        for (queues, needs), line in self._lines.items():
            kept = {"_cores": 1 if queues else 1 + _QUEUED}
            while line and all(amount <= free.get(name, amount) - kept.get(name, 0) for name, amount in needs):
                job = line.popleft()
                self._waiting.discard(job)
                if job in selectable_jobs:
                    chosen.append(job)
                    free |= {name: free[name] - amount for name, amount in needs if name in free}
        self._known -= len(chosen)
        self._clear_the_way(chosen)
        return chosen

    def _settled(self, jobs: Sequence[JobSchedulerInterface]) -> Sequence[JobSchedulerInterface]:
        """The jobs without groups while a checkpoint is under way.

        It will change the graph, and Snakemake would form the groups anew and submit those that run once more.
        """
        changing = any(job.is_checkpoint for job in {*jobs, *self.dag.workflow.scheduler.running})
        return [job for job in jobs if not (changing and job.is_group())]

    def _clear_the_way(self, jobs: Sequence[JobSchedulerInterface]) -> None:
        """Remove what earlier runs made of jobs that go to a cluster: a file that is there afterwards is theirs."""
        for job in jobs:
            if not (self.dag.workflow.local_exec or job.is_local):
                self.dag.workflow.async_run(job.remove_existing_output())

    def next_jobs(self) -> list[JobSchedulerInterface]:
        """The ready jobs that may be chosen next, some of each line."""
        ready = self.dag.ready_jobs
        if len(ready) != self._known:
            self._line_up(ready)
        found = self._first_of_lines()
        if ready and not found:
            self._line_up(ready)
            found = self._first_of_lines()
        self._known = len(ready)
        return found

    def _first_of_lines(self) -> list[JobSchedulerInterface]:
        ready = self.dag.ready_jobs
        found: list[JobSchedulerInterface] = []
        for line in self._lines.values():
            while line and line[0] not in ready:
                self._waiting.discard(line.popleft())
            found += [job for job in islice(line, _AHEAD) if job in ready]
        return found

    def _line_up(self, jobs: Iterable[JobSchedulerInterface]) -> None:
        new = [job for job in jobs if job not in self._waiting]
        for job in sorted(new, key=lambda job: next(map(str, job.output), "")):
            asked = job.scheduler_resources.items()
            needs = tuple((name, amount) for name, amount in asked if amount and isinstance(amount, int))
            self._lines.setdefault((not job.is_group() and job.is_run, needs), deque()).append(job)
            self._waiting.add(job)
        if len(new) > _MANY:
            gc.collect()
            gc.freeze()

    def _make_room(self) -> None:
        """Once: let jobs start that wait for a worker or need no core while all cores are busy.

        Snakemake looks for jobs while a core is free, so there is one more, which is never given away; and it has
        as many threads as cores, and five for jobs that need none.
        """
        if self._ready:
            return
        self._ready = True
        scheduler = self.dag.workflow.scheduler
        scheduler.resources["_cores"] += 1 + _QUEUED
        executor = scheduler._local_executor or scheduler._executor
        if hasattr(executor, "pool"):
            executor.workers += scheduler.resources.get("requests", 0) + _QUEUED
            executor.pool = ThreadPoolExecutor(executor.workers)
        if self.dag.workflow.local_exec:
            _look_no_further(scheduler, self)


def _look_no_further(scheduler: object, inorder: Scheduler) -> None:
    """Show Snakemake the next jobs alone.

    It looks at every ready job, and at every job that is left, whenever one has finished: the cost of a job would grow
    with their number.
    """

    class Short(type(scheduler)):  # type: ignore[misc]
        @property
        def open_jobs(self) -> list[JobSchedulerInterface]:
            return inorder.next_jobs()

        @property
        def remaining_jobs(self) -> Sequence[JobSchedulerInterface]:
            return () if self.workflow.dag.ready_jobs else super().remaining_jobs

        async def update_input_sizes(self, jobs: object) -> None:
            """Nothing: what is taken in order need not be weighed."""

    scheduler.__class__ = Short
