import re
import subprocess
import sys
from collections import Counter

import pytest

from segchips.pipeline.progress import Progress
from support.projects import Project

PROGRAM = """
import sys, segchips.pipeline.progress
segchips.pipeline.progress.Progress.__init__.__defaults__ = (0.01,)
from snakemake.cli import main
main(sys.argv[1:])
"""


def told(project: Project) -> list[str]:
    """The lines of a run that tells its progress every hundredth of a second."""
    arguments = ["--snakefile", str(project.workflow / "Snakefile"), "--configfile", "config.yaml", "--cores", "1"]
    command = [sys.executable, "-c", PROGRAM, *arguments]
    output = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)
    return re.findall(r"^(?:images|labels): .* failed$", output.stdout + output.stderr, re.MULTILINE)


def test_a_run_tells_how_many_tiles_are_done(fresh: Project) -> None:
    lines = told(fresh)
    assert lines[-1] == "images: 6 of 6; labels: 6 of 6; 0 failed"
    done = [tuple(map(int, re.findall(r"(\d) of 6", line))) for line in lines]
    assert done == sorted(set(done)) and len(done) > 2


@pytest.mark.slow
def test_failed_tiles_are_counted(fresh: Project) -> None:
    fresh.run("results/sample/scenes.parquet")
    next(fresh.folder.glob("resources/sample/sample-l2a/*/*B04.tif")).write_bytes(b"II*\0")
    assert re.search(r"; [1-6] failed$", told(fresh)[-1])


def test_the_rate_counts_from_when_a_step_began() -> None:
    progress = Progress(None, 10)
    total = Counter(images=100, labels=100)
    assert progress.line({}, total, 0, 50) == "images: 0 of 100; labels: 0 of 100; 0 failed"
    first = progress.line({"images": 10}, total, 0, 60)
    assert first == "images: 10 of 100; labels: 0 of 100; 0 failed"
    half = progress.line({"images": 30}, total, 0, 70)
    assert half == "images: 30 of 100, 2 a second, 0:00:35 left; labels: 0 of 100; 0 failed"
    later = progress.line({"images": 100, "labels": 5}, total, 2, 110)
    assert later == "images: 100 of 100; labels: 5 of 100; 2 failed"
    assert progress.line({"images": 100, "labels": 50}, total, 2, 146).startswith(
        "images: 100 of 100; labels: 50 of 100, 1.25"
    )
