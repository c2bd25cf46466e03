"""Chooses among the assets of a collection those that a chip is made of: no copies, pictures, masks or qualities."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import escape
from typing import Any

from segchips.commands.asset_metadata import AssetMetadata
from segchips.commands.credentials import missing_credentials
from segchips.commands.known_collections import KnownCollection
from segchips.errors import InputError
from segchips.files import Json
from segchips.scenes.model import PICTURE, Scene

MASKS: Mapping[str, Mapping[str, Any]] = {
    "scl": {"clear": [4, 5, 6, 7]},
    "qa_pixel": {"bits": [0, 1, 3, 4]},
    "fmask": {"bits": [1, 2, 3]},
    "oa_fmask": {"clear": [1, 4, 5]},
    "udm2": {"clear": [1]},
    "ortho_udm2": {"clear": [1]},
    "cloud_mask": {"clear": [0]},
    "cloudmask": {"clear": [0]},
    "clm": {"clear": [0]},
}
"""Cloud masks by the name of their asset, with the values or bits that mark clear pixels."""
_NOT_A_BAND = re.compile(
    r"visual|tci|preview|overview|thumbnail|aot|wvp|rendered"
    r"|(^|_)qa($|_)|radsat|aerosol|^st_(atran|cdist|drad|emis|emsd|trad|urad)$|udm|fmask|(^|_)(cld|snw)(prb)?$"
    r"|^[sv][az]a$|^(cloud|snow)$|contiguity|data-mask",
    re.IGNORECASE,
)
"""Pictures, masks, qualities and angles."""


@dataclass(frozen=True)
class Offer:
    """A scene with its item and collection as JSON, whose assets are looked at."""

    scene: Scene
    item: Json
    collection: Mapping[str, Any] = field(repr=False)

    def metadata(self, key: str) -> AssetMetadata:
        """Return what STAC says of an asset."""
        return AssetMetadata(self.item, key, self.collection)

    def missing(self, key: str) -> str | None:
        """Return what has to be set before an asset can be read; None where nothing is known to be missing."""
        about = self.metadata(key)
        href = self.scene.assets[key][0][1].href
        return missing_credentials(href, about.authentication(), about.is_paid_by_requester())


def choose_keys(offer: Offer, known: KnownCollection | None) -> list[str]:
    """Return the assets that hold the bands of a scene.

    Those of a known collection are in its order. Of others, copies in a coarser resolution, in another format, or
    behind a login are left out; pictures are taken if there is nothing else.
    """
    if known and (keys := _known_keys(offer.scene, known)):
        return keys
    keys = [key for key in offer.scene.assets if _is_band(offer, key)]
    pictures = [key for key in offer.scene.assets if re.search(r"visual|tci", key, re.IGNORECASE)]
    if not keys and pictures:
        return sorted(pictures, key=lambda key: _rank(offer, key))[:1]
    copies: dict[object, list[str]] = defaultdict(list)
    for key in keys:
        copies[_content(offer, key)].append(key)
    return [min(group, key=lambda key: _rank(offer, key)) for group in copies.values()]


def choose_mask(offer: Offer, known: KnownCollection | None) -> Mapping[str, Any] | None:
    """Return the `cloud_mask` block of the config for a scene; None where it has no mask that is known."""
    assets = offer.scene.assets
    by_name = {re.sub(r"_\d+m$", "", key.lower()): key for key in reversed(list(assets))}
    pairs = [(name, known.clear) for name in known.masks if name in assets] if known else []
    pairs += [(by_name[name], clear) for name, clear in MASKS.items() if name in by_name]
    if not pairs:
        return None
    key, clear = pairs[0]
    return {"asset": key if len(assets[key]) == 1 else f"{key}:1", **clear}


def band_names(offer: Offer, keys: Sequence[str], others: Sequence[Scene]) -> list[str]:
    """Return the bands of assets as the config names them.

    Args:
        offer: The scene.
        keys: Its assets.
        others: Scenes of the same product; an asset whose key differs between them gets a pattern.
    """
    return [name for key in keys for name in _names(offer.scene, key, others)]


def _known_keys(scene: Scene, known: KnownCollection) -> list[str]:
    """For each band the asset by the first of its names that stands for one asset."""
    keys = (key for names in known.bands for key in list(_assets_named(scene, names))[:1])
    return list(dict.fromkeys(keys))


def _assets_named(scene: Scene, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        try:
            bands = scene.find_bands(name)
        except InputError:
            continue
        if bands and not (PICTURE.search(key := scene.asset_of(bands[0])) and key != name):
            yield key


def _is_band(offer: Offer, key: str) -> bool:
    name = re.sub(r"[-_]jp2$", "", key)
    return name.lower() not in MASKS and not _NOT_A_BAND.search(name) and offer.metadata(key).is_data()


def _content(offer: Offer, key: str) -> object:
    """What is the same for copies of a band: its name without format and size of pixels."""
    size = offer.metadata(key).pixel_size()
    stem = re.sub(r"([-_.](jp2|tiff?|cog))+$", "", key, flags=re.IGNORECASE)
    stem = re.sub(r"[_-]\d+m$", "", stem)
    return "_".join(part for part in re.split("[_-]", stem) if size is None or _number(part) != size)


def _number(text: str) -> float | None:
    return float(text.rstrip("m")) if re.fullmatch(r"\d+(\.\d+)?m?", text) else None


def _rank(offer: Offer, key: str) -> tuple[object, ...]:
    """What can be read comes first, then the finest, then GeoTIFF."""
    size = offer.metadata(key).pixel_size()
    kind = f"{offer.item['assets'][key].get('type')} {key}".lower()
    return offer.missing(key) is not None, size or 0.0, "jp2" in kind, list(offer.scene.assets).index(key)


def _names(scene: Scene, key: str, others: Sequence[Scene]) -> list[str]:
    names = [name for name, _ in scene.assets[key]]
    pattern = _pattern(scene, key, others)
    if len(names) == 1 or pattern != key:
        return [pattern]
    matching = [
        name for bands in scene.assets.values() for name, _ in bands if name in names and name not in scene.assets
    ]
    is_unique = len(matching) == len(names) == len(set(names))
    return names if is_unique else [f"{key}:{number}" for number in range(1, len(names) + 1)]


def _pattern(scene: Scene, key: str, others: Sequence[Scene]) -> str:
    """The key, or a pattern where it holds the id of its scene and each other scene has one such asset."""
    if scene.id not in key or any(key in other.assets for other in others if other.id != scene.id):
        return key
    pattern = "*".join(map(escape, key.split(scene.id)))
    matches = ([name for name in other.assets if fnmatchcase(name, pattern)] for other in (scene, *others))
    return pattern if pattern != "*" and all(len(names) == 1 for names in matches) else key
