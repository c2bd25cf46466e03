"""Datasets from a static STAC catalogue and from both platforms, then 500 tiles while everything goes wrong at times.

python tests/benchmarks/faults.py [seed [rate]]      7 and 0.2 unless named

Ends with an error where a chip depends on its source or on the platform's day.
"""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))

from loopback.faults import TRANSIENT  # noqa: E402
from loopback.server import Platform  # noqa: E402
from segchips.sample.sample import write_sample  # noqa: E402
from support.catalogues import write_three_collections  # noqa: E402
from support.chips import read_chips  # noqa: E402
from support.projects import Project, sample_config  # noqa: E402

SOURCES = ("stac", "descarteslabs", "earthone")
CATALOGUE, UNMASKED = "resources/collections/catalog.json", "sample_20230705T101029_r022"
MASK = {"product": "sample-clouds", "band": "cloud_mask", "clear": [0]}
KINDS: dict[str, dict[str, Any]] = {
    "closest": {},
    "median": {"cloud_mask": MASK, "composite": "median"},
    "stacked": {
        "products": [
            {"id": "sample-l2a", "bands": ["B04", "B03", "B02"]},
            {"id": "sample-nir", "bands": ["B08"], "resampling": "bilinear"},
        ],
    },
}
SMALL = {"size": 20, "pad": 1, "resolution": 10, "aoi": "resources/sample/aoi.gpkg"}
MOST_RUNS = 20


def project_of(folder: Path, platform: Platform, tiles: dict[str, Any], datasets: dict[str, Any]) -> Project:
    config = sample_config()
    config["requests"] = 16
    config["defaults"]["tiles"] |= tiles
    config["defaults"]["imagery"] |= {"catalog": CATALOGUE, "cloud_mask": None}
    config["datasets"] = {name: {"imagery": imagery} for name, imagery in datasets.items()}
    project = Project(folder, platform.environment())
    project.write(config)
    return project


def images(project: Project, dataset: str) -> dict[str, tuple[Any, ...]]:
    return read_chips(project.results(dataset) / "images")


def show_sources(folder: Path) -> None:
    """Every kind of composite from every source."""
    names = {f"{kind}_{source}": block | {"source": source} for kind, block in KINDS.items() for source in SOURCES}
    with Platform(folder / CATALOGUE, home=folder / "home") as platform:
        project = project_of(folder, platform, {}, names)
        result = project.run()
        assert result.returncode == 0, result.stdout
        for kind in KINDS:
            first, *others = (images(project, f"{kind}_{source}") for source in SOURCES)
            assert first and all(other == first for other in others), kind
            print(f"{kind}: {len(first)} chips, the same from {', '.join(SOURCES)}", flush=True)


def show_faults(folder: Path, source: str, seed: int, rate: float) -> None:
    """One dataset on a bad day, run again until it is whole, beside the same on a good day."""
    imagery = {"source": source, "patience": 12}
    with Platform(folder / CATALOGUE, home=folder / "home") as platform:
        project = project_of(folder, platform, SMALL, {f"good_{source}": imagery})
        result = project.run()
        assert result.returncode == 0, result.stdout
        bad = f"bad_{source}"
        project = project_of(folder, platform, SMALL, {bad: imagery})
        platform.faults.inject(seed, rate, [*TRANSIENT, "404"], "raster", most_in_a_row=2)
        platform.faults.inject(seed, rate / 100, ["401", "403"], "raster")
        platform.faults.inject(seed, rate, TRANSIENT, "catalog")
        for number in range(1, MOST_RUNS + 1):
            platform.log.clear()
            start = time.monotonic()
            code = project.run().returncode
            took = time.monotonic() - start
            met = Counter(request.fault for request in platform.log if request.fault)
            states = check_ledger(project, bad, stopped=bool({"401", "403"} & met.keys()))
            print(
                f"{source}, run {number}: {took:.0f} s, {len(platform.log)} requests, {dict(states)}, met {dict(met)}"
            )
            if code == 0:
                break
        assert images(project, bad) == images(project, f"good_{source}")
        assert (set(states), platform.attempts(), platform.defects) == ({"made"}, [], [])
        print(f"{source}: {states['made']} chips as on a good day", flush=True)


def check_ledger(project: Project, dataset: str, stopped: bool) -> Counter[str]:
    """The ledger's states; it has every tile once and says why a chip is missing, unless the run was stopped."""
    if not (project.results(dataset) / "ledger.csv").exists():
        return Counter()
    rows = project.ledger(dataset)
    there = images(project, dataset)
    assert len({row["tile"] for row in rows}) == len(rows) >= len(there)
    for row in rows:
        if row["tile"] in there:
            assert row["state"] in ("made", "unfinished"), row
        else:
            assert (row["state"] == "failed" and row["reason"]) or (row["state"] == "unfinished" and stopped), row
    return Counter(row["state"] for row in rows)


def main() -> None:
    seed, rate = int(sys.argv[1]) if len(sys.argv) > 1 else 7, float(sys.argv[2]) if len(sys.argv) > 2 else 0.2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder / "resources/sample")
        write_three_collections(folder / "resources/sample", folder / "resources/collections", UNMASKED)
        show_sources(folder)
        for source in SOURCES[1:]:
            show_faults(folder, source, seed, rate)


if __name__ == "__main__":
    main()
