"""Step `tfrecords`: the shards, and the files that describe them."""

from pathlib import Path

from segchips.errors import InputError
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.digests import Digests
from segchips.pipeline.made_from import forget_made_from
from segchips.pipeline.steps.images import exclusion_reasons
from segchips.records.file_names import counts_path, provenance_path, shard_path
from segchips.reports.ledger import is_exclusion_marker


def make_shard(datasets: Datasets, name: str, split: str, shard: str, path: str, index: str) -> list[str]:
    """Write a shard to `path` with its index and pixel counts.

    Records of chips that are the same as in the previous shard are copied.

    Args:
        datasets: The datasets.
        name: The dataset's name.
        split: The split of the shard.
        shard: Its number in the split, as text.
        path: The shard.
        index: Its index.
    """
    from segchips.records.shard_writer import write_shard

    dataset, folder = datasets[name], datasets.folder(name)
    keys = datasets.shard_tiles(name, split, int(shard))
    made, reused = write_shard(
        Path(path),
        Path(index),
        keys,
        folder / "images",
        folder / "labels",
        split,
        dataset.tfrecords,
        dataset.imagery.min_valid,
        exclusion_reasons(datasets, name, keys),
        dataset.labels.unknown,
        Digests(datasets).record_recipe(name, split),
    )
    return [f"{made} records made, {reused} copied from the previous shard"]


def make_dataset_info(datasets: Datasets, name: str) -> list[str]:
    """Write the files that describe the shards, and remove shards of earlier numbers of shards or splits."""
    from segchips.records.dataset_description import describe_dataset

    dataset, folder = datasets[name], datasets.folder(name) / "tfrecords"
    values = dataset.labels.background, dataset.labels.unknown
    describe_dataset(
        folder, name, dataset.tfrecords, datasets.indices_by_split(name), *_example(datasets, name), *values
    )
    removed = _remove_former_shards(datasets, name, folder)
    return [f"removed {path}, which is not one of the shards any more" for path in removed]


def _example(datasets: Datasets, name: str) -> tuple[Path, Path]:
    """The first image chip that could be made, and its label chip."""
    keys = datasets.tiles_with_chips(name)
    for image, label in zip(*(datasets.chips(name, kind, keys) for kind in ("images", "labels")), strict=True):
        if not is_exclusion_marker(Path(image)):
            return Path(image), Path(label)
    raise InputError(f"none of its {len(keys)} tiles could be made; see {datasets.logs(name) / 'images'}")


def _remove_former_shards(datasets: Datasets, name: str, folder: Path) -> list[Path]:
    """Remove shards of other numbers, which a reader of `*.tfrecord*` would read, too."""
    current = {Path(index).name for index in datasets.indices(name)}
    former = [index for index in folder.glob(f"{name}-*.index-*-of-*.csv") if index.name not in current]
    for index in former:
        forget_made_from([str(shard_path(index))])
        for path in (shard_path(index), counts_path(index), provenance_path(index), index):
            path.unlink(missing_ok=True)
    return [shard_path(index) for index in former]
