"""What a starting config needs to know about one source of imagery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True)
class ImagerySurvey:
    """One product of a catalogue, or a set of raster files.

    Attributes:
        name: A short name, for a layer of a dataset.
        place: The catalogue, or the path or pattern of files.
        product: The product's id; None for files without a catalogue.
        bands: Its bands as the config names them; empty for all bands of files.
        pixel_size: Metres along a pixel.
        start, middle, end: The first, middle and last day to search; None where days do not matter.
        mask: The `cloud_mask` block of the config.
        nodata: The nodata value to write into the config; None where files and catalogue say enough.
        nodata_is_declared: Whether files or catalogue name a nodata value, or the collection is known to use one.
        sign: The service that signs addresses.
        resampling: How pixels are resampled, if not nearest.
        is_picture: Whether the files are colour pictures of 8 bits.
        off_utm: Whether a file has a projected CRS that is no UTM zone.
        notes: What the user should know, as sentences.
    """

    name: str
    place: str
    product: str | None
    bands: tuple[str, ...]
    pixel_size: float
    start: date | None = None
    middle: date | None = None
    end: date | None = None
    mask: Mapping[str, Any] | None = None
    nodata: float | None = None
    nodata_is_declared: bool = False
    sign: str | None = None
    resampling: str | None = None
    is_picture: bool = False
    off_utm: bool = False
    notes: Sequence[str] = ()


def rounded_size(size: float) -> float:
    """Return a pixel size with two digits if these are close."""
    rounded = float(f"{size:.2g}")
    return rounded if abs(rounded - size) < 0.005 * size else round(size, 6)
