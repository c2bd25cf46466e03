"""Step `report`: the page that shows what was made, what was left out, and why."""

from pathlib import Path

from segchips.pipeline.datasets import Datasets


def make_report(datasets: Datasets, name: str, path: str) -> None:
    """Write the report page to `path`."""
    from segchips.reports.report import write_report

    write_report(datasets[name], datasets.folder(name), Path(path))
