"""Checks which credentials are set, and whether they are complete; their values are never shown."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from segchips.commands.credentials import (
    has_aws,
    has_azure,
    has_earthdata,
    has_google,
    has_http_login,
    is_aws_anonymous,
    pays_for_requests,
)
from segchips.commands.finding import Finding

_PRIVATE = (".netrc", ".aws/credentials", ".config/gcloud/application_default_credentials.json")
_PLATFORMS = {
    "EarthOne": ("EARTHONE_TOKEN", ".earthone/token_info.json", "earthone auth login"),
    "Descartes Labs": ("DESCARTESLABS_TOKEN", ".descarteslabs/token_info.json", "descarteslabs auth login"),
}


def check_credentials() -> Iterator[Finding]:
    """List credentials that are there, and those that are incomplete or that others can read."""
    home, environment = Path.home(), os.environ
    platforms = {
        name: bool(environment.get(variable)) or (home / path).is_file()
        for name, (variable, path, _) in _PLATFORMS.items()
    }
    stores = {
        "buckets of S3": has_aws(),
        "Google Cloud Storage": has_google(),
        "Azure": has_azure(),
        "NASA Earthdata": has_earthdata(),
        "HTTP headers": has_http_login(),
        "headers of a STAC catalogue": bool(environment.get("SEGCHIPS_STAC_HEADERS")),
        "a key of the Planetary Computer": bool(environment.get("PC_SDK_SUBSCRIPTION_KEY")),
        **platforms,
    }
    there = [name for name, is_set in stores.items() if is_set]
    lacking = [name for name, is_set in stores.items() if not is_set]
    yield Finding("ok", "credentials", f"set: {', '.join(there) or 'none, which public catalogues do not need'}")
    if lacking:
        yield Finding("ok", "credentials", f"not set: {', '.join(lacking)}; needed only if a config names these")
    if is_aws_anonymous():
        yield Finding(
            "note", "credentials", "AWS_NO_SIGN_REQUEST is on: private buckets cannot be read; unset it for these"
        )
    elif there and has_aws() and not pays_for_requests():
        text = "buckets whose reader pays need AWS_REQUEST_PAYER=requester, which is not set"
        yield Finding("note", "credentials", text)
    yield from _incomplete()
    for name in _PRIVATE:
        path = home / name
        if path.is_file() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield Finding("note", "credentials", f"others on this machine can read '{path}'; run: chmod 600 {path}")


def _incomplete() -> Iterator[Finding]:
    pairs = [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("GS_ACCESS_KEY_ID", "GS_SECRET_ACCESS_KEY")]
    for pair in pairs:
        named = [name for name in pair if os.environ.get(name)]
        if len(named) == 1:
            (missing,) = set(pair) - set(named)
            yield Finding("fail", "credentials", f"{named[0]} is set without {missing}; set both or neither")
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GDAL_HTTP_HEADER_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        path = os.environ.get(name)
        if path and not Path(path).is_file():
            yield Finding("fail", "credentials", f"{name} names a file that does not exist; correct or unset it")
    for line in os.environ.get("SEGCHIPS_STAC_HEADERS", "").splitlines():
        if line.strip() and ":" not in line:
            text = "a line of SEGCHIPS_STAC_HEADERS has no colon; write Name: value, one a line"
            yield Finding("fail", "credentials", text)
