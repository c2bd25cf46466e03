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

    dataset, keys = datasets[name], datasets.shard_tiles(name, split, int(shard))
    layers, targets = dataset.imagery.layers, dataset.labels.targets
    made, reused = write_shard(
        Path(path),
        Path(index),
        keys,
        {layer: datasets.chip_folder(name, "images", layer) for layer in layers},
        {target: datasets.folder(name) / "labels" / target for target in targets},
        split,
        dataset.tfrecords,
        [layer.min_valid for layer in layers.values()],
        exclusion_reasons(datasets, name, keys),
        [target.unknown for target in targets.values()],
        Digests(datasets).record_recipe(name, split),
        [layer for layer, imagery in layers.items() if imagery.optional],
    )
    return [f"{made} records made, {reused} copied from the previous shard"]


def make_dataset_info(datasets: Datasets, name: str) -> list[str]:
    """Write the files that describe the shards, and remove shards of earlier numbers of shards or splits."""
    from segchips.records.dataset_description import describe_dataset

    dataset, folder = datasets[name], datasets.folder(name) / "tfrecords"
    targets = dataset.labels.targets.values()
    values = [target.background for target in targets], [target.unknown for target in targets]
    kinds = [target.kind for target in targets]
    objects = {part: one.class_names for part, one in dataset.labels.targets.items() if one.kind == "instances"}
    about = *_example(datasets, name), *values, kinds, objects
    describe_dataset(folder, name, dataset.tfrecords, datasets.indices_by_split(name), *about)
    removed = _remove_former_shards(datasets, name, folder)
    return [f"removed {path}, which is not one of the shards any more" for path in removed]


def _example(datasets: Datasets, name: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """The image chips, by layer, of the first tile of which all could be made, and its label chips by target."""
    keys = datasets.tiles_with_chips(name)
    for key in keys:
        images = {layer: Path(*datasets.chips(name, "images", layer, [key])) for layer in datasets.layers(name)}
        if not any(map(is_exclusion_marker, images.values())):
            return images, {
                target: Path(*datasets.chips(name, "labels", target, [key])) for target in datasets.targets(name)
            }
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
