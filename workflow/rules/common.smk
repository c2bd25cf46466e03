# Needs: the config. Makes: DATASETS, DIGESTS and RUNNER, which the rules use, and their input and params functions.
import atexit
import gc
import sys
import time
from functools import partial
from pathlib import Path

# The main Snakefile may be another one that has this workflow as a module.
sys.path.insert(0, str(Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent / "scripts"))

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from segchips.pipeline.workers import WorkerProcess

# The process that checks the inputs imports what it needs while this one does.
FIRST_WORKER = WorkerProcess("segchips.pipeline.runner") if workflow.is_main_process else None

from segchips.chips.chip_file import chip_made_from
from segchips.errors import CredentialsError, SegchipsError, final_message
from segchips.grids.tile import Tile, chip_key
from segchips.pipeline import snakemake_internals as internals
from segchips.pipeline import sources
from segchips.pipeline.code_versions import script_version
from segchips.pipeline.console import shorten_console
from segchips.pipeline.digests import Digests
from segchips.pipeline.exclusive_results import remove_partial_files
from segchips.pipeline.execution import check_config_files, check_storage, supervise
from segchips.pipeline.made_from import glance_made_from, read_made_from, write_made_from
from segchips.pipeline.portions import Portions
from segchips.pipeline.progress import network_summary, show_progress
from segchips.pipeline.result_records import OwnRecord, checked_digest, marked_digest
from segchips.pipeline.rule_functions import with_parameters
from segchips.pipeline.runner import JobRunner
from segchips.pipeline.steps import (
    audit,
    conflicts,
    descriptors,
    images,
    labels,
    ledger,
    plan,
    prune,
    scenes,
    splits,
    tfrecords,
    tiles,
)
from segchips.pipeline.steps import report as report_step
from segchips.records.dataset_files import missing_shards

CORES = workflow.global_resources["_cores"].value or 1  # `snakemake --report` has none
# A submitted job has a share of the places of the whole run for jobs that wait for a network.
NETWORK_PLACES = internals.given_resource(workflow, "requests") if workflow.remote_exec else None
IS_RUN = workflow.is_main_process and not workflow.output_settings.dryrun
STARTED = time.time()

# The job graph only grows, and ends with the process: collecting garbage in it takes a third of a run without jobs.
gc.set_threshold(100_000, 20, 20)
atexit.register(gc.freeze)

internals.use_private_parts()
try:
    check_storage(workflow)
    check_config_files(workflow)
    LOGS = internals.own_path(workflow, "logs")
    moved = config | {"results": internals.own_path(workflow, str(config.get("results", "results")))}
    cores = CORES if workflow.is_main_process or workflow.remote_exec else 0
    RUNNER = JobRunner(moved, cores, LOGS, NETWORK_PLACES, FIRST_WORKER)
    if IS_RUN:
        RUNNER.start_ahead()
    if workflow.is_main_process:
        RUNNER.check_inputs()
except SegchipsError as error:
    raise SystemExit(final_message(error))

DATASETS, DIGESTS = RUNNER.datasets, Digests(RUNNER.datasets)
RECORDS = internals.SnakemakeRecords(workflow)
PORTIONS = Portions(DATASETS, RUNNER.lacks_wanted_scene)
CONFIG = DATASETS.config
RESULTS = str(CONFIG.results)
DATASET = f"{RESULTS}/{{dataset}}"
# Where a lock only has to exist, it is named: as checkpoints, all would enter the graph one after another.
MANIFEST, LABEL_LOCK = (f"{DATASET}/{lock}.parquet" for lock in ("tiles", "labels"))

workflow.register_resource("requests", RUNNER.network_places)
supervise(
    workflow, DATASETS, PORTIONS, partial(images.clear_exclusion_markers, DATASETS), lambda success: end_run(success)
)
PROGRESS = show_progress(workflow, logger, RUNNER.traffic, lambda: tiles_in_portions()) if IS_RUN else None
if workflow.is_main_process:
    shorten_console(workflow.logger_manager, logger)


def part_folder(part):
    """What stands before a tile's name in the path of its chips: the folder of a layer or target, if it has a name."""
    return f"{part}/" if part else ""


def parts_pattern(parts):
    """A pattern of the folders of these parts of all datasets."""
    names = {name for dataset in CONFIG.datasets for name in parts(dataset)}
    return "|".join(part_folder(name) or "(?:)" for name in sorted(names, reverse=True)) or "none"


wildcard_constraints:
    dataset="|".join(CONFIG.datasets) or "none",
    conversion="|".join(CONFIG.conversions) or "none",
    # Layers and targets stand before the tile, as a folder of their own where they have a name.
    layer=parts_pattern(DATASETS.layers),
    target=parts_pattern(DATASETS.targets),
    tile=r"[0-9][0-9A-Zs.#+-]*",
    portion=r"[0-9][0-9A-Zs.#+-]*",


