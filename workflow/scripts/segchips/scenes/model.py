"""Scenes and their bands, and their JSON form in scene locks."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from segchips.errors import InputError
from segchips.files import digest
from segchips.scenes.placement import Placement

UNDATED = datetime(1, 1, 1, tzinfo=UTC)
"""The time of acquisition of files without one."""
Scaling = tuple[float, float]
"""Scale and offset: physical value = pixel * scale + offset."""
ALPHA = "alpha"
"""The common name of bands of files that say which pixels are valid."""
PICTURE = re.compile(r"visual|tci|preview|overview|thumbnail|rendered", re.IGNORECASE)
"""Keys of assets that are pictures of the data, made to be looked at."""


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
        common_name: What the band shows, such as `red`, in the words of STAC.
        described: Whether the catalogue lists the bands of the file; otherwise the file may have more of them.
        scaled: Whether scale and offset are known; otherwise only the file may declare them.
        known_nodata: The nodata value that the collection is known to use, for files and catalogues that declare none;
            set when a band is read, and pinned only where a product unites collections.
        version: A digest of the file's content, for files without a catalogue; None where the address tells versions.
        placement: Where the file lies as the catalogue declares it, for files without a georeference; None where it
            does not.
    """

    href: str
    index: int
    nodata: float | None
    scale: float
    offset: float
    dtype: str | None = None
    signed: bool = False
    common_name: str | None = None
    described: bool = True
    scaled: bool = True
    known_nodata: float | None = None
    version: str | None = None
    placement: Placement | None = None

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

    def find_bands(self, name: str) -> list[Band]:
        """Find bands by name.

        Args:
            name: An asset's key, for all its bands; `asset:2` for its second band; a band's name; or a common name. A
                key may be a pattern such as `*_red.tif`.

        Returns:
            The bands in file order; none where the scene has no such band.

        Raises:
            InputError: Several assets go by this name.
        """
        asset, _, index = name.rpartition(":")
        if keys := self._asset_keys(name):
            return [band for _, band in self.assets[self._only(keys, name)]]
        if index.isdecimal() and int(index) > 0 and (keys := self._asset_keys(asset)):
            bands = [band for _, band in self.assets[self._only(keys, name)]]
            if int(index) > len(bands) and not bands[0].described:
                return [replace(bands[0], index=int(index), described=True)]
            wanted = bands[int(index) - 1 : int(index)]
            return [band if band.described else replace(band, described=True) for band in wanted]
        for kind in ("band", "common"):
            matches = [
                (key, band)
                for key, bands in self.assets.items()
                for band_name, band in bands
                if name and name == (band_name if kind == "band" else band.common_name)
            ]
            data = [match for match in matches if not PICTURE.search(match[0])] or matches
            if data:
                self._only([key for key, _ in data], name)
                return [data[0][1]]
        if name.isdecimal() and len(self.assets) == 1:
            (members,) = self.assets.values()
            return [band for _, band in members[int(name) - 1 : int(name)]] if int(name) else []
        return []

    def _asset_keys(self, name: str) -> list[str]:
        """The asset of that key, or those whose keys match the name as a pattern."""
        if name in self.assets or not set("*?[") & set(name):
            return [name] if self.assets.get(name) else []
        return [key for key, bands in self.assets.items() if bands and fnmatchcase(key, name)]

    def _only(self, keys: Sequence[str], name: str) -> str:
        if len(keys) > 1:
            raise InputError(
                f"scene '{self.id}' of product '{self.product}': band '{name}' is ambiguous; "
                f"name one of the assets {', '.join(dict.fromkeys(keys))}"
            )
        return keys[0]

    def find_band(self, name: str) -> Band | None:
        """Return the only band of that name; None where there is none, or an asset of several bands.

        Raises:
            InputError: Several assets go by this name.
        """
        bands = self.find_bands(name)
        return bands[0] if len(bands) == 1 else None

    def band(self, name: str) -> Band:
        """Return the only band of that name.

        Raises:
            InputError: The scene has no such band; the message lists the bands that it has.
        """
        band = self.find_band(name)
        if band is None:
            raise InputError(f"scene '{self.id}' of product '{self.product}' {self.lacking(name)}")
        return band

    def names_of(self, band: Band) -> tuple[str, ...]:
        """Return the asset key, the band name and the common name of a band of this scene."""
        names = ((key, name) for key, bands in self.assets.items() for name, other in bands if other == band)
        return (*next(names, ()), *filter(None, [band.common_name]))

    def asset_of(self, band: Band) -> str:
        """Return the key of the asset that a band of this scene is in."""
        with_band = (key for key, bands in self.assets.items() if any(other == band for _, other in bands))
        with_file = (key for key, bands in self.assets.items() if bands and bands[0][1].href == band.href)
        return next(chain(with_band, with_file))

    def lacking(self, name: str) -> str:
        """Return the words for a band that the scene lacks, with the bands that it has."""
        names = ", ".join(
            key if len(bands) == 1 else f"{key}:1 to {key}:{len(bands)}" for key, bands in self.assets.items()
        )
        return f"has no band '{name}'; it has {names or 'no raster asset'}"

    @cached_property
    def pin(self) -> str:
        """A digest of everything that decides which pixels are read."""
        return digest(self.product, self.id, self.acquired.isoformat(), assets_to_json(self.assets))


