"""The descriptors step: what a finished dataset holds, told to others' tools; all of it follows from the same facts."""

from pathlib import Path

from segchips.config.model import Dataset
from segchips.files import atomic_write, write_json
from segchips.reports.card import render_card
from segchips.reports.croissant import croissant_metadata
from segchips.reports.dataset_summary import DatasetSummary


def write_descriptors(dataset: Dataset, folder: Path) -> None:
    """Write card, Croissant, STAC and what ArcGIS reads into a dataset's folder of results."""
    from segchips.reports.arcgis import write_arcgis
    from segchips.reports.stac import write_stac

    facts = DatasetSummary.of(dataset, folder)
    atomic_write(folder / "README.md", render_card(facts))
    write_json(folder / "croissant.json", croissant_metadata(facts))
    write_arcgis(facts)
    write_stac(facts)
