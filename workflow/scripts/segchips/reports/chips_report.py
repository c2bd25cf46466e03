"""The report of a dataset of chips made elsewhere: the page of datasets made here, without scenes and conflicts."""

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.crs import CRS

from segchips.arrays import Mask
from segchips.config.model import Conversion
from segchips.records.chip_ground import Ground
from segchips.records.dataset_files import read_info
from segchips.records.dataset_info import DatasetInfo
from segchips.records.pixel_values import valid_pixels
from segchips.records.record_decoding import Example, read_chips
from segchips.records.statistics import statistics
from segchips.reports.band_table import band_groups
from segchips.reports.chip_outlines import chip_outlines
from segchips.reports.chip_previews import MAX_PREVIEW_SIZE, PreviewChip
from segchips.reports.contact_sheet import choose_tiles, display_bands
from segchips.reports.dataset_summary import band_names
from segchips.reports.histograms import band_histograms, measurement_histograms
from segchips.reports.ledger import LedgerRow
from segchips.reports.measurements import measurement_groups
from segchips.reports.public_config import public_conversion
from segchips.reports.report_page import MAX_SHOWN_CHIPS, chip_variables, tile_variables, write_page
from segchips.reports.software_versions import software_versions
from segchips.reports.tile_boxes import TileBoxes


def write_chips_report(
    conversion: Conversion,
    folder: Path,
    rows: Sequence[LedgerRow],
    grounds: Mapping[str, Ground],
    audit: Mapping[str, Any],
    split_rule: str,
    output: Path,
) -> None:
    """Write the report, a page without external files or scripts.

    Args:
        conversion: The config of the dataset.
        folder: The dataset's folder of results, with the shards.
        rows: The ledger.
        grounds: The ground of each chip that has a location.
        audit: The content of audit.json.
        split_rule: The sentence that says what the split of a chip follows from.
        output: Where to write the page.
    """
    shards = folder / "tfrecords"
    info = read_info(shards)
    splits = list(dict.fromkeys([*conversion.tfrecords.splits, *(row.split for row in rows)]))
    bands = band_names(info.image)
    selected = choose_tiles(rows, splits, MAX_SHOWN_CHIPS)
    by_name = {row.tile: row for row in rows}
    shown = dict(read_chips(shards, selected))
    chips = [_preview(shown[name], info, by_name[name], display_bands(bands)) for name in selected]
    split_statistics = {split: entry for split, entry in statistics(shards).items() if entry.chips}
    outlines = zip(grounds, chip_outlines(grounds), strict=True)
    boxes = {name: outline for name, outline in outlines if outline is not None}
    no_area = np.array([], object)
    histograms = chain(*band_histograms(shards, info, split_statistics).values())
    variables = {
        **tile_variables(rows, splits, TileBoxes.of(boxes), no_area, "chip"),
        **chip_variables(conversion.chips, chips, bands, split_statistics),
        "histograms": [*histograms, *measurement_histograms(shards, info, split_statistics)],
        "bands": band_groups(split_statistics, "", bands, [(1.0, 0.0)] * len(bands))
        + measurement_groups(split_statistics),
        "pictures": {},
        "audit": audit,
        "pixel_size": describe_pixels(grounds),
        "versions": software_versions(),
        "config": public_conversion(conversion),
        "made_here": False,
        "left_out": "Chips that are in no shard",
        "split_rule": split_rule,
        "splitting": conversion.splitting,
    }
    about = {"name": conversion.name, "labels": conversion.chips, "info": info}
    write_page(output, {**about, "splits": splits, **variables})


def _preview(chip: Example, info: DatasetInfo, row: LedgerRow, bands: Sequence[int]) -> PreviewChip:
    """A chip as its record holds it, reduced in size."""
    step = math.ceil(max(info.label.shape) / MAX_PREVIEW_SIZE)
    image = chip["image"][::step, ::step]
    valid: Mask = np.all(valid_pixels(image, info.image.nodata)[..., list(bands)], axis=-1)
    return PreviewChip(row, np.moveaxis(image[..., list(bands)], -1, 0).copy(), valid, chip["label"][::step, ::step])


def describe_pixels(grounds: Mapping[str, Ground]) -> str:
    """The side of a pixel with its unit, such as `0.5 m`; of chips of several sizes the smallest and the largest."""
    sides: dict[str, list[float]] = {}
    for ground in grounds.values():
        crs = CRS.from_user_input(ground.crs)
        unit = "°" if crs.is_geographic else {"metre": "m"}.get(crs.linear_units, crs.linear_units)
        sides.setdefault(unit, []).append(float(f"{math.sqrt(ground.pixel_area):.6g}"))
    texts = [
        f"{min(found):g} {unit}" if min(found) == max(found) else f"{min(found):g} to {max(found):g} {unit}"
        for unit, found in sides.items()
    ]
    return " and ".join(texts) or "without location"
