"""The command `segchips init`: looks at the user's files and writes a config that passes the checks of a run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from segchips.commands.chips_survey import ChipsSurvey, chips_config, chips_notes, find_chips
from segchips.commands.imagery_survey import find_imagery, survey_imagery
from segchips.commands.label_years import label_years
from segchips.commands.labels_survey import choose_aoi_and_labels, find_vectors, survey_labels
from segchips.commands.starting_config import (
    config_notes,
    config_text,
    count_tiles,
    on_own_grid,
    starting_config,
    summarize_config,
    with_splitting,
)
from segchips.config.loading import load_config
from segchips.errors import InputError
from segchips.files import atomic_write
from segchips.pipeline.checks import check_catalogue, check_conversion, check_inputs
from segchips.pipeline.datasets import Datasets
from segchips.tiles.label_rasters import raster_extents, raster_files
from segchips.vectors.antimeridian import to_lonlat_geometries
from segchips.vectors.geometry import Geometries
from segchips.vectors.layers import read_layer
from segchips.vectors.sources import layer_name, read_attributes


@dataclass(frozen=True)
class Sources:
    """What the user names; what is None or empty is looked for in the folder.

    Attributes:
        folder: The user's folder.
        labels: The vector file of the labels.
        layer: The layer of the labels.
        aoi: The vector file of the area of interest.
        imagery: Catalogues, rasters and folders of rasters.
        products: Products of the catalogues.
        day: The acquisition time of all rasters.
    """

    folder: Path
    labels: str | None = None
    layer: str | None = None
    aoi: str | None = None
    imagery: Sequence[str] = ()
    products: Sequence[str] = ()
    day: datetime | None = None


def write_starting_config(sources: Sources, name: str | None, output: Path | None) -> str:
    """Writes the config of one dataset, and checks it as a run does.

    Args:
        sources: What the user names.
        name: The dataset's name; None takes that of the folder.
        output: Where to write; None writes `config/<name>.yaml`.

    Returns:
        A summary for the terminal.

    Raises:
        ConfigError: A key or value cannot be used.
        InputError: A file or catalogue cannot be used, or has to be named.
    """
    name = name or _snake(sources.folder.resolve().name)
    path = output or Path("config") / f"{name}.yaml"
    if path.exists():
        raise InputError(f"'{path}' is there already; remove it or name another file with --output")
    if not (sources.labels or sources.imagery) and (chips := find_chips(sources.folder)):
        return _write_chips_config(chips, name, path)
    aoi, labels = _vectors(sources)
    about = survey_labels(str(labels), sources.layer)
    places = sources.imagery or find_imagery(sources.folder, [labels])
    attributes = None if about.is_raster else read_attributes(about.path, layer_name(about.path, about.layer))
    years = label_years(labels.name, attributes)
    area = _area(str(aoi) if aoi else about.path, None if aoi else about.layer)
    others = [path for path in (aoi, labels) if path]
    imagery = survey_imagery(places, sources.products, sources.day, area, years, others)
    config = on_own_grid(starting_config(name, imagery, about, str(aoi) if aoi else None))
    tiles = count_tiles(config)
    config = with_splitting(config, tiles)
    _check(config, name)
    atomic_write(path, config_text(config, config_notes(imagery, about, "resolution" in config["defaults"]["tiles"])))
    summary = summarize_config(config["defaults"], imagery, tiles)
    return f"{summary}\n{path} is written; next: snakemake --configfile {path} -n"


def _write_chips_config(chips: ChipsSurvey, name: str, path: Path) -> str:
    config = chips_config(name, chips)
    check_conversion(load_config(config).conversions[name])
    atomic_write(path, config_text(config, chips_notes(chips)))
    return (
        f"chips    {chips.images} and {chips.labels}: {chips.count} pairs\n"
        f"{path} is written; next: snakemake --configfile {path} -n"
    )


def _vectors(sources: Sources) -> tuple[Path | None, Path]:
    """The files of the area of interest, if any, and of the labels."""
    aoi, labels = (Path(path) if path else None for path in (sources.aoi, sources.labels))
    if labels is not None:
        return aoi, labels
    others = [path for path in find_vectors(sources.folder) if path != aoi]
    found, labels = choose_aoi_and_labels(others)
    return aoi or found, labels


def _area(path: str, layer: str | None) -> Geometries | None:
    """The geometries of a layer in longitude and latitude; None without any."""
    shapes = to_lonlat_geometries(raster_extents(path) if raster_files(path) else read_layer(path, layer))
    return shapes if len(shapes) else None


def _check(config: dict[str, Any], name: str) -> None:
    """Checks what `snakemake -n` checks."""
    datasets = Datasets(load_config(config))
    check_inputs(datasets, name)
    check_catalogue(datasets, name)


def _snake(text: str) -> str:
    """A name as datasets have them."""
    name = re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if re.match("[a-z]", name) else f"dataset_{name}".rstrip("_")
