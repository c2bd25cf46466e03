"""Step plan on the finished sample: what is missing, how long it takes, and nothing twice."""

from pathlib import Path

import pytest

from segchips.config.loading import load_config
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.job_times import JobTimes
from segchips.pipeline.steps import plan
from segchips.pipeline.steps.plan import make_plan
from support.projects import Project


def test_a_plan_says_what_is_missing_and_how_long_it_takes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    datasets, times = Datasets(load_config(project.config)), Path("results/.job_seconds.json")
    times.unlink(missing_ok=True)
    assert make_plan(datasets, 4)[-1] == "sample: no chip is missing; a run makes only what has changed"
    age = Path("results/sample/plan.json").stat().st_mtime_ns
    keys = datasets.tiles_with_chips("sample")
    hidden = datasets.image_chips("sample", keys) + datasets.label_chips("sample", keys)[:1]
    for chip in map(Path, hidden):
        chip.rename(chip.with_suffix(".hidden"))
    try:
        *_, assumed = make_plan(datasets, 4)
        what = f"sample: {len(keys)} image chips and 1 label chips are missing; to make them takes about"
        assert assumed == (
            f"{what} 1 s with 4 cores (0.05 s for each of the images and 0.01 s for each of the labels, "
            "until a run measures it)"
        )
        times.write_text('{"sample/images": 600, "sample/labels": 0.5}')
        minutes = round(600 * len(keys) / 4 / 60)
        assert make_plan(datasets, 4)[-1] == f"{what} {minutes} min with 4 cores (at the speed of the last run)"
    finally:
        for chip in map(Path, hidden):
            chip.with_suffix(".hidden").rename(chip)
        times.unlink(missing_ok=True)
    assert Path("results/sample/plan.json").stat().st_mtime_ns == age


@pytest.mark.parametrize(("tiles_per_job", "time"), [(1, "2 min"), (2, "1 s")])
def test_a_chip_in_a_portion_costs_no_job(
    project: Project, monkeypatch: pytest.MonkeyPatch, tiles_per_job: int, time: str
) -> None:
    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(plan, "_SNAKEMAKE_SECONDS", 50)
    project.change("tiles_per_job", tiles_per_job)
    datasets = Datasets(load_config(project.config))
    for chip in datasets.label_chips("sample", datasets.tiles_with_chips("sample"))[:2]:
        Path(chip).unlink()
    assert f"2 label chips are missing; to make them takes about {time} with 4 cores" in make_plan(datasets, 4)[-1]


def test_the_times_of_jobs_are_those_of_the_last_run_that_had_many(tmp_path: Path) -> None:
    first = JobTimes(tmp_path)
    assert first.seconds("one", "images") is None
    for seconds in range(20):
        first.add("one", "images", seconds)
        first.add("one", "labels", 1)
    first.save()
    second = JobTimes(tmp_path)
    second.add("one", "images", 100)
    for _ in range(20):
        second.add("one", "labels", 3)
    second.save()
    assert (second.seconds("one", "images"), second.seconds("one", "labels")) == (9.5, 3)
    (tmp_path / ".job_seconds.json").write_text("[1]")
    assert second.seconds("one", "images") is None
