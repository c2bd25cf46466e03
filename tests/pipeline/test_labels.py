import shutil
from collections import Counter

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from support.projects import Project, chips_touched


def test_a_moved_polygon_remakes_the_chips_it_touches_before_or_after(project: Project) -> None:
    layer = geopandas.read_file(project.folder / "resources/sample/labels.gpkg").to_crs(4326)
    layer.to_file(project.folder / "mine.gpkg")
    project.change("defaults.labels.path", "mine.gpkg")
    project.run_and_count()
    before = {path.name: path.read_bytes() for path in project.results().glob("labels/*.tif")}
    number = next(n for n, shape in enumerate(layer.geometry) if len(chips_touched(project, [shape])) == 1)
    old = layer.geometry[number]
    layer.loc[number, "geometry"] = new = shapely.affinity.translate(old, 0.0006, 0)
    layer.to_file(project.folder / "mine.gpkg")
    touched = chips_touched(project, [old, new])
    assert 0 < len(touched) < 6
    made = project.run_and_count()
    assert (made["labels"], made["images"], made["scenes"]) == (len(touched), 0, 0)
    assert 0 < made["tfrecords"] <= len(touched)
    after = {path.name: path.read_bytes() for path in project.results().glob("labels/*.tif")}
    assert {name for name in before if before[name] != after[name]} <= touched
    assert before != after


@pytest.mark.slow
def test_an_edited_feature_remakes_the_chips_it_touches(project: Project) -> None:
    layer = geopandas.read_file(project.folder / "resources/sample/labels.gpkg").to_crs(4326)
    number = next(n for n, shape in enumerate(layer.geometry) if len(chips_touched(project, [shape])) == 1)
    shape, attribute = layer.geometry[number], project.config["defaults"]["labels"]["attribute"]
    layer.to_file(project.folder / "mine.gpkg")
    project.change("defaults.labels.path", "mine.gpkg")
    project.run_and_count()
    images = project.file_bytes("results/*/images/*")
    without = layer.drop(index=number)
    other = layer.copy()
    other.loc[number, attribute] = next(value for value in layer[attribute] if value != layer[attribute][number])
    for changed in (other, without, layer):
        changed.to_file(project.folder / "mine.gpkg")
        made = project.run_and_count()
        assert (made["labels"], made["tfrecords"], made["images"], made["scenes"]) == (1, 1, 0, 0)
        assert project.file_bytes("results/*/images/*") == images
    assert shape.equals(geopandas.read_file(project.folder / "mine.gpkg").geometry[number])


@pytest.mark.slow
def test_a_touched_layer_remakes_nothing(project: Project) -> None:
    source = project.folder / "resources/sample/labels.gpkg"
    copy = project.folder / "mine.gpkg"
    copy.write_bytes(source.read_bytes())
    project.change("defaults.labels.path", "mine.gpkg")
    assert project.run_and_count()["labels"] == 0
    copy.touch()
    assert not project.run_and_count()


@pytest.mark.slow
def test_layers_burn_over_each_other_in_the_order_of_the_config(project: Project) -> None:
    west, south, east, north = geopandas.read_file(project.folder / "resources/sample/aoi.gpkg").total_bounds
    middle = (west + east) / 2
    geopandas.GeoDataFrame(geometry=[shapely.box(west, south, east, north)], crs=4326).to_file(
        project.folder / "all.gpkg"
    )
    geopandas.GeoDataFrame(geometry=[shapely.box(middle, south, east, north)], crs=4326).to_file(
        project.folder / "half.gpkg"
    )
    project.change("defaults.labels", {"layers": [{"path": "all.gpkg", "value": 7}, {"path": "half.gpkg", "value": 9}]})
    assert project.run_and_count()["labels"] == 6
    values = [np.unique(rasterio.open(path).read()) for path in sorted(project.results().glob("labels/*.tif"))]
    assert set(np.concatenate(values).tolist()) == {7, 9, 255}


def add_year(project: Project) -> None:
    """A second dataset: the same ground and labels, imagery of another time."""
    project.change("datasets.later", {"imagery": {"reference_date": "2023-12-31"}})


def test_another_year_burns_no_label_a_second_time(project: Project) -> None:
    before = project.file_bytes("results/sample/**/*.*")
    add_year(project)
    made = project.run_and_count()
    assert (made["tiles"], made["scenes"], made["label_lock"], made["images"], made["labels"]) == (1, 1, 1, 6, 0)
    assert project.file_bytes("results/sample/**/*.*") == before
    assert len(project.ledger("later")) == 6
    shared, own = (project.file_bytes(f"results/{name}/labels/*") for name in ("later", "sample"))
    assert list(shared.values()) == list(own.values())


@pytest.mark.slow
def test_a_deleted_shared_label_is_burned_once_for_both_datasets(project: Project) -> None:
    before = project.file_bytes("results/sample/**/*.*")
    add_year(project)
    project.run_and_count()
    assert project.run_and_count() == Counter()
    chip = next(project.results().glob("labels/*.tif"))
    chip.unlink()
    made = project.run_and_count()
    assert (made["labels"], made["images"], made["tfrecords"]) == (1, 0, 2)
    assert project.file_bytes("results/sample/**/*.*") == before


@pytest.mark.slow
def test_a_dataset_with_different_labels_burns_its_own(project: Project) -> None:
    before = project.file_bytes("results/sample/labels/*")
    add_year(project)
    project.run_and_count()
    project.change("datasets.later.labels", {"all_touched": False})
    made = project.run_and_count()
    assert (made["labels"], made["images"]) == (6, 0)
    assert project.file_bytes("results/sample/labels/*") == before
    assert not (project.results("later") / "labels").is_symlink()
    assert set(project.file_bytes("results/later/labels/*").values()).isdisjoint(before.values())
    assert project.run_and_count() == Counter()


@pytest.mark.slow
def test_labels_are_burned_again_when_their_owner_is_gone(project: Project) -> None:
    add_year(project)
    project.run_and_count()
    labels = list(project.file_bytes("results/later/labels/*").values())
    config = project.config
    del config["datasets"]["sample"]
    project.write(config)
    shutil.rmtree(project.results())
    made = project.run_and_count()
    assert (made["labels"], made["images"]) == (6, 0)
    assert list(project.file_bytes("results/later/labels/*").values()) == labels
    assert project.run_and_count() == Counter()
