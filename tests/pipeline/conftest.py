"""Fixtures of the pipeline's tests: the sample made in portions."""

import shutil
from pathlib import Path

import pytest

from support.projects import Project

SIZE = 2
"""Tiles of a portion: the sample has three portions or so."""


@pytest.fixture(scope="session")
def run_in_portions(sample_run: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small sample made in portions, for the first time; not to be changed."""
    project = Project(tmp_path_factory.mktemp("portions") / "project")
    shutil.copytree(sample_run.folder / "resources", project.folder / "resources")
    project.write(sample_run.config | {"tiles_per_job": SIZE})
    assert project.run_and_count()["image_portions"] > 1
    return project


@pytest.fixture
def portions(run_in_portions: Project, tmp_path: Path) -> Project:
    """A copy of the finished run in portions, to be changed."""
    return Project(Path(shutil.copytree(run_in_portions.folder, tmp_path / "portions")))