def file_scaling(scale: float, offset: float) -> Scaling:
    """Return scale and offset as a file declares them, or 1 and 0 in place of a scale of 0 and of values not finite."""
    return scale if math.isfinite(scale) and scale else 1.0, offset if math.isfinite(offset) else 0.0


def assets_to_json(assets: Mapping[str, Sequence[tuple[str, Band]]]) -> str:
    """Serialise a scene's assets as stable JSON; all bands of an asset share address and placement of the first."""
    content = {
        key: {
            "href": bands[0][1].href,
            **({"signed": True} if bands[0][1].signed else {}),
            **({"placement": astuple(place)} if (place := bands[0][1].placement) else {}),
            "bands": [_band_to_json(name, band, number) for number, (name, band) in enumerate(bands, 1)],
        }
        for key, bands in assets.items()
        if bands
    }
    return json.dumps(content, sort_keys=True)


def _band_to_json(name: str, band: Band, number: int) -> dict[str, object]:
    nodata = "nan" if band.nodata is not None and np.isnan(band.nodata) else band.nodata
    content: dict[str, object] = {"name": name, "nodata": nodata, "scale": band.scale, "offset": band.offset}
    if band.index != number:
        content["index"] = band.index
    optional = {
        "dtype": None,
        "common_name": None,
        "described": True,
        "scaled": True,
        "version": None,
        "known_nodata": None,
    }
    return content | {key: value for key, usual in optional.items() if (value := getattr(band, key)) != usual}


def assets_from_json(text: str) -> dict[str, list[tuple[str, Band]]]:
    """Parse what `assets_to_json` writes."""
    return {
        key: [
            (
                band["name"],
                Band(
                    asset["href"],
                    band.get("index", number),
                    None if band["nodata"] is None else float(band["nodata"]),
                    band["scale"],
                    band["offset"],
                    band.get("dtype"),
                    asset.get("signed", False),
                    band.get("common_name"),
                    band.get("described", True),
                    band.get("scaled", True),
                    band.get("known_nodata"),
                    band.get("version"),
                    _placement_from_json(asset.get("placement")),
                ),
            )
            for number, band in enumerate(asset["bands"], 1)
        ]
        for key, asset in json.loads(text).items()
    }


def _placement_from_json(content: Sequence[Any] | None) -> Placement | None:
    if content is None:
        return None
    crs, transform, shape = content
    return Placement(crs, transform and tuple(transform), shape and (shape[0], shape[1]))


def parse_time(text: str) -> datetime:
    """Parse an RFC 3339 time as UTC, cut to microseconds; a time without a zone counts as UTC."""
    parsed = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.upper()))
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
