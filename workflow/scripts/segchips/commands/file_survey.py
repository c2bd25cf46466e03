"""Reads from raster files without dates what a starting config needs; each kind of raster becomes a layer."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from segchips.commands.raster_look import RasterLook, look_at
from segchips.commands.surveyed_imagery import ImagerySurvey, rounded_size
from segchips.errors import InputError

_Kind = tuple[int, str, float]


def survey_files(files: Sequence[Path]) -> list[ImagerySurvey]:
    """Survey raster files as layers of source `files`: those with the same bands, dtype and pixel size together.

    Raises:
        InputError: A file cannot be used, or the files of one kind share neither a folder nor the start of their names.
    """
    looks = {path: look_at(str(path)) for path in files}
    kinds: dict[_Kind, list[Path]] = defaultdict(list)
    for path, look in looks.items():
        kinds[look.count, look.dtype, rounded_size(look.pixel_size)].append(path)
    return [_survey(paths, looks[paths[0]], files) for paths in kinds.values()]


def _survey(paths: Sequence[Path], look: RasterLook, everything: Sequence[Path]) -> ImagerySurvey:
    place = _place(paths, everything)
    bands = tuple(str(number) for number in range(1, look.count + 1) if number not in look.alpha)
    is_elevation = look.count == 1 and look.dtype.startswith(("float", "int"))
    return ImagerySurvey(
        (paths[0] if len(paths) == 1 else paths[0].parent).stem,
        place,
        None,
        bands if look.alpha and bands else (),
        rounded_size(look.pixel_size),
        nodata=look.nodata if look.is_picture else None,
        nodata_is_declared=look.nodata is not None or bool(look.alpha),
        resampling="bilinear" if is_elevation else None,
        is_picture=look.is_picture,
        off_utm=look.off_utm,
    )


def _place(paths: Sequence[Path], everything: Sequence[Path]) -> str:
    """The path of one file, their folder, or a pattern that no other file matches."""
    if len(paths) == 1:
        return paths[0].as_posix()
    others = set(everything) - set(paths)
    folder = Path(os.path.commonpath([path.parent for path in paths]))
    if not any(folder in other.parents for other in others):
        return folder.as_posix()
    start = os.path.commonprefix([path.name for path in paths])
    pattern = f"{start}*{paths[0].suffix}"
    if len({path.parent for path in paths}) == 1 and not any(other.match(str(folder / pattern)) for other in others):
        return (folder / pattern).as_posix()
    listed = ", ".join(f"'{path}'" for path in (*paths[:1], *sorted(others)[:1]))
    raise InputError(
        f"'{folder}' holds rasters of several kinds ({listed}); put each kind into a folder of its own, or name each "
        "with --imagery"
    )
