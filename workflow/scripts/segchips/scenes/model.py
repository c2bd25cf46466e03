"""Scenes and their bands, and their JSON form in scene locks."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import numpy as np

from segchips.errors import InputError
from segchips.files import digest

Scaling = tuple[float, float]
"""Scale and offset: physical value = pixel * scale + offset."""


@dataclass(frozen=True)
class Band:
    """One band of a raster file or of a platform's image.

    Physical value = pixel * scale + offset.

    Attributes:
        href: The file's address, without its signature where `signed`; empty on a platform.
        index: The band's number in the file, from 1.
        nodata: The nodata value that the catalogue declares, or None.
        scale: Physical units of one step of the pixel value.
        offset: The physical value of pixel 0.
        dtype: The NumPy name of the pixels' data type; None where only the file declares it.
        signed: Whether reading the file needs a new signature from the catalogue.
        known_nodata: The nodata value that the collection is known to use, for files and catalogues that declare none;
            set when a band is read, and not pinned.
    """

    href: str
    index: int
    nodata: float | None
    scale: float
    offset: float
    dtype: str | None = None
    signed: bool = False
    known_nodata: float | None = None

    @property
    def scaling(self) -> Scaling:
        """The band's scale and offset."""
        return self.scale, self.offset


@dataclass(frozen=True)
class Scene:
    """One catalogue item.

    Attributes:
        product: The id of the product (a STAC collection, or a product of a platform).
        id: The scene's id within the product.
        acquired: Time of acquisition, UTC.
        cloud: Cloud fraction from 0 to 1, or None where the catalogue does not declare it.
        assets: For each raster asset, its bands in file order with their names.
        footprint: Outline in longitude and latitude, as WKB.
    """

    product: str
    id: str
    acquired: datetime
    cloud: float | None
    assets: Mapping[str, Sequence[tuple[str, Band]]]
    footprint: bytes = field(repr=False, compare=False)

    def find_band(self, name: str) -> Band | None:
        """Find a band by name.

        Args:
            name: An asset of one band, `asset:2` for an asset's second band, or a band name that exactly one asset has.
        """
        if len(self.assets.get(name, ())) == 1:
            return self.assets[name][0][1]
        asset, _, index = name.rpartition(":")
        if asset in self.assets and index.isdecimal() and 0 < int(index) <= len(self.assets[asset]):
            return self.assets[asset][int(index) - 1][1]
        matches = [band for bands in self.assets.values() for band_name, band in bands if band_name == name]
        return matches[0] if len(matches) == 1 and name not in self.assets else None

    def band(self, name: str) -> Band:
        """Return the band of that name, as `find_band` does.

        Raises:
            InputError: The scene has no such band; the message lists the bands that it has.
        """
        band = self.find_band(name)
        if band is None:
            names = ", ".join(
                key if len(bands) == 1 else f"{key}:1 to {key}:{len(bands)}" for key, bands in self.assets.items()
            )
            raise InputError(
                f"scene '{self.id}' of product '{self.product}' has no band '{name}'; "
                f"it has {names or 'no raster asset'}"
            )
        return band

    def names_of(self, band: Band) -> tuple[str, ...]:
        """Return the asset key and the band name of a band of this scene."""
        names = ((key, name) for key, bands in self.assets.items() for name, other in bands if other == band)
        return next(names, ())

    @cached_property
    def pin(self) -> str:
        """A digest of everything that decides which pixels are read."""
        return digest(self.product, self.id, self.acquired.isoformat(), assets_to_json(self.assets))


def assets_to_json(assets: Mapping[str, Sequence[tuple[str, Band]]]) -> str:
    """Serialise a scene's assets as stable JSON; all bands of an asset share the address of the first."""
    content = {
        key: {
            "href": bands[0][1].href,
            **({"signed": True} if bands[0][1].signed else {}),
            "bands": [_band_to_json(name, band) for name, band in bands],
        }
        for key, bands in assets.items()
        if bands
    }
    return json.dumps(content, sort_keys=True)


def _band_to_json(name: str, band: Band) -> dict[str, object]:
    nodata = "nan" if band.nodata is not None and np.isnan(band.nodata) else band.nodata
    content: dict[str, object] = {"name": name, "nodata": nodata, "scale": band.scale, "offset": band.offset}
    return content if band.dtype is None else {**content, "dtype": band.dtype}


def assets_from_json(text: str) -> dict[str, list[tuple[str, Band]]]:
    """Parse what `assets_to_json` writes."""
    return {
        key: [
            (
                band["name"],
                Band(
                    asset["href"],
                    number,
                    None if band["nodata"] is None else float(band["nodata"]),
                    band["scale"],
                    band["offset"],
                    band.get("dtype"),
                    asset.get("signed", False),
                ),
            )
            for number, band in enumerate(asset["bands"], 1)
        ]
        for key, asset in json.loads(text).items()
    }


def parse_time(text: str) -> datetime:
    """Parse an RFC 3339 time as UTC, cut to microseconds; a time without a zone counts as UTC."""
    parsed = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.upper()))
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
