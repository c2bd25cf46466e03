"""The report step: one HTML page that shows what a dataset contains, which tiles were left out, and why."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from segchips.config.model import Dataset
from segchips.labels.conflicts import read_conflicts
from segchips.labels.legend import read_legend
from segchips.records.dataset_files import index_paths, read_info
from segchips.records.dataset_info import DatasetInfo
from segchips.records.statistics import statistics
from segchips.reports.audit import read_audit
from segchips.reports.band_table import band_groups
from segchips.reports.chip_previews import preview_chips
from segchips.reports.contact_sheet import choose_tiles, display_bands
from segchips.reports.dataset_summary import band_names
from segchips.reports.histograms import band_histograms, measurement_histograms
from segchips.reports.layer_previews import LayerPicture, layer_pictures, layer_scaling
from segchips.reports.ledger import LedgerRow, read_ledger
from segchips.reports.measurements import measurement_groups
from segchips.reports.pixel_size import pixel_size
from segchips.reports.public_config import public_config
from segchips.reports.report_page import MAX_SHOWN_CHIPS, MAX_SHOWN_TILES, chip_variables, tile_variables, write_page
from segchips.reports.software_versions import software_versions
from segchips.reports.target_previews import target_pictures
from segchips.reports.tile_boxes import TileBoxes
from segchips.reports.tile_map import conflict_map, read_area
from segchips.reports.timelines import scene_table, timelines
from segchips.scenes.lock import read_locks
from segchips.vectors.geometry import Geometries


def write_report(dataset: Dataset, folder: Path, output: Path) -> None:
    """Write the report, a page without external files or scripts.

    Args:
        dataset: The config of the dataset.
        folder: The dataset's folder of results.
        output: Where to write the page.

    Raises:
        InputError: A file of results is missing or damaged.
    """
    rows, info = read_ledger(folder / "ledger.csv"), read_info(folder / "tfrecords")
    locks, area = read_locks(folder / "scenes.parquet"), read_area(dataset.tiles)
    layers, labels = dataset.imagery.layers, dataset.labels.first
    splits = list(dict.fromkeys([*dataset.tfrecords.splits, *rows.column("split").unique().to_pylist()]))
    selected = choose_tiles(rows, splits, MAX_SHOWN_CHIPS)
    bands = tuple(name or f"band {number}" for number, name in enumerate(info.image.bands, 1))
    indices, boxes = index_paths(folder / "tfrecords", info), TileBoxes.read(folder / "tiles.parquet")
    folders = folder / "images" / next(iter(layers)), folder / "labels" / next(iter(dataset.labels.targets))
    steps = info.image.shape[0] if len(info.image.shape) == 4 else 1
    previews = preview_chips(rows, indices, folders, selected, display_bands(bands), labels.unknown, steps)
    shown = [previews.previews[tile].row for tile in selected]
    split_statistics = {split: entry for split, entry in statistics(folder / "tfrecords").items() if entry.chips}
    variables = {
        **tile_variables(rows, splits, boxes, area, "tile"),
        **chip_variables(
            labels, [previews.previews[tile] for tile in selected], bands, split_statistics, read_legend(labels)
        ),
        "histograms": list(chain(*band_histograms(folder / "tfrecords", info, split_statistics).values()))
        + measurement_histograms(folder / "tfrecords", info, split_statistics),
        "bands": [
            group
            for layer, layout in info.images.items()
            for group in band_groups(
                split_statistics, layer, band_names(layout), layer_scaling(folder, layer, layout, shown)
            )
        ]
        + measurement_groups(split_statistics),
        "pictures": _pictures(dataset, info, folder, shown),
        "audit": read_audit(folder / "audit.json"),
        "conflicts": _conflict_variables(folder, boxes, area, dataset.tiles.size),
        "scenes": [
            row for name, layer in layers.items() for row in scene_table(layer, locks[name], previews.scene_use)
        ],
        "timelines": [
            (layer, line)
            for name, layer in layers.items()
            if layer.source != "files"
            for line in timelines(layer, locks[name], previews.scene_use)
        ],
        "pixel_size": pixel_size(rows[0].tile),
        "versions": software_versions(),
        "config": public_config(dataset),
        "made_here": True,
        "left_out": "Tiles without chips",
        "splitting": dataset.splitting,
    }
    about = {"name": dataset.name, "dataset": dataset, "imagery": dataset.imagery.first, "labels": labels, "info": info}
    write_page(output, {**about, "splits": splits, **variables})


def _pictures(
    dataset: Dataset, info: DatasetInfo, folder: Path, rows: Sequence[LedgerRow]
) -> dict[str, list[LayerPicture]]:
    """Pictures of all layers and of further targets by tile; empty where the contact sheet shows everything."""
    layers, targets = layer_pictures(info, folder, rows), target_pictures(dataset.labels.targets, folder, rows)
    pictures = {row.tile: [*layers.get(row.tile, []), *targets[row.tile]] for row in rows}
    return pictures if any(pictures.values()) else {}


def _conflict_variables(folder: Path, boxes: TileBoxes, area: Geometries, size: int) -> dict[str, Any]:
    """How many tiles have pixels in conflict, those with most, and the map of conflicts."""
    conflicts = read_conflicts(folder / "conflicts.parquet")
    pixels = conflicts.column.to_numpy()
    most = np.argsort(-pixels, kind="stable")[:MAX_SHOWN_TILES].tolist()
    tiles = [(conflicts.tiles[row], int(pixels[row])) for row in most if pixels[row]]
    map_variables = conflict_map(conflicts, boxes, area, size) if tiles else {}
    return {
        "tiles": tiles,
        "count": int(np.count_nonzero(pixels)),
        "pixels": int(pixels.sum()),
        "map": map_variables,
    }
