"""Rerun digests: each names all that a result depends on, so that it changes exactly when the result has to be remade.

A digest covers the version of the code, the keys of the config and the contents of files that a step reads, never their
age. What depends on a chip or lock takes its digest in place of its bytes, so that all is known before any job runs.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from segchips.config.model import Dataset
from segchips.config.tiles import IMAGERY
from segchips.errors import InputError
from segchips.files import digest
from segchips.grids.tile import Tile
from segchips.pipeline.chip_contents import chip_contents
from segchips.pipeline.code_versions import foreign_modules, module_version, script_version
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.sources import label_sources, legend_sources, split_sources, tile_sources
from segchips.records.chip_folders import find_pairs
from segchips.scenes.query import SceneQuery
from segchips.scenes.raster_files import file_states

_TEMPLATES = Path(__file__).parents[1] / "reports"


def _pixel_grid_query(dataset: Dataset) -> list[str]:
    """What the pixel grid of the scenes follows from, for tiles on grid `imagery`: it stays while this does."""
    if dataset.tiles.grid != IMAGERY:
        return []
    imagery = dataset.imagery.first
    version = module_version("chips.imagery_grid", *foreign_modules(imagery.source))
    return [version, SceneQuery.of(imagery).text, *(band for product in imagery.products for band in product.bands)]


class Digests:
    """The rerun digests of the results of all datasets, by dataset name."""

    def __init__(self, datasets: Datasets) -> None:
        self._datasets = datasets

    def tiles(self, name: str) -> str:
        """Of the tile manifest."""
        dataset = self._datasets[name]
        tiles = dataset.tiles
        layers = () if tiles.aoi or tiles.keys or tiles.centers else dataset.labels.layers
        how = dataset.tiles, layers, replace(dataset.splitting, cover=False), dataset.tfrecords.shards
        contents = self._datasets.content_digests(tile_sources(dataset))
        return digest(module_version("tiles.tiles"), *how, *contents, *_pixel_grid_query(dataset))

    def keys(self, name: str) -> str:
        """Of the set of tiles; empty while there is no manifest, or a damaged one that is to be made again."""
        if not self._datasets.has_result(name, "tiles.parquet"):
            return ""
        manifest = self._datasets.folder(name) / "tiles.parquet"
        with suppress(InputError):
            return self._datasets.read_once("digest of keys", manifest, lambda _: digest(*self._datasets.keys(name)))
        return ""

    def scenes(self, name: str) -> str:
        """Of the scene lock: pinned scenes stay while tiles and query do, whatever the catalogue holds by now."""
        how: list[object] = []
        for layer, imagery in self._datasets[name].imagery.layers.items():
            modules = ("scenes.resolve",) if imagery.on_platform else ("scenes.resolve", "chips.file_metadata")
            versions = [module_version(module, *foreign_modules(imagery.source)) for module in modules]
            how += [layer, *versions, SceneQuery.of(imagery).text]
            how += [("exclude", *imagery.exclude)] if imagery.exclude else []  # the step says which ids are unknown
            how += file_states(imagery) if imagery.source == "files" else []
        return digest(*how, self.keys(name))

    def labels(self, name: str) -> str:
        """Of the label lock."""
        dataset, owner = self._datasets[name], self._datasets.label_owner(name)
        contents = self._datasets.content_digests(label_sources(dataset)) if owner == name else []
        code = module_version("labels.lock"), module_version("labels.chip")  # the lock holds the digests of the chips
        return digest(*code, dataset.labels, owner, self.keys(name), *contents)

    def splitting(self, name: str) -> str:
        """Of the way to split: while it stays the same, blocks that were moved stay where they are."""
        dataset = self._datasets[name]
        return digest(dataset.splitting, *self._datasets.content_digests(split_sources(dataset)))

    def splits(self, name: str) -> str:
        """Of the assignment of tiles to splits: with labels only as far as they decide."""
        dataset, decisive = self._datasets[name], list[str]()
        if self._datasets.needs_labels(name) and self._datasets.has_result(name, "labels.parquet"):
            lock = next(iter(self._datasets.label_locks(name).values()))
            decisive = [key for key, pixels in lock.covered_pixels.items() if not pixels]
            decisive += map(str, (lock.digests if dataset.select.by_label else lock.values).values())
        how = self.splitting(name), dataset.select, dataset.tfrecords.shards
        return digest(module_version("splits.splits"), *how, self.keys(name), *decisive)

    def image(self, name: str, layer: str, tile: str) -> str:
        """Of a tile's image chip of one layer.

        Raises:
            InputError: The dataset has no such tile.
        """
        key, plan = Tile.from_name(tile).key, self._datasets.image_plan(name, layer)
        if key not in plan.lock.tiles:
            manifest = self._datasets.folder(name) / "tiles.parquet"
            raise InputError(f"tile {key} is not in the manifest of dataset '{name}' ({manifest})")
        return plan.digest(key)

    def provenance(self, name: str, layer: str, tile: str) -> str:
        """Of a tile's image chip with its provenance, which counts days from the reference date."""
        return self._with_date(name, layer, self.image(name, layer, tile))

    def label(self, name: str, target: str, tile: str) -> str:
        """Of a tile's label chip of one target."""
        return self._datasets.label_lock(name, target).digests[Tile.from_name(tile).key]

    def chips(self, name: str, kind: str, part: str, keys: Sequence[str]) -> list[str]:
        """Of the chips of many tiles by key: label chips of a target, or what is made of a layer."""
        if kind == "labels":
            return self._datasets.label_lock(name, part).digests.of(keys)
        digests = self._datasets.image_plan(name, part).digests(keys)
        has_provenance = self._datasets[name].imagery.layers[part].provenance
        return [self._with_date(name, part, each) for each in digests] if has_provenance else digests

    def _with_date(self, name: str, layer: str, image: str) -> str:
        """The digest of an image chip with the date that its provenance counts days from."""
        return digest(image, self._datasets[name].imagery.layers[layer].reference_date)

    def record_recipe(self, name: str, split: str) -> str:
        """Of all that the records of a split depend on but their chips."""
        dataset = self._datasets[name]
        min_valid = [(name, layer.min_valid) for name, layer in dataset.imagery.layers.items()]
        unknown = [(name, target.unknown) for name, target in dataset.labels.targets.items()]
        how = replace(dataset.tfrecords, splits={}), min_valid, unknown
        return digest(module_version("records.shard_writer"), *how, split)

    def shard(self, name: str, split: str, shard: int) -> str:
        """Of a shard: the recipe of its records, and every chip in it, with a note of those missing or excluded."""
        keys = self._datasets.shard_tiles(name, split, shard)
        columns = [self.chips(name, kind, part, keys) for kind, part in self._datasets.parts(name)]
        chips = [text for row in zip(keys, *columns, strict=True) for text in row]
        files = [*self._datasets.image_chips(name, keys), *self._datasets.label_chips(name, keys)]
        sizes = [_size(chip) for chip in files]
        lacking = {"missing": [size is None for size in sizes], "excluded": [size == 0 for size in sizes]}
        made_from = digest(self.record_recipe(name, split), *chips)
        notes = (f"{sum(which)} chips {note} ({digest(which)})" for note, which in lacking.items() if any(which))
        return ", ".join([made_from, *notes])

    def dataset_info(self, name: str) -> str:
        """Of the description of the shards."""
        dataset = self._datasets[name]
        products = [(name, layer.products) for name, layer in dataset.imagery.layers.items()]
        values = [
            (name, target.background, target.unknown, target.kind) for name, target in dataset.labels.targets.items()
        ]
        objects = [one.class_names for one in dataset.labels.targets.values() if one.kind == "instances"]
        how = dataset.tfrecords, products, values, *objects
        made_from = self._datasets.content_digests([*self._datasets.indices(name), *self._datasets.pixel_counts(name)])
        return digest(module_version("records.dataset_description"), *how, *made_from)

    def plan(self, name: str) -> str:
        """Of the plan of a run."""
        made_from = self._results(name, "scenes.parquet", "labels.parquet", "splits.parquet")
        return digest(module_version("reports.plan"), self._datasets[name], *made_from)

    def conversion(self, name: str) -> str:
        """Of a dataset of chips made elsewhere: its config, and the contents of its files."""
        conversion, folder = self._datasets.config.conversions[name], self._datasets.folder(name)
        pairs = find_pairs(conversion.chips).pairs
        files = sorted({file for pair in pairs for file in pair.files})
        contents = chip_contents(files, folder / ".chips.json")
        lists = self._datasets.content_digests(list((conversion.chips.splits or {}).values()))
        templates = [(_TEMPLATES / name).read_bytes() for name in ("chips_card.md.j2", "report.html.j2")]
        code = script_version("convert"), *templates
        return digest(
            *code, conversion, *[(pair.name, *map(contents.__getitem__, pair.files)) for pair in pairs], *lists
        )

    def conflicts(self, name: str) -> str:
        """Of the counts of pixels that several classes claim."""
        locks = self._datasets.label_locks(name).values()
        return digest(module_version("labels.conflicts"), *(text for lock in locks for text in lock.digests.values()))

    def ledger(self, name: str) -> str:
        """Of the ledger."""
        locks = (str(self._datasets.folder(name) / lock) for lock in ("splits.parquet", "scenes.parquet"))
        made_from = self._datasets.content_digests([*locks, *self._datasets.indices(name)])
        return digest(module_version("reports.ledger"), *made_from)

    def audit(self, name: str) -> str:
        """Of the audit of the splits."""
        dataset = self._datasets[name]
        values = dataset.labels.first.background, dataset.labels.first.unknown
        made_from = self._results(name, "ledger.csv", "conflicts.parquet", "tfrecords/statistics.json")
        return digest(module_version("reports.audit"), dataset.splitting, *values, *made_from)

    def descriptors(self, name: str) -> str:
        """Of the dataset card and the other descriptions for people and programs."""
        dataset, template = self._datasets[name], (_TEMPLATES / "card.md.j2").read_bytes()
        layers = [(name, replace(layer, catalog=None)) for name, layer in dataset.imagery.layers.items()]
        how = template, dataset.tiles, layers, dataset.labels
        made_from = self._results(name, "ledger.csv", "tfrecords/statistics.json")
        return digest(module_version("reports.descriptors"), *how, *made_from, *self._legends(name))

    def report(self, name: str) -> str:
        """Of the report page."""
        dataset, template = self._datasets[name], (_TEMPLATES / "report.html.j2").read_bytes()
        area = self._datasets.content_digests([dataset.tiles.aoi] if dataset.tiles.aoi else [])
        made_from = self._results(name, "ledger.csv", "audit.json", "conflicts.parquet")
        return digest(module_version("reports.report"), template, dataset, *area, *made_from, *self._legends(name))

    def _legends(self, name: str) -> list[str]:
        """Of the rasters of labels, which may name and colour their classes."""
        return self._datasets.content_digests(legend_sources(self._datasets[name]))

    def _results(self, name: str, *files: str) -> list[str]:
        """Digests of the contents of some of the dataset's results."""
        return self._datasets.content_digests([str(self._datasets.folder(name) / file) for file in files])


def _size(file: str) -> int | None:
    """The size of a file in bytes; None where there is none, or none in reach."""
    try:
        return os.stat(file).st_size
    except OSError:
        return None
