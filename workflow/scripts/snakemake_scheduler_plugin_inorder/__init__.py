"""A Snakemake scheduler for very many small jobs: it starts ready jobs in the order of their outputs' names."""

import gc
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from snakemake_interface_common.io import AnnotatedStringInterface
from snakemake_interface_scheduler_plugins.base import SchedulerBase
from snakemake_interface_scheduler_plugins.interfaces.jobs import JobSchedulerInterface

Needs = tuple[tuple[str, int], ...]
QueueKey = tuple[bool, Needs]
_AHEAD = 32
"""Jobs of each queue that Snakemake is shown as ready."""
_QUEUED = 4
"""Jobs beyond the number of cores that wait for a worker process, so that none of these waits for Snakemake."""
_MANY = 500
"""New jobs from which on garbage is collected once and then no longer among them: they stay until the end."""


class Scheduler(SchedulerBase):
    """Starts the first ready jobs that fit; neighbouring tiles follow each other and share what is in memory.

    Jobs with equal resources wait in one queue, so that jobs without free resources do not hold up others. Jobs with a
    `run` body wait for a worker process, of which there are as many as cores: some jobs may start and wait there.
    """

    def __post_init__(self) -> None:
        """Set the workflow up for very many jobs."""
        from segchips.pipeline import snakemake_internals as internals  # now that the workflow has said where it is

        self._internals = internals
        self._queues: dict[QueueKey, deque[JobSchedulerInterface]] = {}
        self._queued_jobs: set[JobSchedulerInterface] = set()
        self._seen = 0
        self._extra = _QUEUED if internals.is_usable("scheduling") else 0
        self._is_set_up = not self._extra
        internals.start_jobs_without_limit(self.dag.workflow)

    def dag_updated(self) -> None:
        """Do nothing: jobs that are no longer ready are skipped."""

    def select_jobs(
        self,
        selectable_jobs: Sequence[JobSchedulerInterface],
        remaining_jobs: Sequence[JobSchedulerInterface],
        available_resources: Mapping[str, int | str],
        input_sizes: dict[AnnotatedStringInterface, int],
    ) -> Sequence[JobSchedulerInterface]:
        """Choose the jobs to start now."""
        if not self._is_set_up:
            self._is_set_up = True
            self._internals.let_jobs_queue(self.dag.workflow, _QUEUED)
            if self.dag.workflow.local_exec:
                self._internals.show_next_jobs_only(self.dag.workflow.scheduler, self.next_jobs)
        if not self.dag.workflow.local_exec:
            selectable_jobs = self._without_changing_groups(selectable_jobs)
        free = {name: amount for name, amount in available_resources.items() if isinstance(amount, int)}
        self._enqueue(selectable_jobs)
        chosen: list[JobSchedulerInterface] = []
        for (waits_for_worker, needs), queue in self._queues.items():
            reserved = {"_cores": (1 if waits_for_worker else 1 + _QUEUED) if self._extra else 0}
            while queue and all(amount <= free.get(name, amount) - reserved.get(name, 0) for name, amount in needs):
                job = queue.popleft()
                self._queued_jobs.discard(job)
                if job in selectable_jobs:
                    chosen.append(job)
                    free |= {name: free[name] - amount for name, amount in needs if name in free}
        self._seen -= len(chosen)
        self._remove_earlier_outputs(chosen)
        return chosen

    def _without_changing_groups(self, jobs: Sequence[JobSchedulerInterface]) -> Sequence[JobSchedulerInterface]:
        """The jobs without groups while a checkpoint runs.

        It will change the graph; Snakemake would form all groups again, and submit those that run a second time.
        """
        changing = any(job.is_checkpoint for job in {*jobs, *self.dag.workflow.scheduler.running})
        return [job for job in jobs if not (changing and job.is_group())]

    def _remove_earlier_outputs(self, jobs: Sequence[JobSchedulerInterface]) -> None:
        """Remove outputs of earlier runs of jobs that go to a cluster, so that a file that appears is the job's.

        Only where jobs are submitted from: the tasks of a SLURM array all start with the first job of the array.
        """
        for job in jobs if self.dag.workflow.is_main_process else ():
            if not (self.dag.workflow.local_exec or job.is_local):
                self.dag.workflow.async_run(job.remove_existing_output())

    def next_jobs(self) -> list[JobSchedulerInterface]:
        """The ready jobs that may start next, some of each queue."""
        ready = self.dag.ready_jobs
        if len(ready) != self._seen:
            self._enqueue(ready)
        found = self._first_of_queues()
        if ready and not found:
            self._enqueue(ready)
            found = self._first_of_queues()
        self._seen = len(ready)
        return found

    def _first_of_queues(self) -> list[JobSchedulerInterface]:
        ready = self.dag.ready_jobs
        found: list[JobSchedulerInterface] = []
        free = self.dag.workflow.scheduler.resources.get("requests", 0)
        for (_, needs), queue in self._queues.items():
            while queue and queue[0] not in ready:
                self._queued_jobs.discard(queue.popleft())
            places = free // dict(needs).get("requests", free + 1)  # all that may wait for a network start at once
            found += [job for job in islice(queue, max(_AHEAD, places)) if job in ready]
        return found

    def _enqueue(self, jobs: Iterable[JobSchedulerInterface]) -> None:
        from segchips.grids.squares import order_of

        new = [job for job in jobs if job not in self._queued_jobs]
        for job in sorted(new, key=lambda job: order_of(next(map(str, job.output), ""))):
            asked = job.scheduler_resources.items()
            needs = tuple((name, amount) for name, amount in asked if amount and isinstance(amount, int))
            self._queues.setdefault((not job.is_group() and job.is_run, needs), deque()).append(job)
            self._queued_jobs.add(job)
        if len(new) > _MANY:
            gc.collect()
            gc.freeze()
