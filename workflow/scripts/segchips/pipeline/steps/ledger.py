"""Step `ledger`: every tile once, with its state and reason."""

import sys
from pathlib import Path

from segchips.files import atomic_write
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.made_from import glance_made_from, write_made_from
from segchips.pipeline.steps.prune import unused_chips

_UNFINISHED = "an unfinished run"
"""What a ledger was made from that a failed run has left."""


def make_ledger(datasets: Datasets, name: str, path: str, log: str) -> list[str]:
    """Write the ledger to `path`; `log` is named where it lists chips of former tiles."""
    from segchips.reports import ledger

    indices = [Path(index) for index in datasets.indices(name)]
    rows = ledger.finished_rows(datasets.assignments(name), datasets.image_plans(name), indices)
    former = _former(Path(path))
    has_failed = former.exists()
    previous = ledger.read_ledger(former if has_failed else Path(path)) if Path(path).exists() else []
    rows = ledger.mark_moved_tiles(rows, previous, repeats=has_failed)
    ledger.write_ledger(Path(path), rows)
    former.unlink(missing_ok=True)
    unused = unused_chips(datasets, name)
    if unused:
        what, advice = "chips belong to no tile, layer or target any more", "`snakemake prune` removes them"
        print(f"{name}: {len(unused)} {what}; {advice} (listed in {log})", file=sys.stderr)
    return [ledger.summarise_states(rows), *(f"belongs to nothing any more: {chip}" for chip in unused)]


def write_unfinished_ledger(datasets: Datasets, name: str) -> None:
    """Write the ledger after a failure: what is there, and the reasons of tiles that failed, from their logs."""
    from segchips.reports import ledger

    if not datasets.has_result(name, "splits.parquet", "scenes.parquet"):
        return
    path = datasets.folder(name) / "ledger.csv"
    parts = datasets.parts(name)
    chips = [datasets.chip_folder(name, kind, part) for kind, part in parts]
    logs = [datasets.chip_logs(name, kind, part) for kind, part in parts]
    rows = ledger.unfinished_rows(
        datasets.assignments(name),
        datasets.image_plans(name),
        datasets.indices_by_split(name),
        list(zip((part for _, part in parts), chips, logs, strict=True)),
    )
    former, is_whole = _former(path), path.exists() and glance_made_from([str(path)]) != _UNFINISHED
    last = path if is_whole else former
    rows = ledger.mark_moved_tiles(rows, ledger.read_ledger(last) if last.exists() else [], repeats=True)
    if not path.exists() or ledger.read_ledger(path) != rows:
        if is_whole:
            atomic_write(former, path.read_bytes())
        ledger.write_ledger(path, rows)
        write_made_from(_UNFINISHED, [str(path)])  # else the next run takes it for a changed file, and says so
    print(f"{name}: {ledger.summarise_states(rows)}; see {path}", file=sys.stderr)


def _former(path: Path) -> Path:
    """Where the ledger of the last whole run is kept while a failed run's has its place: it says where tiles were."""
    return path.with_name(f".{path.stem}.former.csv")
