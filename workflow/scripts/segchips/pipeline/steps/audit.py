"""Step `audit`: what splits share, and whether that ends the run."""

from pathlib import Path

from segchips.pipeline.datasets import Datasets


def make_audit(datasets: Datasets, name: str, path: str, log: str) -> None:
    """Write the audit of the dataset's splits to `path`, and its findings to `log`."""
    from segchips.reports.audit import write_audit

    write_audit(datasets[name], datasets.folder(name), Path(path), Path(log))


def check_audit(_: Datasets, path: str) -> None:
    """Fail where the audit at `path` found that splits share what they must not."""
    from segchips.reports import audit

    audit.check_audit(Path(path))
