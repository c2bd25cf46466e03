# Needs: DATASETS, DIGESTS and RUNNER. Makes: the files of portions, and the functions that their rules and those of shards use.
from functools import cache

from segchips.pipeline.execution import is_stopping
from segchips.pipeline.portion_jobs import Control, make_portion
from segchips.pipeline.portion_options import describe_portions
from segchips.pipeline.portions import Portion
from segchips.pipeline.steps import portions

# What stands for finished portions is hidden from those who read the dataset.
IMAGE_PORTION = f"{DATASET}/.portions/images/{{layer}}{{portion}}.json"
LABEL_PORTION = f"{DATASET}/.portions/labels/{{target}}{{portion}}.json"
ALL_PORTIONS = f"{DATASET}/.portions/all.json"


# Input functions


def chips_or_portions(find):
    """An input function of chips of a shard: they, or what stands for all portions of the dataset."""

    @after_all_locks
    def answer(wildcards):
        if PORTIONS.are_used(wildcards.dataset):
            return checkpoints.portions.get(dataset=wildcards.dataset).output[0]
        return find(wildcards)

    return answer


shard_images = chips_or_portions(lambda wildcards: DATASETS.image_chips(wildcards.dataset, shard_tiles(wildcards)))
shard_labels = chips_or_portions(lambda wildcards: DATASETS.label_chips(wildcards.dataset, shard_tiles(wildcards)))


def example_chips(chips):
    """An input function of the chips that show what all chips of the dataset are like."""
    return chips_or_portions(lambda each: chips(each.dataset, DATASETS.tiles_with_chips(each.dataset)[:1]))


@after_all_locks
def portion_records(wildcards):
    if workflow.output_settings.dryrun:
        show_portions(wildcards.dataset)
    return [PORTIONS.record(portion) for portion in PORTIONS.all(wildcards.dataset)]


@cache
def show_portions(dataset):
    """Name the chips that a run would make or look at."""
    for line in describe_portions(PORTIONS, dataset):
        logger.warning(line)


def datasets_in_portions():
    """The datasets that are known to be made in portions."""
    return [name for name in CONFIG.datasets if PORTIONS.are_known_to_be_used(name)]


# Resources functions


@with_parameters("wildcards")
def all_cores(wildcards):
    return workflow.global_resources["_cores"].value or 1


@with_parameters("wildcards")
def portion_requests(wildcards):
    return RUNNER.places_of_many(wildcards.dataset, part_of(wildcards))


@with_parameters("wildcards")
def portion_threads(wildcards):
    """A job that is submitted has cores of its own; here, one that waits for a network leaves them to others."""
    return 0 if workflow.local_exec and portion_requests(wildcards) else all_cores(wildcards)


@with_parameters("wildcards", "attempt")
def portion_minutes(wildcards, attempt):
    return (10 + PORTIONS.count(wildcards.dataset, wildcards.portion) // 25) * 2 ** (attempt - 1)


@with_parameters("wildcards", "attempt")
def portion_megabytes(wildcards, attempt):
    return 1000 * (1 + all_cores(wildcards)) * 2 ** (attempt - 1)


# Params functions, and bodies of rules


def portion_of(kind, wildcards):
    return Portion(wildcards.dataset, kind, part_of(wildcards), wildcards.portion)


def digest_of_portion(rule, kind, pattern, *locks):
    """As `digest_of`, for portions: they are up to date while all of their chips are."""

    @after(*locks)
    def answer(wildcards):
        portion = portion_of(kind, wildcards)
        digest = PORTIONS.digest(portion)

        def made_from():
            return PORTIONS.describe(portion) or digest

        return compared(digest, rule, [pattern.format(**wildcards)], OwnRecord(made_from, made_from))

    return answer


def run_portion(kind, wildcards, log, output):
    """Make the chips of a portion; returns the error for the rule to raise, or None."""
    side_by_side, where = CORES, (wildcards.dataset, part_of(wildcards))
    if kind == "images" and (places := RUNNER.places_of_many(*where)):
        side_by_side = (NETWORK_PLACES or places) // RUNNER.places(*where, False)
    control = Control(
        side_by_side,
        lambda: is_stopping(workflow),
        workflow.execution_settings.keep_going,
        PROGRESS.count if PROGRESS else lambda *_: None,
    )
    error = make_portion(RUNNER, PORTIONS, portion_of(kind, wildcards), output[0], log[0], control)
    if isinstance(error, CredentialsError):
        internals.stop_scheduling(workflow)
    return error


def tiles_in_portions():
    """How many tiles the portions have that this run makes, by kind."""
    counts = {"images": 0, "labels": 0}
    for job in list(workflow.dag.needrun_jobs(exclude_finished=False)):
        if "portion" in job.wildcards_dict:
            kind = "images" if "layer" in job.wildcards_dict else "labels"
            counts[kind] += PORTIONS.count(job.wildcards.dataset, job.wildcards.portion)
    return counts
