"""Signed URLs: pinned without the signature, signed again by the catalogue when they are read."""

import re
import time
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from segchips.config.imagery import ImageryConfig
from segchips.errors import SceneError, SegchipsError
from segchips.scenes.model import Band, Scene

_REUSE_SECONDS = 240.0
"""How long a signature is used again, unless a server refuses it."""
_MOST_LOOKUPS = 4096
_SECRET = re.compile(
    r"x-(amz|goog|oss|obs)-(?!.*version).*|.*(token|secret|password|credential|signature|apikey|api[-_]key).*"
    r"|sig|auth|authorization|key|awsaccesskeyid|googleaccessid|key-pair-id|policy|expires",
    re.IGNORECASE,
)
_AZURE = re.compile(r"s[vsretp]|srt|sip|spr|sdd|sk(oid|tid|[tesv])|sa?oid|suoid|scid")


def strip_signature(href: str) -> str:
    """Remove the user, the password and the query parameters that sign a URL.

    Other query parameters stay, because reading the file needs them; `errors.redact_urls` removes these too.
    """
    parts = urlsplit(href)
    if not parts.scheme or not (parts.query or "@" in parts.netloc):
        return href
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    azure = "sig" in dict(pairs)
    kept = [pair for pair in pairs if not (_SECRET.fullmatch(pair[0]) or azure and _AZURE.fullmatch(pair[0]))]
    query = parts.query if len(kept) == len(pairs) else urlencode(kept)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def without_signatures(scene: Scene) -> Scene:
    """Return the scene with unsigned URLs; bands whose URL was signed are marked `signed`."""
    assets = {key: [(name, _without_signature(band)) for name, band in bands] for key, bands in scene.assets.items()}
    return replace(scene, assets=assets)


def _without_signature(band: Band) -> Band:
    href = strip_signature(band.href)
    return band if href == band.href else replace(band, href=href, signed=True)


def with_signature(imagery: ImageryConfig, scene: Scene, name: str, refused: str | None = None) -> Band:
    """Return a pinned scene's band with a URL that can be read now.

    Args:
        imagery: The layer of the scene.
        scene: The scene.
        name: The band.
        refused: A URL that was returned before, and that a server has refused.

    Raises:
        SceneError: The catalogue cannot be reached, or no longer lists the band under this URL.
    """
    band = scene.band(name)
    if not band.signed or imagery.sign:
        return band
    current = _listed_band(imagery, scene, name, band.href, time.monotonic() - _REUSE_SECONDS)
    if current and current.href == refused:
        current = _listed_band(imagery, scene, name, band.href, time.monotonic())
    if current is None:
        raise SceneError(
            f"{band.href}: the catalogue no longer lists this address for '{name}' of scene '{scene.id}'; run resolve"
        )
    return replace(band, href=current.href)


def _listed_band(imagery: ImageryConfig, scene: Scene, name: str, href: str, oldest: float) -> Band | None:
    """The band of that unsigned URL, as the catalogue listed it at a moment or later."""
    listed = _listed_scenes(str(imagery.catalog), scene.product, scene.id, oldest)
    candidates = (one.find_band(name) for one in listed)
    return next((other for other in candidates if other and strip_signature(other.href) == href), None)


_lookups: dict[tuple[str, str, str], tuple[float, list[Scene]]] = {}


def _listed_scenes(catalog: str, product: str, scene: str, oldest: float) -> list[Scene]:
    """Look up the scenes of that id in the catalogue, or in this process's lookups since a moment."""
    from segchips.scenes.stac_client import find_scenes_by_id

    key = catalog, product, scene
    found = _lookups.get(key)
    if found is None or found[0] < oldest:
        moment = time.monotonic()
        try:
            found = moment, find_scenes_by_id(scene, product, catalog)
        except SegchipsError as error:
            raise SceneError(f"scene '{scene}' of product '{product}': cannot get a new signature ({error})") from error
        if len(_lookups) >= _MOST_LOOKUPS:
            _lookups.clear()
        _lookups[key] = found
    return found[1]