def layers_where(wanted):
    """A pattern of the names of datasets, in paths of chips of the layers whose config is as wanted."""
    layers = [
        f"{name}(?=/[a-z]+/{part_folder(layer)}[0-9])"
        for name, dataset in CONFIG.datasets.items()
        for layer, imagery in dataset.imagery.layers.items()
        if wanted(imagery)
    ]
    return "|".join(layers) or "none"


# Files


def shard_file(kind):
    """The pattern of the files of one kind that shards have."""
    return f"{DATASET}/tfrecords/{{dataset}}-{{split}}.{kind}-{{shard}}-of-{{shards}}"


SHARD_FILES = [shard_file("tfrecord"), shard_file("index") + ".csv", shard_file("statistics") + ".npz"]
INFO_FILES = [f"{DATASET}/tfrecords/{name}.json" for name in ("features", "dataset_info", "metadata", "statistics")]
DESCRIPTOR_FILES = [
    f"{DATASET}/{name}"
    for name in (
        "README.md",
        "croissant.json",
        "map.txt",
        "stats.txt",
        "esri_model_definition.emd",
        "esri_accumulated_stats.json",
        "stac/collection.json",
    )
]
CONVERSION_FILES = [
    f"{RESULTS}/{{conversion}}/{name}"
    for name in (
        "ledger.csv",
        "audit.json",
        "report/index.html",
        "README.md",
        "croissant.json",
        "stac/collection.json",
        "tfrecords/features.json",
        "tfrecords/dataset_info.json",
        "tfrecords/metadata.json",
        "tfrecords/statistics.json",
    )
]


# Input functions


def outside(find):
    """An input function of files from outside: their content is in the digests, so only those of the sample age."""

    def answer(wildcards):
        paths = find(DATASETS[wildcards.dataset])
        return [path if sources.is_sample(path) else ancient(path) for path in paths]

    return answer


@with_parameters("wildcards")
def scene_lock(wildcards):
    return ancient(checkpoints.scenes.get(dataset=wildcards.dataset).output[0])


@with_parameters("wildcards")
def label_lock(wildcards):
    return ancient(checkpoints.label_lock.get(dataset=wildcards.dataset).output[0])


def assignments(wildcards):
    return ancient(checkpoints.splits.get(dataset=wildcards.dataset).output[0])


def labels_that_decide(wildcards):
    """The label lock, where labels decide which tiles are made, or in which split."""
    return [ancient(LABEL_LOCK.format(**wildcards))] if DATASETS.needs_labels(wildcards.dataset) else []


def label_lock_sources(wildcards):
    """The label layers, or the label lock of the dataset that shares its labels with this one."""
    owner = DATASETS.label_owner(wildcards.dataset)
    if owner == wildcards.dataset:
        return outside(sources.label_sources)(wildcards)
    return [LABEL_LOCK.format(dataset=owner)]


def after(*locks):
    """A decorator of functions of the wildcards that are called once the files of these checkpoints are there."""

    def decorate(answer):
        @with_parameters("wildcards")
        def answer_after(wildcards):
            for lock in locks:
                lock(wildcards)
            return answer(wildcards)

        return answer_after

    return decorate


# Before all locks are there, chips would enter the graph to no purpose.
after_all_locks = after(label_lock, scene_lock, assignments)


def shard_tiles(wildcards):
    return DATASETS.shard_tiles(wildcards.dataset, wildcards.split, int(wildcards.shard))


def sample_report(_):
    """The report of the sample, whose files the notebooks read where the shipped config puts them."""
    if RESULTS != "results" or "sample" not in CONFIG.datasets:
        raise WorkflowError(
            "notebooks: they show the dataset 'sample' of config/config.yaml as shipped; run them with it"
        )
    return "results/sample/report/index.html"


# Groups and resources functions


@with_parameters("wildcards")
def image_requests(wildcards):
    return RUNNER.places(wildcards.dataset, part_of(wildcards), not (workflow.local_exec or workflow.remote_exec))


@with_parameters("wildcards")
def image_threads(wildcards):
    return 0 if image_requests(wildcards) else 1


def group_on_request(name):
    """A group function: jobs form groups where `group-components` gives their size, and may form arrays elsewhere."""
    return with_parameters("wildcards")(
        lambda wildcards: name if name in workflow.group_settings.group_components else None
    )


def doubling(amount):
    """A resources function: twice as much with each attempt, for a cluster ends jobs that need more than they asked for."""
    return with_parameters("wildcards", "attempt")(lambda wildcards, attempt: amount * 2 ** (attempt - 1))


# Params functions: rerun digests, compared with what the results were made from


def digest_of(rule, outputs, ask, *locks):
    """A params function that returns the digest of a job; `outputs` are the patterns of all of its files."""

    @after(*locks)
    def answer(wildcards):
        digest = ask(wildcards)
        files = [pattern.format(**wildcards) for pattern in outputs]
        own = OwnRecord(partial(read_made_from, files), partial(glance_made_from, files))
        return compared(digest, rule, files, own)

    return answer


