import logging
import re
import subprocess
import sys

from snakemake_interface_logger_plugins.common import LogEvent

from segchips.pipeline import progress
from segchips.pipeline.progress import Progress, network_summary
from segchips.remote.fetcher import Traffic
from support.projects import Project

PROGRAM = """
import sys, segchips.pipeline.progress
segchips.pipeline.progress.Progress.__init__.__defaults__ = (0.01,)
from snakemake.cli import main
main(sys.argv[1:])
"""


def shown_lines(project: Project) -> list[str]:
    """The progress lines of a run that may show one every hundredth of a second."""
    arguments = ["--snakefile", str(project.workflow / "Snakefile"), "--configfile", "config.yaml", "--cores", "1"]
    command = [sys.executable, "-c", PROGRAM, *arguments]
    output = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)
    return re.findall(r"^(?:images|labels): .* failed$", output.stdout + output.stderr, re.MULTILINE)


def test_a_run_shows_how_many_tiles_are_done(fresh: Project) -> None:
    lines = shown_lines(fresh)
    done = [tuple(int(count) for count in re.findall(r"(?:images|labels): (\d+)", line)) for line in lines]
    assert done[-1] == (6, 6) and lines[-1].endswith("; 0 failed")
    assert len(done) > 2 and [sum(counts) for counts in done] == sorted({sum(counts) for counts in done})


def test_failed_tiles_are_counted(fresh: Project) -> None:
    fresh.run("results/sample/scenes.parquet")
    next(fresh.folder.glob("resources/sample/sample-l2a/*/*B04.tif")).write_bytes(b"II*\0")
    assert re.search(r"; [1-6] failed$", shown_lines(fresh)[-1])


def event(kind: LogEvent, **values: object) -> logging.LogRecord:
    """A record as Snakemake logs it."""
    record = logging.LogRecord("snakemake", logging.INFO, "", 0, "", None, None)
    record.__dict__.update({"event": kind, **values})
    return record


def test_a_job_that_is_tried_again_has_not_failed() -> None:
    shown = Progress(print)
    for kind in (LogEvent.JOB_INFO, LogEvent.JOB_ERROR, LogEvent.JOB_INFO):
        shown.emit(event(kind, jobid=1, rule_name="images"))
    assert shown.line(1.0).endswith("; 0 failed")
    shown.emit(event(LogEvent.JOB_ERROR, jobid=1))
    assert shown.line(1.0).endswith("; 1 failed")


def test_rates_count_from_the_first_job_of_a_step(monkeypatch) -> None:
    shown = Progress(print)
    for second, rule in ((10.0, "images"), (20.0, "labels")):
        monkeypatch.setattr(progress.time, "monotonic", lambda second=second: second)
        shown.emit(event(LogEvent.JOB_INFO, jobid=int(second), rule_name=rule))
    assert shown.line(20.0) == "images: 0; labels: 0; 0 of 0 jobs; 0 failed"
    for job in range(100, 140):
        shown.emit(event(LogEvent.JOB_INFO, jobid=job, rule_name="images"))
        shown.emit(event(LogEvent.JOB_FINISHED, job_id=job))
    shown.emit(event(LogEvent.JOB_ERROR, jobid=20))
    shown.emit(event(LogEvent.PROGRESS, done=40, total=200))
    line = "images: 40, 2 a second; labels: 0; 40 of 200 jobs, 0:01:20 left; 1 failed"
    assert shown.line(30.0) == line
    shown.emit(event(LogEvent.PROGRESS, done=200, total=200))
    assert shown.line(30.0) == "images: 40, 2 a second; labels: 0; 200 of 200 jobs; 1 failed"


def test_tiles_of_portions_are_counted_and_not_the_portions(monkeypatch) -> None:
    shown = Progress(print, tiles_in_portions=lambda: {"images": 3000, "labels": 3000})
    monkeypatch.setattr(progress.time, "monotonic", lambda: 10.0)
    shown.emit(event(LogEvent.JOB_INFO, jobid=1, rule_name="image_portions"))
    for tiles in (200, 1000):
        shown.count("images", "the first", tiles, 0)
    shown.count("images", "the second", 500, 2)
    shown.emit(event(LogEvent.PROGRESS, done=4, total=20))
    assert shown.line(20.0) == "images: 1,500 of 3,000, 150 a second; 4 of 20 jobs, 0:00:30 left; 2 failed"


def test_a_run_says_in_the_end_what_it_has_fetched() -> None:
    line = network_summary(Traffic(1140, 1_456_700_000, 0, waited=1000.0, busy=40.0))
    assert line == "network: 1,140 requests, 1,456.7 MB; 25 requests under way on average in 40.0 s"


def test_what_is_fetched_is_shown_on_average_since_the_last_line() -> None:
    fetched = [
        None,
        Traffic(10, 6_000_000, 32, 60.0),
        Traffic(10, 6_000_000, 0, 60.0),
        Traffic(30, 26_000_000, 3, 300.0),
    ]
    shown = Progress(print, traffic=lambda: fetched.pop(0))
    shown.emit(event(LogEvent.JOB_INFO, jobid=1, rule_name="images"))
    now = shown._started["images"]
    lines = [shown.line(now + seconds) for seconds in (1, 3, 5, 15)]
    assert lines[0] == lines[2] == "images: 0; 0 of 0 jobs; 0 failed"
    assert lines[1] == "images: 0; network: 20 requests under way, 2 MB a second; 0 of 0 jobs; 0 failed"
    assert lines[3] == "images: 0; network: 24 requests under way, 2 MB a second; 0 of 0 jobs; 0 failed"
