"""The descriptors step: what a finished dataset holds, told to others' tools; all of it follows from the same facts."""

from pathlib import Path

from segchips.config.model import Dataset
from segchips.files import atomic_write
from segchips.reports.card import card
from segchips.reports.croissant import croissant
from segchips.reports.dataset_summary import DatasetSummary, write_json


def write_descriptors(dataset: Dataset, folder: Path) -> None:
    """Write card, Croissant, STAC and what ArcGIS reads into a dataset's folder of results."""
    from segchips.reports.arcgis import write_arcgis
    from segchips.reports.stac import write_stac

    facts = DatasetSummary.of(dataset, folder)
    atomic_write(folder / "README.md", card(facts))
    write_json(folder / "croissant.json", croissant(facts))
    write_arcgis(facts)
    write_stac(facts)
