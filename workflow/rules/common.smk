# Needs: the config. Makes: CONFIG, the typed config, and the functions that rules use for inputs and params.
import atexit
import gc
import os
import sys
from pathlib import Path

# Relative to this file: the main Snakefile may be another one that uses this workflow as a module.
sys.path.insert(0, str(Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent / "scripts"))

from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile
from snakemake.logging import logger

from segchips.pipeline.code_versions import module_version, script_version
from segchips.errors import CredentialsError, SegchipsError
from segchips.grids.tile import Tile
from segchips.pipeline.job import failed
from segchips.pipeline.patches import patch
from segchips.pipeline.progress import Progress
from segchips.pipeline.exclusive_results import remove_partial_files
from segchips.pipeline.changed_results import chip_digest_or_changed, shard_digest_or_missing
from segchips.pipeline.workflow import State

CORES = workflow.global_resources["_cores"].value or 1  # unset for `snakemake --report`

# The job graph only grows until the process ends. Garbage collection of it takes a third of a run that has nothing to do.
gc.set_threshold(100_000, 20, 20)
atexit.register(gc.freeze)

try:
    STATE = State(
        config,
        workers=CORES if workflow.is_main_process or workflow.remote_exec else 0,
    )
    if workflow.is_main_process:
        if not workflow.output_settings.dryrun:
            STATE.reserve()
        STATE.check_inputs()
except SegchipsError as error:
    raise SystemExit(failed(error))

patch()


def start_no_more():
    """Let no further job start once one has failed."""
    workflow.scheduler.keepgoing = False


CONFIG = STATE.config
workflow.register_resource("requests", STATE.jobs_at_once)
if workflow.is_main_process and not workflow.output_settings.dryrun:
    workflow.execute = STATE.alone(workflow.execute, start_no_more)
    Progress(workflow).start()
RESULTS = str(CONFIG.results)
# Rules that only need a lock to exist name its path. As checkpoints, the locks would enter the graph one after another.
MANIFEST, LABEL_LOCK = (f"{RESULTS}/{{dataset}}/{lock}.parquet" for lock in ("tiles", "labels"))


wildcard_constraints:
    dataset="|".join(CONFIG.datasets) or "none",
    conversion="|".join(CONFIG.conversions) or "none",
    tile=r"[0-9][0-9.#-]*",


def of_shards(kind):
    """The pattern of the files of one kind that shards have."""
    return f"{RESULTS}/{{dataset}}/tfrecords/{{dataset}}-{{split}}.{kind}-{{shard}}-of-{{shards}}"


def sources(ask):
    """Files from outside, whose content counts (it is in the digests) and not their age; those of the sample age as usual."""

    def answer(wildcards):
        return [path if STATE.is_sample(path) else ancient(path) for path in ask(wildcards.dataset)]

    return answer


def scene_lock(wildcards):
    return ancient(checkpoints.scenes.get(dataset=wildcards.dataset).output[0])


def label_lock(wildcards):
    return ancient(checkpoints.label_lock.get(dataset=wildcards.dataset).output[0])


def placing(wildcards):
    return ancient(checkpoints.splits.get(dataset=wildcards.dataset).output[0])


def labels_to_see(wildcards):
    """The label lock, where labels have a say in the splits."""
    return [ancient(LABEL_LOCK.format(**wildcards))] if STATE.needs_labels(wildcards.dataset) else []


def after(lock, ask):
    """A function of the wildcards that asks STATE once the checkpoint's file is there."""

    def answer(wildcards):
        lock(wildcards)
        return ask(wildcards)

    return answer


def planned(ask):
    """A function of the wildcards that asks STATE once all locks are there; before, chips would enter the graph in vain."""
    return after(placing, after(scene_lock, after(label_lock, ask)))


def recorded(path):
    """What Snakemake keeps of a file that it has made."""
    return workflow.persistence.metadata(IOFile(str(path))) if workflow.is_main_process else None


def of_chip(kind, lock, ask):
    """A function of the wildcards that asks STATE for a chip's digest, which changes where the chip was tampered with."""

    def answer(wildcards):
        digest = ask(wildcards.dataset, wildcards.tile)
        chip = STATE.folder(wildcards.dataset) / kind / f"{wildcards.tile}.tif"
        return chip_digest_or_changed(digest, chip, Tile.from_name(wildcards.tile), recorded(chip))

    return after(lock, answer)


def shard_tiles(wildcards):
    return STATE.shard_tiles(wildcards.dataset, wildcards.split, int(wildcards.shard))


def label_sources(wildcards):
    """The layers, or the label lock of the dataset that shares its labels with this one."""
    owner = STATE.label_owner(wildcards.dataset)
    if owner == wildcards.dataset:
        return sources(STATE.label_sources)(wildcards)
    return [LABEL_LOCK.format(dataset=owner)]


def of_shard(wildcards):
    """The shard's digest, which changes where a chip of it is missing."""
    digest = STATE.shard_digest(wildcards.dataset, wildcards.split, int(wildcards.shard))
    keys = shard_tiles(wildcards)
    kinds = [*STATE.image_kinds(wildcards.dataset), "labels"]
    chips = [chip for kind in kinds for chip in STATE.chips(wildcards.dataset, kind, keys)]
    shard = Path(of_shards("tfrecord").format(**wildcards))
    return shard_digest_or_missing(digest, shard, chips, recorded(shard))


def sample_dataset(_):
    """What the notebooks show; they read it where the shipped config puts it."""
    if RESULTS != "results" or "sample" not in CONFIG.datasets:
        raise WorkflowError(
            "notebooks: they show the dataset 'sample' of config/config.yaml as shipped; run them with it"
        )
    return "results/sample/report/index.html"


def stop_without_login(error):
    """Let no further job start where nobody is logged in: all would fail alike."""
    if isinstance(error, CredentialsError):
        start_no_more()


def show_reports():
    """Say where to look, where there is something to look at."""
    for dataset in CONFIG.datasets:
        page = STATE.folder(dataset) / "report" / "index.html"
        if page.exists():
            logger.warning(f"{dataset}: look at {page}")


def write_unfinished_ledgers():
    for dataset in CONFIG.datasets:
        STATE.write_unfinished_ledger(dataset)
