"""Step `ledger`: every tile once, with its state and reason."""

import sys
from pathlib import Path

from segchips.pipeline.datasets import Datasets
from segchips.pipeline.steps.prune import unused_chips


def make_ledger(datasets: Datasets, name: str, path: str, log: str) -> list[str]:
    """Write the ledger to `path`; `log` is named where it lists chips of former tiles."""
    from segchips.reports import ledger

    indices = [Path(index) for index in datasets.indices(name)]
    rows = ledger.finished_rows(datasets.assignments(name), datasets.image_plans(name), indices)
    previous = ledger.read_ledger(Path(path)) if Path(path).exists() else []
    rows = ledger.mark_moved_tiles(rows, previous)
    ledger.write_ledger(Path(path), rows)
    unused = unused_chips(datasets, name)
    if unused:
        what, advice = "chips belong to no tile, layer or target any more", "`snakemake prune` removes them"
        print(f"{name}: {len(unused)} {what}; {advice} (listed in {log})", file=sys.stderr)
    return [ledger.summarise_states(rows), *(f"belongs to nothing any more: {chip}" for chip in unused)]


def write_unfinished_ledger(datasets: Datasets, name: str) -> None:
    """Write the ledger after a failure: what is there, and the reasons of tiles that failed, from their logs."""
    from segchips.reports import ledger

    folder = datasets.folder(name)
    if not datasets.has_result(name, "splits.parquet", "scenes.parquet"):
        return
    assignments, plan = datasets.assignments(name), datasets.image_plans(name)
    parts = [("images", layer) for layer in datasets.layers(name)]
    parts += [("labels", target) for target in datasets.targets(name)]
    rows, path = ledger.unfinished_rows(assignments, plan, folder, datasets.logs(name), parts), folder / "ledger.csv"
    if not path.exists() or ledger.read_ledger(path) != rows:
        ledger.write_ledger(path, rows)
    print(f"{name}: {ledger.summarise_states(rows)}; see {path}", file=sys.stderr)
