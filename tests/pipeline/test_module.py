"""Another workflow may have this one as a module."""

from pathlib import Path

import pytest
import yaml

from support.projects import REPOSITORY, Project

SNAKEFILE = """
configfile: "config.yaml"


module segchips:
    snakefile: "{snakefile}"
    config: config["chips"]


use rule * from segchips as segchips_*


rule size:
    default_target: True
    input:
        "results/sample/ledger.csv",
    output:
        "size.txt",
    shell:
        "wc -l < {{input}} > {{output}}"
"""


@pytest.mark.slow
def test_a_workflow_with_this_one_as_a_module(fresh: Project) -> None:
    outer = fresh.folder / "workflow"
    outer.mkdir()
    (outer / "Snakefile").write_text(SNAKEFILE.format(snakefile=REPOSITORY / "workflow" / "Snakefile"))
    (fresh.folder / "config.yaml").write_text(yaml.safe_dump({"chips": fresh.config, "other": 1}))
    fresh.workflow: Path = outer
    profile = ("--workflow-profile", str(REPOSITORY / "workflow" / "profiles" / "default"))
    made = fresh.run_and_count(*profile)
    assert made["segchips_images"] == made["segchips_labels"] == 6
    assert made["size"] == 1
    assert (fresh.folder / "size.txt").read_text().split() == ["7"], "a line for each tile, and the head"
    assert {row["state"] for row in fresh.ledger()} == {"made"}
    assert not fresh.run_and_count(*profile), "nothing is left to do"
