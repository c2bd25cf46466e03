"""Fixtures of the SLURM tests."""

from collections.abc import Iterator

import pytest

from support.slurm import Cluster, running_cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster of one node."""
    with running_cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def cluster_environment(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of SLURM reach the cluster."""
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
