"""The commands `segchips catalog` and `segchips init`: from a user's files to what the workflow starts from."""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from segchips.errors import LibraryError, SegchipsError, final_message


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; what a user can mend ends it with one message."""
    chosen = command_parser().parse_args(arguments)
    try:
        print(chosen.run(chosen))
    except ModuleNotFoundError as error:
        needed = LibraryError(f"this needs {error.name}, which is not installed: pip install 'segchips[workflow]'")
        raise SystemExit(final_message(needed)) from error
    except SegchipsError as error:
        raise SystemExit(final_message(error)) from error


def command_parser() -> argparse.ArgumentParser:
    """Returns the parser of all commands; the documentation shows what they print with `--help`."""
    parser = argparse.ArgumentParser("segchips", description="Training data for image segmentation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    catalog = commands.add_parser("catalog", help="make a static STAC catalogue of a folder of rasters")
    catalog.add_argument("folder", type=Path, help="folder of the rasters, searched with all folders in it")
    catalog.add_argument("-o", "--output", type=Path, help="catalogue to write (resources/PRODUCT/catalog.json)")
    catalog.set_defaults(run=_catalog)
    init = commands.add_parser("init", help="write a starting config by looking at your files")
    init.add_argument("folder", type=Path, nargs="?", default=Path(), help="folder of your files (this one)")
    init.add_argument("--labels", help="vector file or raster of the labels, where there are several files")
    init.add_argument("--layer", help="layer of the labels, where the file has several")
    init.add_argument("--aoi", help="vector file of the area of interest; without one, the labels' ground is taken")
    init.add_argument(
        "--imagery",
        action="append",
        default=[],
        help="STAC catalogue (path or URL), raster, or folder of rasters; several become layers",
    )
    init.add_argument(
        "--product",
        action="append",
        default=[],
        help="product of the catalogue, several become layers; for a folder of rasters the name to give it",
    )
    init.add_argument("--name", help="name of the dataset (the folder's)")
    init.add_argument("-o", "--output", type=Path, help="config to write (config/NAME.yaml)")
    init.set_defaults(run=_init)
    doctor = commands.add_parser("doctor", help="check the installation, and say what to mend")
    doctor.add_argument("folder", type=Path, nargs="?", default=Path(), help="where runs are started (this folder)")
    doctor.set_defaults(run=_doctor)
    look = commands.add_parser("look", help="make a page to look at a dataset, finished or not")
    look.add_argument("folder", type=Path, help="the dataset's folder of results, such as results/sample")
    look.add_argument("--logs", type=Path, help="the dataset's folder of logs (logs/NAME beside the results)")
    look.add_argument("--chips", type=int, default=60, help="how many tiles get pictures (60)")
    look.add_argument("-o", "--output", type=Path, help="folder of the page (FOLDER/look)")
    look.set_defaults(run=_look)
    coco = commands.add_parser("coco", help="write COCO and panoptic annotations of a dataset of objects")
    coco.set_defaults(run=_coco)
    masks = commands.add_parser("rcnn-masks", help="write chips of a dataset of objects as ArcGIS's RCNN Masks")
    masks.set_defaults(run=_rcnn_masks)
    for command in (coco, masks):
        command.add_argument("folder", type=Path, help="the dataset's folder of results, such as results/buildings")
        command.add_argument("--target", default="", help="target of kind 'instances', where targets have names")
        command.add_argument("--layer", default="", help="image layer to refer to, where layers have names")
    catalog.add_argument(
        "--pattern", help="how files are named below the folder, such as '{scene}_{band}.tif'; {date} and * count too"
    )
    catalog.add_argument("--product", help="name of the product (the folder's)")
    for command in (catalog, init):
        command.add_argument("--day", type=_day, help="day of all GeoTIFFs, where their names do not tell it")
    return parser


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(hour=12, tzinfo=UTC)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no day; a day reads 2023-06-30") from error


def _catalog(chosen: argparse.Namespace) -> str:
    from segchips.commands.raster_catalogue import band_names, product_name, write_catalogue

    product = chosen.product or product_name(chosen.folder)
    path = chosen.output or Path("resources") / product / "catalog.json"
    items = write_catalogue(chosen.folder, path, product, chosen.day, pattern=chosen.pattern)
    days = sorted(item.datetime.date() for item in items if item.datetime)
    bands = ", ".join(band_names(items[0]))
    return (
        f"{path}: {len(items)} scenes of product '{product}' from {days[0]} to {days[-1]}, bands {bands}\n"
        f"next: segchips init --imagery {path} --labels YOUR_LABELS"
    )


def _rcnn_masks(chosen: argparse.Namespace) -> str:
    from segchips.commands.rcnn_masks import write_rcnn_masks

    return str(write_rcnn_masks(chosen.folder, chosen.target, chosen.layer))


def _coco(chosen: argparse.Namespace) -> str:
    from segchips.commands.coco import write_coco

    return "\n".join(map(str, write_coco(chosen.folder, chosen.target, chosen.layer)))


def _doctor(chosen: argparse.Namespace) -> str:
    from segchips.commands.doctor import examine, summary

    findings = examine(chosen.folder)
    if any(finding.state == "fail" for finding in findings):
        print(summary(findings))
        raise SystemExit(1)
    return summary(findings)


def _look(chosen: argparse.Namespace) -> str:
    from segchips.reports.look import write_look

    logs = chosen.logs or chosen.folder.absolute().parent.parent / "logs" / chosen.folder.absolute().name
    return write_look(chosen.folder, logs, chosen.output or chosen.folder / "look", max(0, chosen.chips))


def _init(chosen: argparse.Namespace) -> str:
    from segchips.commands.initialisation import Sources, write_starting_config

    sources = Sources(
        chosen.folder,
        chosen.labels,
        chosen.layer,
        chosen.aoi,
        tuple(chosen.imagery),
        tuple(chosen.product),
        chosen.day,
    )
    return write_starting_config(sources, chosen.name, chosen.output)
