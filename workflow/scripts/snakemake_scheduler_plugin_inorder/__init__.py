"""A Snakemake scheduler for very many small jobs: it takes ready jobs by the name of what they make."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from snakemake_interface_common.io import AnnotatedStringInterface
from snakemake_interface_scheduler_plugins.base import SchedulerBase
from snakemake_interface_scheduler_plugins.interfaces.jobs import JobSchedulerInterface

Needs = tuple[tuple[str, int], ...]


class Scheduler(SchedulerBase):
    """Chooses the first ready jobs that fit; neighbours follow each other, so that what was read serves again.

    Jobs of equal needs wait in one line, so that those which no resource is left for do not stand before others.
    """

    def __post_init__(self) -> None:
        """Lift the limit on job starts for local runs.

        It is 100 a second unless set, and while there is one, each round of scheduling wakes another a second later,
        so that the cost of a job grows with the number of jobs already done.
        """
        self._lines: dict[Needs, deque[JobSchedulerInterface]] = {}
        self._waiting: set[JobSchedulerInterface] = set()
        self._ready = False
        workflow = self.dag.workflow
        if workflow.local_exec:
            workflow.scheduling_settings.max_jobs_per_timespan = None

    def dag_updated(self) -> None:
        """Forget the order: a checkpoint has brought new jobs."""
        self._lines.clear()
        self._waiting.clear()

    def select_jobs(
        self,
        selectable_jobs: Sequence[JobSchedulerInterface],
        remaining_jobs: Sequence[JobSchedulerInterface],
        available_resources: Mapping[str, int | str],
        input_sizes: dict[AnnotatedStringInterface, int],
    ) -> Sequence[JobSchedulerInterface]:
        """The jobs to start now."""
        self._make_room()
        free = {name: amount for name, amount in available_resources.items() if isinstance(amount, int)}
        free["_cores"] -= 1
        self._line_up(job for job in selectable_jobs if job not in self._waiting)
        chosen: list[JobSchedulerInterface] = []
        for needs, line in self._lines.items():
            while line and all(amount <= free.get(name, amount) for name, amount in needs):
                job = line.popleft()
                self._waiting.discard(job)
                if job in selectable_jobs:
                    chosen.append(job)
                    free |= {name: free[name] - amount for name, amount in needs if name in free}
        return chosen

    def _line_up(self, jobs: Iterable[JobSchedulerInterface]) -> None:
        for job in sorted(jobs, key=lambda job: next(map(str, job.output), "")):
            asked = job.scheduler_resources.items()
            needs = tuple((name, amount) for name, amount in asked if amount and isinstance(amount, int))
            self._lines.setdefault(needs, deque()).append(job)
            self._waiting.add(job)

    def _make_room(self) -> None:
        """Once: let jobs without threads start while all cores are busy, and as many at a time as may be.

        Snakemake looks for jobs while a core is free, so there is one more, which is never given away; and it has
        five threads for jobs that need none.
        """
        if self._ready:
            return
        self._ready = True
        scheduler = self.dag.workflow.scheduler
        scheduler.resources["_cores"] += 1
        executor = scheduler._local_executor or scheduler._executor
        if "requests" in scheduler.resources and hasattr(executor, "pool"):
            executor.workers += scheduler.resources["requests"]
            executor.pool = ThreadPoolExecutor(executor.workers)
