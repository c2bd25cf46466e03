"""File names of well-known products: the scene, the band and the time that a name tells, and what files do not say."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from segchips.scenes.known_nodata import known_nodata

Scaling = tuple[float, float]


@dataclass(frozen=True)
class KnownFile:
    """What the name of a file tells by the convention of its product.

    Attributes:
        scene: The id of its scene.
        folder: The folder that holds the files of the scene, themselves or in folders below.
        band: The asset key of its band; None for files that are neither a band nor a mask, such as previews.
        acquired: The time of acquisition, UTC; noon where only the day is known; None where the name does not tell.
        cloud: The cloud fraction from 0 to 1, where a file of metadata tells it.
        nodata: The value of fill, for files that declare none.
        scaling: Scale and offset, for files that declare none.
    """

    scene: str
    folder: Path
    band: str | None
    acquired: datetime | None
    cloud: float | None = None
    nodata: float | None = None
    scaling: Scaling | None = None


_LANDSAT = re.compile(
    r"(?P<scene>L[COTEM]0[1-9]_L[12]\w\w_\d{6}_(?P<day>\d{8})_\d{8}_0[12]_(?:T1|T2|RT|A1|A2))_(?P<band>\w+)",
    re.IGNORECASE,
)
_SENTINEL2 = re.compile(
    r"(?P<scene>(?:L2A_)?T\d\d[A-Z]{3}_(?P<day>\d{8})T(?P<time>\d{6}))_(?P<band>B\d[\dA]|SCL|AOT|WVP|TCI)(?:_(?:10|20|60)m)?",
    re.IGNORECASE,
)
_SAFE = re.compile(
    r"S2[A-D]_MSIL(?:1C|2A)_\d{8}T\d{6}_N(?P<baseline>\d\d)\d\d_R\d{3}_T\w{5}_\d{8}T\d{6}", re.IGNORECASE
)
_PLANET = re.compile(
    r"(?P<scene>(?P<day>\d{8})_(?P<time>\d{6})(?:_\d\d)?_\w{4})(?:_3B)?_"
    r"(?P<kind>AnalyticMS|Analytic|ortho_analytic|Visual|ortho_visual|udm2|ortho_udm2|\w*udm)(?:_\w+)?",
    re.IGNORECASE,
)
_HLS = re.compile(
    r"(?P<scene>HLS\.[LS]30\.T\w{5}\.(?P<day>\d{7})T(?P<time>\d{6})\.v\d+\.\d+)\.(?P<band>\w+)", re.IGNORECASE
)
_SENTINEL2_BAND = re.compile(r"B\d[\dA]")
_UNUSED_FOLDERS = {"QI_DATA", "AUX_DATA", "HTML"}


def known_file(path: Path) -> KnownFile | None:
    """Return what the name of a file tells by a convention; None where it follows none.

    The conventions are those of Landsat Collections 1 and 2, Sentinel-2 (SAFE folders, or their files by themselves),
    HLS and PlanetScope.
    """
    for pattern, read in _CONVENTIONS:
        if match := pattern.fullmatch(path.stem):
            try:
                return read(path, match)
            except ValueError:  # digits that are not a day
                return None
    return None


def _landsat(path: Path, match: re.Match[str]) -> KnownFile:
    scene, band = match["scene"], match["band"].upper()
    metadata = _text(path.with_name(f"{scene}_MTL.txt"))
    clock = re.search(r'SCENE_CENTER_TIME = "?(\d\d):(\d\d):(\d\d)', metadata)
    cloud = re.search(r"CLOUD_COVER = ([\d.]+)", metadata)
    nodata, scaling = known_nodata("landsat", band), None
    if re.fullmatch(r"SR_B\d", band):
        scaling = 0.0000275, -0.2
    elif re.fullmatch(r"ST_B\d+", band):
        scaling = 0.00341802, 149.0
    time = "".join(clock.groups()) if clock else "120000"
    fraction = float(cloud[1]) / 100 if cloud else None
    return KnownFile(scene, path.parent, band, _time(match["day"], time), fraction, nodata, scaling)


def _sentinel2(path: Path, match: re.Match[str]) -> KnownFile:
    safe = next((folder for folder in path.parents if _SAFE.fullmatch(folder.name.removesuffix(".SAFE"))), None)
    band, scene, cloud, scaling = match["band"].upper(), match["scene"], None, None
    if safe and (name := _SAFE.fullmatch(safe.name.removesuffix(".SAFE"))):
        scene = name[0]
        if _SENTINEL2_BAND.fullmatch(band):
            scaling = 0.0001, -0.1 if int(name["baseline"]) >= 4 else 0.0
        metadata = "".join(map(_text, sorted(safe.glob("MTD_MSIL*.xml"))))
        percent = re.search(r"<Cloud_Coverage_Assessment>([\d.]+)<", metadata)
        cloud = float(percent[1]) / 100 if percent else None
    acquired, nodata = _time(match["day"], match["time"]), known_nodata("sentinel-2", band)
    unused = band == "TCI" or not _UNUSED_FOLDERS.isdisjoint(part.upper() for part in path.parts)
    return KnownFile(scene, safe or path.parent, None if unused else band, acquired, cloud, nodata, scaling)


def _planet(path: Path, match: re.Match[str]) -> KnownFile:
    kind = match["kind"].lower()
    band = "udm2" if "udm2" in kind else None if "udm" in kind or "visual" in kind else "image"
    nodata = 0.0 if band == "image" else None
    return KnownFile(match["scene"], path.parent, band, _time(match["day"], match["time"]), None, nodata)


def _hls(path: Path, match: re.Match[str]) -> KnownFile:
    acquired = datetime.strptime(match["day"] + match["time"], "%Y%j%H%M%S").replace(tzinfo=UTC)
    return KnownFile(match["scene"], path.parent, match["band"], acquired)


_CONVENTIONS: tuple[tuple[re.Pattern[str], Callable[[Path, re.Match[str]], KnownFile]], ...] = (
    (_LANDSAT, _landsat),
    (_SENTINEL2, _sentinel2),
    (_PLANET, _planet),
    (_HLS, _hls),
)


def _time(day: str, clock: str) -> datetime:
    return datetime.strptime(day + clock, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


@lru_cache(64)
def _text(path: Path) -> str:
    """The text of a file of metadata; empty where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
