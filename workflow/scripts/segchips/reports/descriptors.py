"""The descriptors step: describe a finished dataset for other tools."""

from pathlib import Path

from segchips.config.model import Dataset
from segchips.files import atomic_write, write_json
from segchips.reports.arcgis import write_arcgis
from segchips.reports.card import render_card
from segchips.reports.croissant import croissant_metadata
from segchips.reports.dataset_summary import DatasetSummary
from segchips.reports.stac import write_stac


def write_descriptors(dataset: Dataset, folder: Path) -> None:
    """Write the dataset card, Croissant metadata, the STAC collection and ArcGIS's files.

    Args:
        dataset: The config of the dataset.
        folder: The dataset's folder of results, where the descriptors are written.

    Raises:
        InputError: A file of results is missing or damaged.
    """
    summary = DatasetSummary.read(dataset, folder)
    atomic_write(folder / "README.md", render_card(summary))
    write_json(folder / "croissant.json", croissant_metadata(summary))
    write_arcgis(summary)
    write_stac(summary)
