"""Step `descriptors`: the dataset card, Croissant, STAC, and the files that ArcGIS reads."""

from segchips.pipeline.datasets import Datasets


def make_descriptors(datasets: Datasets, name: str) -> None:
    """Write the descriptors into the dataset's folder."""
    from segchips.reports.descriptors import write_descriptors

    write_descriptors(datasets[name], datasets.folder(name))
