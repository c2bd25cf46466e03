"""What `--delete-all-output` deletes besides the outputs of rules: chips of portions, while no other run is at work."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from snakemake.logging import logger

from segchips.errors import SegchipsError, final_message
from segchips.pipeline.datasets import Datasets
from segchips.pipeline.exclusive_results import exclusive_results
from segchips.pipeline.portions import FOLDER


def supervise_deletion(workflow: Any, datasets: Datasets) -> None:
    """Have what portions have made deleted with the other results of a dataset, and nothing while a run is at work."""
    delete = workflow.delete_output

    def delete_all(only_temp: bool = False, dryrun: bool = False) -> None:
        with nullcontext() if dryrun else _held(datasets.config.results):
            found = {} if only_temp else _made_by_portions(datasets)
            delete(only_temp=only_temp, dryrun=dryrun)
            folders = {folder for job in workflow.dag.jobs for file in job.output for folder in Path(file).parents}
            for path in (path for folder, paths in found.items() if folder in folders for path in paths):
                logger.info(f"{'Would delete' if dryrun else 'Deleting'} {path}")
                if dryrun:
                    continue
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    workflow.delete_output = delete_all


@contextmanager
def _held(results: Path) -> Iterator[None]:
    try:
        with exclusive_results(results, lambda: None):
            yield
    except SegchipsError as error:
        raise SystemExit(final_message(error)) from error


def _made_by_portions(datasets: Datasets) -> dict[Path, list[Path]]:
    """The chips and records of portions by the folder of their dataset, whatever its locks say by now."""
    found = {}
    for name in datasets.config.datasets:
        records = datasets.folder(name) / FOLDER
        if records.is_dir():
            parts = [*datasets.image_folders(name), *(("labels", target) for target in datasets.targets(name))]
            folders = dict.fromkeys(datasets.chip_folder(name, *part) for part in parts)
            chips = [chip for folder in folders for chip in sorted(folder.glob("*#*.tif")) if not chip.is_dir()]
            found[datasets.folder(name)] = [*chips, records]
    return found
