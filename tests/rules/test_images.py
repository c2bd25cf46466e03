from collections import Counter

import rasterio

from projects import Project


def test_bands_remake_all_images_and_no_label(project: Project) -> None:
    labels = project.contents("results/*/labels/*")
    project.change("defaults.imagery.products", [{"id": "sample-l2a", "bands": ["B08"]}])
    made = project.made()
    assert (made["images"], made["labels"], made["scenes"]) == (6, 0, 0)
    assert project.contents("results/*/labels/*") == labels
    for path in project.results().glob("images/*.tif"):
        with rasterio.open(path) as chip:
            assert chip.descriptions == ("B08",)


def test_a_reference_date_remakes_the_tiles_whose_order_changes(project: Project) -> None:
    project.change("defaults.imagery.reference_date", "2023-07-01")
    few = project.made()["images"]
    project.change("defaults.imagery.reference_date", "2023-02-08")
    assert 0 <= few <= project.made()["images"] == 6


def test_a_cloud_limit_that_drops_no_scene_remakes_no_image(project: Project) -> None:
    project.change("defaults.imagery.max_cloud", 0.91)
    assert project.made() == Counter(scenes=1, ledger=1, report=1, all=1)


def test_min_valid_keeps_chips_and_leaves_them_out_of_the_shards(project: Project) -> None:
    project.change("defaults.imagery.start", "2023-02-01")
    project.change("defaults.imagery.end", "2023-02-28")
    project.change("defaults.imagery.reference_date", "2023-02-14")
    project.change("defaults.imagery.min_valid", 0.97)
    assert project.made()["images"] == 6
    for row in project.ledger():
        assert row["state"] == ("made" if float(row["valid"]) >= 0.97 else "below min_valid")
        assert row["state"] == "made" or ("0.97" in row["reason"] and row["valid"] in row["reason"])
    assert {row["state"] for row in project.ledger()} == {"made", "below min_valid"}