def part_of(wildcards):
    """The name of the layer or target of a chip."""
    return (wildcards.get("layer") or wildcards.get("target") or "").rstrip("/")


def digest_of_chip(rule, kinds, ask, lock):
    """As `digest_of`, for chips, which hold their digest."""

    @after(lock)
    def answer(wildcards):
        part = part_of(wildcards)
        digest = ask(wildcards.dataset, part, wildcards.tile)
        key = Tile.from_name(wildcards.tile).key
        files = [DATASETS.chips(wildcards.dataset, kind, part, [key])[0] for kind in kinds]

        def made_from():
            if lacks := lacking():
                return lacks
            digest, *others = {chip_made_from(Path(file), key) for file in files}
            return None if others else digest

        def lacking():
            return lacking_scene(wildcards.dataset, part, wildcards.tile, files[0]) if kinds[0] == "images" else None

        return compared(digest, rule, files, OwnRecord(made_from, lacking))

    return answer


def lacking_scene(dataset, layer, tile, chip):
    """What to compare with the digest of a chip that lacks a scene which it should have; None for other chips."""
    if not images.may_lack_scenes(DATASETS, dataset, layer, tile):
        return None
    lacks = DATASETS.read_once("lacks", Path(chip), lambda _: RUNNER.lacks_wanted_scene(dataset, layer, tile, chip))
    return "made without a scene that it should have" if lacks else None


def compared(digest, rule, files, own):
    if not workflow.is_main_process:
        return digest
    if internals.is_usable("result records"):
        return checked_digest(digest, rule, files, RECORDS, own, logger.warning)
    return marked_digest(digest, files, own)


def shard_digest(wildcards):
    digest = DIGESTS.shard(wildcards.dataset, wildcards.split, int(wildcards.shard))
    return digest + PORTIONS.note_of_shard(wildcards.dataset, shard_tiles(wildcards))


def conversion_digest(wildcards):
    """A params function: the digest of a conversion, whose results are not those that were made if shards are missing."""
    files = [pattern.format(**wildcards) for pattern in CONVERSION_FILES]
    shards = Path(files[-1]).parent
    own = OwnRecord(
        lambda: None if missing_shards(shards) else read_made_from(files),
        lambda: "shards are missing" if missing_shards(shards) else glance_made_from(files),
    )
    return compared(DIGESTS.conversion(wildcards.conversion), "convert", files, own)


# Bodies of rules, and ends of runs


def run_step(body, wildcards, log, output, params, *arguments):
    """Run the body of a step with the dataset's name and the arguments; returns the error for the rule to raise, or None.

    What the outputs were made from is recorded beside them; chips hold it.
    """
    name, tile, part = wildcards.dataset, wildcards.get("tile"), part_of(wildcards)
    job = f"tile {chip_key(tile)}" if tile else f"{name}: {body.__module__.rpartition('.')[2]}"
    job = f"{part}: {job}" if part else job
    finds_pixels = body is tiles.make_tiles and CONFIG.datasets[name].tiles.grid == "imagery"
    asks = body in (scenes.make_scenes, images.make_image) or finds_pixels
    run = RUNNER.run
    if asks and DATASETS.asks_platform(name, part if tile else None):
        run = RUNNER.run_on_platform
    elif body is images.make_image and DATASETS.reads_http(name, part):
        run = RUNNER.run_on_remote_files
    error = run(job, log[0], body, name, *arguments)
    if error is None and not tile:
        write_made_from(params.digest, [str(path) for path in output])
    elif isinstance(error, CredentialsError):
        internals.stop_scheduling(workflow)  # all jobs would fail alike
    return error


def print_plan(log):
    """Make the plan, and print it; returns the error for the rule to raise, or None."""
    error = RUNNER.run("plan", log, plan.make_plan, CORES)
    if error is None:
        print(Path(log).read_text(), end="", flush=True)
    return error


def end_run(success):
    """What Snakemake's `onsuccess` and `onerror` would do, which it ignores in a module."""
    RUNNER.times.save()
    if success:
        remove_partial_files(CONFIG.results)
        show_reports()
    else:
        for dataset in CONFIG.datasets:
            ledger.write_unfinished_ledger(DATASETS, dataset)
    images.clear_exclusion_markers(DATASETS)


def show_reports():
    """Name each report that this run made, and sum up what it has fetched."""
    for dataset in (*CONFIG.datasets, *CONFIG.conversions):
        page = DATASETS.folder(dataset) / "report" / "index.html"
        if page.exists() and page.stat().st_mtime >= STARTED:
            logger.warning(f"{dataset}: look at {page}")
    if traffic := RUNNER.traffic():
        logger.info(network_summary(traffic))
