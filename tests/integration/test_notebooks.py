"""The tutorials run from top to bottom on the sample, and are stored without outputs."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from support.projects import REPOSITORY, Project

NOTEBOOKS = sorted((REPOSITORY / "workflow" / "notebooks").glob("*.ipynb"))
NEEDS = {"3_parsing_tfrecords": "tensorflow"}


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """The shipped config with its sample and all notebooks, made in one run, and the output of that run."""
    project = Project(tmp_path_factory.mktemp("tutorial"))
    shutil.copy(REPOSITORY / "config" / "config.yaml", project.folder / "config.yaml")
    return project, project.run("--keep-going", "notebooks").stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_is_rendered(tutorial: tuple[Project, str], path: Path) -> None:
    for needed in ("nbconvert", "ipykernel", "matplotlib", *filter(None, [NEEDS.get(path.stem)])):
        if not importlib.util.find_spec(needed):
            pytest.skip(f"{path.name} needs {needed}, which is not installed")
    project, output = tutorial
    page = project.folder / f"results/notebooks/{path.stem}.html"
    assert page.exists(), output
    assert "data:image/png;base64," in page.read_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_stored_without_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code and notebook["cells"][0]["cell_type"] == "markdown"
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow
def test_a_failing_cell_is_named(tutorial: tuple[Project, str]) -> None:
    project, _ = tutorial
    folder = project.folder / "results" / "notebooks" / "composites"
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file where a folder should be")
    result = project.run("--force", "results/notebooks/1_creating_training_data.html")
    folder.unlink()
    assert result.returncode == 1
    assert "1_creating_training_data.ipynb: a cell failed, FileExistsError" in " ".join(result.stdout.split())
