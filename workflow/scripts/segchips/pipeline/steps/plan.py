"""Step `plan`: what a run would read and make, and how long it would take."""

import json
import os

from segchips.pipeline.datasets import Datasets
from segchips.pipeline.digests import Digests
from segchips.pipeline.job_times import JobTimes
from segchips.pipeline.made_from import read_made_from, write_made_from
from segchips.pipeline.portions import Portions
from segchips.reports.plan import plan_lines, write_plan

_USUAL_SECONDS = {"images": 0.05, "labels": 0.01}
"""Seconds of a job before any run has measured them: a chip from local files, and a label chip."""
_USUAL_NETWORK_SECONDS = 2.0
"""As above, of an image chip from a platform or a remote catalogue."""
_SNAKEMAKE_SECONDS = 0.007
"""Seconds that Snakemake itself takes for each chip that has a job of its own, however many cores there are."""


def make_plan(datasets: Datasets, cores: int) -> list[str]:
    """Write plan.json of each dataset, where it is not up to date; returns the lines to show.

    Args:
        datasets: The datasets, which have their locks and splits.
        cores: The cores that the run may use.
    """
    lines = []
    for name in datasets.config.datasets:
        folder = datasets.folder(name)
        path, digest = folder / "plan.json", Digests(datasets).plan(name)
        if read_made_from([str(path)]) != digest:
            write_plan(datasets[name], folder)
            write_made_from(digest, [str(path)])
        content = json.loads(path.read_bytes())
        lines += [f"{name}: {line}" for line in (*plan_lines(content), _time_line(datasets, name, cores))]
    return lines


def _time_line(datasets: Datasets, name: str, cores: int) -> str:
    """What is missing of the dataset's chips, and how long it takes to make them."""
    keys = datasets.tiles_with_chips(name)
    chips = {"images": datasets.image_chips(name, keys), "labels": datasets.label_chips(name, keys)}
    missing = {step: sum(not os.path.exists(file) for file in files) for step, files in chips.items()}
    if not any(missing.values()):
        return "no chip is missing; a run makes only what has changed"
    is_remote = any(datasets.waits_for_network(name, layer) for layer in datasets[name].imagery.layers)
    side_by_side = max(cores, datasets.config.requests) if is_remote else cores
    parallel = {"images": side_by_side, "labels": cores}
    times = JobTimes(datasets.config.results)
    measured = {step: times.seconds(name, step) for step in missing}
    usual = _USUAL_SECONDS | ({"images": _USUAL_NETWORK_SECONDS} if is_remote else {})
    seconds = sum((measured[step] or usual[step]) * count / parallel[step] for step, count in missing.items())
    if not Portions(datasets, lambda *_: False).are_used(name):
        seconds = max(seconds, _SNAKEMAKE_SECONDS * sum(missing.values()))
    what = f"{missing['images']:,} image chips and {missing['labels']:,} label chips are missing"
    guessed = [step for step, count in missing.items() if count and measured[step] is None]
    basis = "at the speed of the last run"
    if guessed:
        assumed = " and ".join(f"{usual[step]:g} s for each of the {step}" for step in guessed)
        basis = f"{assumed}, until a run measures it"
    return f"{what}; to make them takes about {_format_time(seconds)} with {cores} cores ({basis})"


def _format_time(seconds: float) -> str:
    """A duration in the unit that fits, such as `40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds)):d} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
