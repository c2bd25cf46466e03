"""TODO: describe."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import numpy as np

from segchips.errors import InputError
from segchips.files import digest


@dataclass(frozen=True)
class Band:
    """One band of one raster file, or of one image of a platform, which tells its dtype.

    Physical value = pixel * scale + offset. Of a `signed` address the signature is left out.
    """

    href: str
    index: int
    nodata: float | None
    scale: float
    offset: float
    dtype: str | None = None
    signed: bool = False


@dataclass(frozen=True)
class Scene:
    """One catalogue item: UTC acquisition, cloud fraction 0 to 1, its raster assets and lon/lat footprint (WKB)."""

    product: str
    id: str
    acquired: datetime
    cloud: float | None
    assets: Mapping[str, Sequence[tuple[str, Band]]]
    footprint: bytes = field(repr=False, compare=False)

    def find(self, name: str) -> Band | None:
        """The band called `name`: an asset of one band, `asset:2`, or a band name that one asset has."""
        if len(self.assets.get(name, ())) == 1:
            return self.assets[name][0][1]
        asset, _, index = name.rpartition(":")
        if asset in self.assets and index.isdecimal() and 0 < int(index) <= len(self.assets[asset]):
            return self.assets[asset][int(index) - 1][1]
        named = [band for bands in self.assets.values() for known, band in bands if known == name]
        return named[0] if len(named) == 1 and name not in self.assets else None

    def band(self, name: str) -> Band:
        """As `find`, or an InputError that lists what the scene has."""
        found = self.find(name)
        if found is None:
            known = ", ".join(
                key if len(bands) == 1 else f"{key}:1 to {key}:{len(bands)}" for key, bands in self.assets.items()
            )
            raise InputError(
                f"scene '{self.id}' of product '{self.product}' has no band '{name}'; "
                f"it has {known or 'no raster asset'}"
            )
        return found

    @cached_property
    def pin(self) -> str:
        """A digest of everything that decides what is read."""
        return digest(self.product, self.id, self.acquired.isoformat(), assets_to_json(self.assets))


def assets_to_json(assets: Mapping[str, Sequence[tuple[str, Band]]]) -> str:
    plain = {
        key: {
            "href": bands[0][1].href,
            **({"signed": True} if bands[0][1].signed else {}),
            "bands": [_band_json(name, band) for name, band in bands],
        }
        for key, bands in assets.items()
        if bands
    }
    return json.dumps(plain, sort_keys=True)


def _band_json(name: str, band: Band) -> dict[str, object]:
    nodata = "nan" if band.nodata is not None and np.isnan(band.nodata) else band.nodata
    plain: dict[str, object] = {"name": name, "nodata": nodata, "scale": band.scale, "offset": band.offset}
    return plain if band.dtype is None else {**plain, "dtype": band.dtype}


def assets_from_json(text: str) -> dict[str, list[tuple[str, Band]]]:
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
    """An RFC 3339 time as UTC; one without zone is taken as UTC."""
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text.upper())
    parsed = datetime.fromisoformat(cut)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
