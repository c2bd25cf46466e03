"""Addresses that a catalogue itself has signed: pinned without the signature, asked for afresh when they are read."""

import re
import time
from dataclasses import replace
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from segchips.config.model import ImageryConfig
from segchips.errors import SceneError, SegchipsError
from segchips.scenes.model import Band, Scene

_LASTS = 240.0
"""Seconds for which a signature is used once it was given; those that end sooner are of little use to anybody."""
_SECRET = re.compile(
    r"x-(amz|goog|oss|obs)-(?!.*version).*|.*(token|secret|password|credential|signature|apikey|api[-_]key).*"
    r"|sig|auth|authorization|key|awsaccesskeyid|googleaccessid|key-pair-id|policy|expires",
    re.IGNORECASE,
)
_AZURE = re.compile(r"s[vsretp]|srt|sip|spr|sdd|sk(oid|tid|[tesv])|sa?oid|suoid|scid")


def unsigned(href: str) -> str:
    """The address without user, password and what signs it."""
    parts = urlsplit(href)
    if not parts.scheme or not (parts.query or "@" in parts.netloc):
        return href
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    azure = "sig" in dict(pairs)
    kept = [pair for pair in pairs if not (_SECRET.fullmatch(pair[0]) or azure and _AZURE.fullmatch(pair[0]))]
    query = parts.query if len(kept) == len(pairs) else urlencode(kept)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def without_signatures(scene: Scene) -> Scene:
    """The scene with addresses that anybody may see."""
    assets = {key: [(name, _plain(band)) for name, band in bands] for key, bands in scene.assets.items()}
    return replace(scene, assets=assets)


def _plain(band: Band) -> Band:
    href = unsigned(band.href)
    return band if href == band.href else replace(band, href=href, signed=True)


def signed(imagery: ImageryConfig, scene: Scene, name: str) -> Band:
    """A scene's band as it may be read now; SceneError where the catalogue no longer gives its address."""
    band = scene.band(name)
    if not band.signed or imagery.sign:
        return band
    given = (each.find(name) for each in _afresh(str(imagery.catalog), scene.product, scene.id))
    found = next((each for each in given if each and unsigned(each.href) == band.href), None)
    if found is None:
        raise SceneError(
            f"{band.href}: the catalogue no longer gives this address for '{name}' of scene '{scene.id}'; run resolve"
        )
    return replace(band, href=found.href)


def _afresh(catalog: str, product: str, scene: str) -> list[Scene]:
    """The scenes of that id as the catalogue gives them now, or gave them a moment ago."""
    try:
        return _lookup(catalog, product, scene, int(time.monotonic() // _LASTS))
    except SegchipsError as error:
        raise SceneError(f"scene '{scene}' of product '{product}': no fresh signature to be had ({error})") from error


@lru_cache(maxsize=4096)
def _lookup(catalog: str, product: str, scene: str, _: int) -> list[Scene]:
    from segchips.scenes.stac_client import scenes_called

    return scenes_called(scene, product, catalog)
