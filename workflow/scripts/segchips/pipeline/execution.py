"""What a run does beside its jobs: it refuses what is not supported, holds the results, and sets what makes it fast."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError
from snakemake.settings.enums import RerunTrigger
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
from snakemake_interface_executor_plugins.settings import SharedFSUsage
from snakemake_interface_scheduler_plugins.registry import SchedulerPluginRegistry

from segchips.config.duplicate_keys import check_duplicate_keys
from segchips.errors import InputError, SegchipsError, final_message
from segchips.pipeline import snakemake_internals as internals
from segchips.pipeline.checks import check_writable
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.deletion import supervise_deletion
from segchips.pipeline.exclusive_results import exclusive_results
from segchips.pipeline.portion_options import touch_portions, translate_options
from segchips.pipeline.portions import Portions
from segchips.pipeline.progress import tile_rules

Execute = Callable[..., bool]
Options = dict[str, Any]
_SCHEDULER = "inorder"
_CONTENT_TRIGGERS = {RerunTrigger.MTIME, RerunTrigger.PARAMS, RerunTrigger.INPUT}
_LOCKS = ("scenes.parquet", "labels.parquet", "splits.parquet")
_INTERRUPTED = 130
_interrupted = threading.Event()
_GROUP_CORES = 4


def check_config_files(workflow: Any) -> None:
    """Check what Snakemake no longer shows of the config files that it has read; ConfigError names a key."""
    for path in workflow.configfiles if workflow.is_main_process else ():
        check_duplicate_keys(Path(path))


def supervise(
    workflow: Any,
    datasets: Datasets,
    portions: Portions,
    prepare: Callable[[], None],
    finish: Callable[[bool], None],
) -> None:
    """Have a run of the workflow prepared and ended, and its jobs run only while no other run works in the results.

    Args:
        workflow: Snakemake's workflow.
        datasets: The datasets that the run makes.
        portions: Their portions.
        prepare: Called once the results are held, before the first job.
        finish: Called after the last job, with whether all jobs succeeded.
    """
    # Submitted jobs name the results, so that a later run can cancel them, and the Python that submits them.
    os.environ["SEGCHIPS_RESULTS"] = str(datasets.config.results.absolute())
    os.environ["SEGCHIPS_PYTHON"] = sys.executable
    if workflow.is_main_process:
        name_rule = workflow.modifier.modify_rulename  # that of a module, while its file is read
        internals.wrap_execution(workflow, partial(_execute, workflow, datasets, portions, name_rule, prepare, finish))
        supervise_deletion(workflow, datasets)
    elif workflow.remote_exec:
        internals.wrap_execution(workflow, partial(_execute_job, workflow))


def is_stopping(workflow: Any) -> bool:
    """Whether a run is about to end: it was told to, or a job has failed and no other is to start."""
    return _interrupted.is_set() or internals.is_stopping(workflow)


def _note_interrupt(number: int, frame: Any) -> None:
    _interrupted.set()
    signal.default_int_handler(number, frame)


def _execute(
    workflow: Any,
    datasets: Datasets,
    portions: Portions,
    name_rule: Callable[[str], str],
    prepare: Callable[[], None],
    finish: Callable[[bool], None],
    execute: Execute,
    options: Options,
) -> bool:
    results, mode = datasets.config.results, options["executor_plugin"].common_settings
    try:
        check_storage(workflow)
        _check_locks(workflow, datasets, mode.touch_exec)
        _use_settings(workflow, options)
        translate_options(workflow, datasets, portions, name_rule)
        if mode.dryrun_exec:
            return _execute_dry(execute, options)
        check_writable(results)
        if not internals.is_usable("execution"):
            return _execute_to_end(workflow, finish, execute, options)
        logging.raiseExceptions = False  # logger plugins show logs of failed jobs, which may not exist
        with exclusive_results(results, lambda: internals.stop_scheduling(workflow)) as is_held:
            if is_held:
                internals.remove_stale_locks(results)
            prepare()
            if mode.touch_exec:
                touch_portions(datasets, portions)
            signal.signal(signal.SIGINT, _note_interrupt)
            return _execute_to_end(workflow, finish, execute, options)
    except SegchipsError as error:
        raise SystemExit(final_message(error)) from error
    except KeyboardInterrupt:  # the second one: Snakemake stops at the first
        print("Stopped at once; the same command continues the run", file=sys.stderr, flush=True)
        os._exit(_INTERRUPTED)  # files are complete or absent, and locks end with the process


def _execute_dry(execute: Execute, options: Options) -> bool:
    try:
        return execute(**options)
    except PermissionError as error:
        raise InputError(
            f"'{error.filename}' cannot be written, where Snakemake keeps its records of a dry run, too; "
            "name a folder that you can write to with --directory"
        ) from error


def _execute_to_end(workflow: Any, finish: Callable[[bool], None], execute: Execute, options: Options) -> bool:
    try:
        result = execute(**options)
    except WorkflowError:
        if internals.has_begun(workflow):
            finish(False)
        raise
    finish(True)
    return result


def _execute_job(workflow: Any, execute: Execute, options: Options) -> bool:
    """Execute a submitted job: all of its rules in this process and its workers."""
    workflow.execution_settings.use_threads = True
    workflow.execution_settings.keep_going = True
    settings = options["executor_settings"]
    if options["executor_plugin"].name == "slurm-jobstep" and not getattr(settings, "array_execs", None):
        # It starts a Snakemake process for each member of a group. A task of an array needs it to find its job.
        options |= {"executor_plugin": ExecutorPluginRegistry().get_plugin("local"), "executor_settings": None}
    return execute(**options)


def _use_settings(workflow: Any, options: Options) -> None:
    """Set what makes many small jobs cheap and reruns exact, where the user has not chosen otherwise."""
    workflow.execution_settings.use_threads = True  # bodies of jobs run in worker processes of their own
    workflow.dag_settings.force_incomplete = True  # files are complete or absent: what a killed run began is made again
    if workflow.dag_settings.rerun_triggers == RerunTrigger.all():
        workflow.dag_settings.rerun_triggers = frozenset(_CONTENT_TRIGGERS)  # params contain digests of the code
    if not options["executor_plugin"].common_settings.local_exec and workflow.resource_settings.cores is None:
        # Without --cores, a group would ask for a core for each of its jobs.
        workflow.resource_settings.cores = _GROUP_CORES
        workflow.register_resource("_cores", _GROUP_CORES)
    chosen = any(argument.split("=")[0] == "--scheduler" for argument in sys.argv)
    default = not chosen and workflow.scheduling_settings.scheduler == "ilp"
    plugins = SchedulerPluginRegistry()
    if default and internals.is_usable("scheduling") and _SCHEDULER in plugins.plugins:
        options |= {"scheduler_plugin": plugins.get_plugin(_SCHEDULER), "scheduler_settings": None}
        workflow.scheduling_settings.scheduler = _SCHEDULER


def check_storage(workflow: Any) -> None:
    """Check that jobs find all files in place: their bodies open results, catalogues and labels by themselves.

    Raises:
        InputError: Files would have to be staged.
    """
    storage = workflow.storage_settings
    advice = "run on a file system that all jobs share, and copy finished datasets with `snakemake publish`"
    if storage.default_storage_provider:
        raise InputError(
            f"--default-storage-provider {storage.default_storage_provider}: not supported, because the jobs of a tile "
            f"are too many and too small to stage their files; {advice}"
        )
    needed = {SharedFSUsage.INPUT_OUTPUT, SharedFSUsage.PERSISTENCE, SharedFSUsage.SOURCES}
    missing = needed - set(storage.shared_fs_usage)
    if missing:
        names = ", ".join(sorted(usage.name.lower().replace("_", "-") for usage in missing))
        raise InputError(
            f"executor or --shared-fs-usage: jobs without a shared file system ({names}) are not supported, such as "
            f"those of a cloud batch service; {advice}"
        )


def _check_locks(workflow: Any, datasets: Datasets, touches: bool) -> None:
    """InputError where `--touch` or `--until` need locks of the datasets that do not exist yet, or are damaged."""
    missing = [
        f"{datasets.folder(name) / lock}"
        for name in datasets.config.datasets
        for lock in _LOCKS
        if not datasets.has_result(name, lock)
    ]
    until = [name for name in workflow.dag_settings.until if name in tile_rules(workflow)]
    if touches and missing:
        raise InputError(f"--touch: there is no {missing[0]} to mark as up to date; run without --touch first")
    for name in datasets.config.datasets if touches else ():
        for read in (datasets.keys, datasets.scene_locks, datasets.label_locks, datasets.assignments):
            read(name)
    if until and missing:
        targets = " ".join(missing)
        raise InputError(
            f"--until {until[0]}: its jobs are known once there is {missing[0]}; make these files first: "
            f"snakemake --cores all {targets}"
        )
