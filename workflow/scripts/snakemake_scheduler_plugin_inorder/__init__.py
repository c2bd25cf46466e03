"""A Snakemake scheduler for very many small jobs: it takes ready jobs by the name of what they make."""

from collections import deque
from collections.abc import Mapping, Sequence

from snakemake_interface_common.io import AnnotatedStringInterface
from snakemake_interface_scheduler_plugins.base import SchedulerBase
from snakemake_interface_scheduler_plugins.interfaces.jobs import JobSchedulerInterface


class Scheduler(SchedulerBase):
    """Chooses the first ready jobs that fit; neighbours follow each other, so that what was read serves again."""

    def __post_init__(self) -> None:
        """Lift the limit on job starts for local runs.

        It is 100 a second unless set, and while there is one, each round of scheduling wakes another a second later,
        so that the cost of a job grows with the number of jobs already done.
        """
        self._queue: deque[JobSchedulerInterface] = deque()
        workflow = self.dag.workflow
        if workflow.local_exec:
            workflow.scheduling_settings.max_jobs_per_timespan = None

    def dag_updated(self) -> None:
        """Forget the order: a checkpoint has brought new jobs."""
        self._queue.clear()

    def select_jobs(
        self,
        selectable_jobs: Sequence[JobSchedulerInterface],
        remaining_jobs: Sequence[JobSchedulerInterface],
        available_resources: Mapping[str, int | str],
        input_sizes: dict[AnnotatedStringInterface, int],
    ) -> Sequence[JobSchedulerInterface]:
        """The jobs to start now."""
        free = {name: amount for name, amount in available_resources.items() if isinstance(amount, int)}
        if not self._queue:
            self._queue.extend(sorted(selectable_jobs, key=lambda job: next(map(str, job.output), "")))
        chosen: list[JobSchedulerInterface] = []
        waiting: list[JobSchedulerInterface] = []
        while self._queue and free["_cores"] > 0:
            job = self._queue.popleft()
            if job not in selectable_jobs:
                continue
            needs = job.scheduler_resources
            if all(int(needs.get(name, 0)) <= amount for name, amount in free.items()):
                chosen.append(job)
                free = {name: amount - int(needs.get(name, 0)) for name, amount in free.items()}
            else:
                waiting.append(job)
        self._queue.extendleft(reversed(waiting))
        return chosen
