"""Another workflow may have this one as a module, also moved by a prefix, and twice."""

import re

import pytest

from support.modules import outer_workflow
from support.portions import chips
from support.projects import Project


@pytest.mark.slow
def test_a_workflow_with_this_one_as_a_module(fresh: Project) -> None:
    outer_workflow(fresh, segchips="")
    made = fresh.run_and_count("-k")
    assert made["segchips_images"] == made["segchips_labels"] == 6
    assert made["size"] == 1
    assert (fresh.folder / "size.txt").read_text().split() == ["7"], "a line for each tile, and the head"
    assert {row["state"] for row in fresh.ledger()} == {"made"}
    again = fresh.run()
    assert "Nothing to be done" in again.stdout and "localrules" not in again.stdout


@pytest.mark.slow
def test_a_module_that_fails_writes_its_ledger(fresh: Project) -> None:
    for band in fresh.folder.glob("resources/sample/sample-l2a/*/*B04.tif"):
        band.write_bytes(band.read_bytes()[: band.stat().st_size // 2])
    outer_workflow(fresh, one="first", two="second/part")
    result = fresh.run("-k")
    assert result.returncode == 1
    for prefix in ("first", "second/part"):
        text = (fresh.folder / prefix / "results/sample/ledger.csv").read_text()
        assert len(re.findall(r"^.*,failed,.*B04.tif: cannot be read", text, re.MULTILINE)) == 6, text


@pytest.mark.slow
def test_two_modules_with_prefixes(sample_run: Project, fresh: Project) -> None:
    outer_workflow(fresh, one="first", two="second/part")
    made = fresh.run_and_count()
    assert made["one_images"] == made["two_images"] == 6
    chips = sample_run.chip_contents("results/*/images/*.tif")
    for prefix in ("first", "second/part"):
        moved = {f"{prefix}/{path}": content for path, content in chips.items()}
        assert fresh.chip_contents(f"{prefix}/results/*/images/*.tif") == moved != {}
        assert (fresh.folder / prefix / "logs" / "sample" / "tiles.log").exists()
    assert not (fresh.folder / "results").exists() and not (fresh.folder / "logs").exists()
    assert fresh.run_and_count() == {}
    assert fresh.run_and_count("one_resolve") == {"one_resolve": 1}
    assert fresh.run_and_count() == {}


@pytest.mark.slow
def test_options_name_chips_and_datasets_of_one_of_two_modules_in_portions(fresh: Project) -> None:
    fresh.change("tiles_per_job", 2)
    outer_workflow(fresh, one="first", two="second/part")
    fresh.run_and_count()
    chip = sorted(path for path in chips(fresh, "second/part/") if "/images/" in path)[0]
    before = {folder: chips(fresh, folder) for folder in ("first/", "second/part/")}
    assert fresh.run("-R", chip).returncode == 0
    after = {folder: chips(fresh, folder) for folder in before}
    assert after["first/"] == before["first/"] != {}
    assert [path for path, state in after["second/part/"].items() if before["second/part/"][path] != state] == [chip]
    assert fresh.run("-R", "one_labels").returncode == 0
    before, after = after, {folder: chips(fresh, folder) for folder in before}
    again = {path for folder, found in after.items() for path, state in found.items() if before[folder][path] != state}
    assert again == {path for path in after["first/"] if "/labels/" in path} != set()
    assert fresh.run("--delete-all-output", "one_all").returncode == 0
    assert chips(fresh, "second/part/") == after["second/part/"]
    assert not chips(fresh, "first/")
