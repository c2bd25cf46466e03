"""Reads from catalogues and raster files what a starting config needs to know about the imagery."""

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from segchips.commands.catalogue_survey import products_to_take, survey_catalogue
from segchips.commands.file_survey import survey_files
from segchips.commands.raster_catalogue import product_name, write_catalogue
from segchips.commands.raster_formats import MEDIA_TYPES, is_raster_name, no_rasters, rasters_below
from segchips.commands.rasters import Raster, UndatedError, read_raster
from segchips.commands.surveyed_imagery import ImagerySurvey
from segchips.errors import InputError
from segchips.scenes.model import UNDATED
from segchips.scenes.stac_addresses import is_remote
from segchips.vectors.geometry import Geometries


def find_imagery(folder: Path, others: Collection[Path] = ()) -> list[str]:
    """Returns the folder's catalogue, or the folder itself if it has rasters.

    Args:
        folder: The user's folder.
        others: Files in it that are no imagery.

    Raises:
        InputError: The folder has neither.
    """
    catalogs = sorted(folder.glob("catalog.json")) or sorted(folder.glob("*/catalog.json"))
    if len(catalogs) == 1:
        return [str(catalogs[0])]
    if folder.is_dir() and set(rasters_below(folder)) - set(others):
        return [str(folder)]
    raise InputError(f"'{folder}' holds neither catalog.json nor GeoTIFFs; name a catalogue or folder with --imagery")


def survey_imagery(
    places: Sequence[str],
    products: Sequence[str] = (),
    day: datetime | None = None,
    area: Geometries | None = None,
    years: Sequence[int] = (),
    others: Collection[Path] = (),
) -> list[ImagerySurvey]:
    """Reads bands, dates, pixel size and mask of every layer.

    Args:
        places: Paths or URLs of catalogues, raster files, or folders of rasters. For rasters with dates a catalogue is
            written below `resources`.
        products: Products of the catalogues; none takes the only one.
        day: The acquisition time of all rasters; None reads it from names and tags.
        area: Polygons in longitude and latitude that the scenes have to meet; None for any place.
        years: The years that the labels are from.
        others: Files in the folders that are no imagery.

    Raises:
        InputError: A catalogue or raster cannot be read, or a product has to be named.
    """
    left = list(products)
    catalogues = [place for place in places if _is_catalogue(place)]
    surveys: list[ImagerySurvey] = []
    for place in places:
        if place in catalogues:
            own = left if len(catalogues) == 1 else left[:1]
            left = left[len(own) :]
            surveys += [survey_catalogue(place, name, area, years) for name in products_to_take(place, own)]
        else:
            name = left.pop(0) if left and not catalogues else None
            surveys += _survey_rasters(Path(place), name, day, area, others)
    if left:
        raise InputError(f"--product {left[0]}: there are fewer catalogues than products; name another --imagery")
    return surveys


def _is_catalogue(place: str) -> bool:
    if is_remote(place):
        return True
    path = Path(place)
    if path.is_dir() and not is_raster_name(path):
        return _has_items(path)
    return not is_raster_name(path) and path.suffix.lower() != ".vrt"


def _has_items(folder: Path) -> bool:
    """Whether a folder is a STAC catalogue, or holds items and no rasters."""
    if any((folder / name).exists() for name in ("catalog.json", "collection.json")):
        return True
    suffixes = {path.suffix.lower() for path in folder.rglob("*")}
    return not suffixes & set(MEDIA_TYPES) and bool(suffixes & {".json", ".geojson", ".ndjson", ".parquet"})


def _survey_rasters(
    path: Path, product: str | None, day: datetime | None, area: Geometries | None, others: Collection[Path]
) -> list[ImagerySurvey]:
    """A folder of rasters with dates becomes a catalogue; rasters without are read as they are."""
    if path.is_file() or (path.is_dir() and is_raster_name(path)):
        return survey_files([path])
    if not path.is_dir():
        raise InputError(f"'{path}' does not exist; name a raster, a folder of rasters, or a catalogue with --imagery")
    excluded = {one.resolve() for one in others}
    files = [file for file in rasters_below(path) if file.resolve() not in excluded]
    if not files:
        raise InputError(no_rasters(path))
    dated, undated = _by_date(files, day)
    surveys = []
    if dated:
        name = product or product_name(path)
        catalogue = Path("resources") / name / "catalog.json"
        write_catalogue(path, catalogue, name, day, [*undated, *others])
        surveys.append(survey_catalogue(str(catalogue), name, area))
    return surveys + (survey_files(undated) if undated else [])


def _by_date(files: Sequence[Path], day: datetime | None) -> tuple[list[Path], list[Path]]:
    """The files with and without an acquisition time.

    Raises:
        InputError: A file cannot be used, or has no time but is like others that have one.
    """
    dated, undated, errors = list[Raster](), list[Raster](), dict[Path, UndatedError]()
    for path in files:
        try:
            dated.append(read_raster(path, day))
        except UndatedError as error:
            errors[path] = error
            undated.append(read_raster(path, UNDATED))
    kinds = {(len(raster.names), raster.dtype, raster.pixels) for raster in dated}
    for raster in undated:
        if (len(raster.names), raster.dtype, raster.pixels) in kinds:
            raise errors[raster.path]
    return [raster.path for raster in dated], [raster.path for raster in undated]
