"""Step `images`: one image chip for each tile, and the markers of tiles that are excluded from a run."""

import sys
from collections.abc import Sequence
from pathlib import Path

from segchips.errors import SceneError
from segchips.files import atomic_write
from segchips.grids.tile import Tile
from segchips.pipeline.datasets import Datasets
from segchips.reports.ledger import is_exclusion_marker


def make_image(
    datasets: Datasets, name: str, layer: str, tile_name: str, made_from: str, path: str, provenance: str | None = None
) -> list[str] | None:
    """Write one tile's image chip of one layer.

    Where a tile that cannot be made does not end the run, an empty file takes the place of the chip until the run ends.

    Args:
        datasets: The datasets.
        name: The dataset's name.
        layer: The layer's name, "" for the only one.
        tile_name: The stem of the tile's chip files.
        made_from: The rerun digest of the chip, which is written into it.
        path: The image chip.
        provenance: The file that says which scene each pixel comes from; None to write none.
    """
    from segchips.chips import images

    files = Path(path), Path(provenance) if provenance else None
    try:
        return images.make_image(datasets.image_plan(name, layer), Tile.from_name(tile_name), *files, made_from) or None
    except SceneError as error:
        if datasets[name].imagery.layers[layer].on_failure == "fail":
            raise
        for file in filter(None, files):
            atomic_write(file, b"")
        return [str(error)]


def may_lack_scenes(datasets: Datasets, name: str, layer: str, tile_name: str) -> bool:
    """Whether an image chip may lack scenes: they are skipped, or were when its job wrote lines to its log.

    Snakemake makes the folder of the logs; where it is gone, nothing is known of any chip.
    """
    logs = datasets.chip_logs(name, "images", layer)
    log = logs / f"{tile_name}.log"
    has_lines = log.exists() and log.stat().st_size > 0
    return datasets[name].imagery.layers[layer].skips_scenes or has_lines or not logs.exists()


def lacks_wanted_scene(datasets: Datasets, name: str, layer: str, tile_name: str, path: str) -> bool:
    """Whether a chip lacks a scene that it should have.

    That is one which could not be read when it was made and can be read now or, where the config skips no scenes (any
    more), any. A scene is read for one of the tiles that lack it; the others follow.

    Args:
        datasets: The datasets.
        name: The dataset's name.
        layer: The layer's name, "" for the only one.
        tile_name: The stem of the tile's chip files.
        path: The image chip.
    """
    from segchips.chips.skipped_scenes import can_be_read, skipped_scenes

    plan, tile = datasets.image_plan(name, layer), Tile.from_name(tile_name)
    lock, skips = datasets.folder(name) / "scenes.parquet", plan.imagery.skips_scenes

    def is_readable(product: str, scene: str) -> bool:
        key = "readable", layer, product, scene
        return datasets.read_once(key, lock, lambda _: can_be_read(plan, product, scene, tile))

    return any(not skips or is_readable(product, scene) for product, scene in skipped_scenes(Path(path)))


def exclusion_reasons(datasets: Datasets, name: str, keys: Sequence[str]) -> dict[str, str]:
    """The tiles among these whose chips could not be made in this run, with the reasons."""
    reasons: dict[str, str] = {}
    for layer in datasets.layers(name):
        for key, chip in zip(keys, map(Path, datasets.chips(name, "images", layer, keys)), strict=True):
            if key not in reasons and is_exclusion_marker(chip):
                log = datasets.chip_logs(name, "images", layer) / f"{chip.stem}.log"
                reason = log.read_text(encoding="utf-8").strip()
                reasons[key] = f"{layer}: {reason}" if layer else reason
    return reasons


def clear_exclusion_markers(datasets: Datasets) -> None:
    """Remove the markers of excluded tiles, so that the next run tries these again, and say how many there are."""
    for name, dataset in datasets.config.datasets.items():
        excluded: set[str] = set()
        for layer, imagery in dataset.imagery.layers.items():
            if imagery.on_failure != "fail":
                chips = datasets.chip_folder(name, "images", layer).glob("*.tif")
                for marker in filter(is_exclusion_marker, chips):
                    marker.unlink()
                    (datasets.chip_folder(name, "provenance", layer) / marker.name).unlink(missing_ok=True)
                    excluded.add(marker.name)
        if excluded:
            where = datasets.folder(name) / "ledger.csv"
            print(f"{name}: {len(excluded)} tiles excluded, see {where}; the next run tries again", file=sys.stderr)
