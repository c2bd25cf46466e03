"""A Snakemake scheduler that takes ready jobs as they come until the cores are used up, however many are ready."""

from collections.abc import Mapping, Sequence

from snakemake_interface_common.io import AnnotatedStringInterface
from snakemake_interface_scheduler_plugins.base import SchedulerBase
from snakemake_interface_scheduler_plugins.interfaces.jobs import JobSchedulerInterface


class Scheduler(SchedulerBase):
    """Chooses the first jobs that fit; every job needs a core, so the search ends with the free cores."""

    def __post_init__(self) -> None:
        """Lift the limit on job starts for local runs.

        It is 100 a second unless set, and while there is one, each round of scheduling wakes another a second later,
        so that the cost of a job grows with the number of jobs already done.
        """
        workflow = self.dag.workflow
        if workflow.local_exec:
            workflow.scheduling_settings.max_jobs_per_timespan = None

    def select_jobs(
        self,
        selectable_jobs: Sequence[JobSchedulerInterface],
        remaining_jobs: Sequence[JobSchedulerInterface],
        available_resources: Mapping[str, int | str],
        input_sizes: dict[AnnotatedStringInterface, int],
    ) -> Sequence[JobSchedulerInterface]:
        """The jobs to start now."""
        free = {name: amount for name, amount in available_resources.items() if isinstance(amount, int)}
        chosen = []
        for job in selectable_jobs:
            if free["_cores"] <= 0:
                break
            needs = job.scheduler_resources
            if all(int(needs.get(name, 0)) <= amount for name, amount in free.items()):
                chosen.append(job)
                free = {name: amount - int(needs.get(name, 0)) for name, amount in free.items()}
        return chosen
