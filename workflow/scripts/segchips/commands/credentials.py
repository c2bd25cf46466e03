"""Which credentials are set on this machine, never what they are, and which addresses cannot be read without them."""

import netrc
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

_EARTHDATA = re.compile(r"(^|\.)(earthdatacloud|earthdata)\.nasa\.gov$|^e4ft\w*\.cr\.usgs\.gov$")
_LOGIN_PAGES = {
    "landsatlook.usgs.gov": "a USGS login; take the address in s3://usgs-landsat with SEGCHIPS_STAC_ALTERNATE=s3",
    "download.dataspace.copernicus.eu": "a token in GDAL_HTTP_HEADERS",
    "zipper.dataspace.copernicus.eu": "a token in GDAL_HTTP_HEADERS",
}
_AWS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for a public bucket AWS_NO_SIGN_REQUEST=YES"


def has_aws() -> bool:
    """Return whether GDAL finds AWS credentials, or is told to use none."""
    named = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"]
    named += ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    return any(os.environ.get(name) for name in named) or is_aws_anonymous() or _aws_file().is_file()


def is_aws_anonymous() -> bool:
    """Return whether buckets are read without credentials."""
    return os.environ.get("AWS_NO_SIGN_REQUEST", "").upper() in ("YES", "TRUE", "ON", "1")


def pays_for_requests() -> bool:
    """Return whether the owner of the credentials agrees to pay for what is read."""
    return os.environ.get("AWS_REQUEST_PAYER", "") == "requester"


def has_google() -> bool:
    """Return whether GDAL finds credentials of Google Cloud Storage, or is told to use none."""
    named = ("GOOGLE_APPLICATION_CREDENTIALS", "GS_ACCESS_KEY_ID", "GS_OAUTH2_REFRESH_TOKEN", "GS_NO_SIGN_REQUEST")
    return any(os.environ.get(name) for name in named)


def has_azure() -> bool:
    """Return whether GDAL finds credentials of Azure, or is told to use none."""
    named = ["AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_SAS_TOKEN"]
    named += ["AZURE_STORAGE_ACCESS_TOKEN", "AZURE_NO_SIGN_REQUEST"]
    return any(os.environ.get(name) for name in named)


def has_http_login() -> bool:
    """Return whether GDAL sends headers or cookies of the user."""
    named = ("GDAL_HTTP_HEADERS", "GDAL_HTTP_HEADER_FILE", "GDAL_HTTP_BEARER", "GDAL_HTTP_USERPWD")
    return any(os.environ.get(name) for name in (*named, "GDAL_HTTP_COOKIEFILE", "GDAL_HTTP_COOKIE"))


def has_earthdata() -> bool:
    """Return whether there is a login of NASA Earthdata: in the file `.netrc`, or as headers."""
    return has_http_login() or _netrc_names("urs.earthdata.nasa.gov")


def missing_credentials(href: str, authentication: str | None = None, is_paid_by_requester: bool = False) -> str | None:
    """Return what has to be set before an address can be read; None where nothing is known to be missing.

    Args:
        href: The address.
        authentication: The scheme that the metadata name, such as `s3` or `oauth2`.
        is_paid_by_requester: Whether the metadata say that the reader pays.
    """
    parts = urlsplit(href)
    stores: dict[str, tuple[Callable[[], bool], str]] = {
        "s3": (has_aws, _AWS),
        "gs": (has_google, "GOOGLE_APPLICATION_CREDENTIALS; for a public bucket GS_NO_SIGN_REQUEST=YES"),
        "az": (has_azure, "AZURE_STORAGE_CONNECTION_STRING; for a public container AZURE_NO_SIGN_REQUEST=YES"),
    }
    store = stores.get({"abfs": "az", "abfss": "az"}.get(parts.scheme, parts.scheme))
    if store:
        is_set, names = store
        if not is_set():
            return names
        pays = parts.scheme == "s3" and is_paid_by_requester
        if pays and (is_aws_anonymous() or not pays_for_requests()):
            return "AWS_REQUEST_PAYER=requester, beside credentials: the reader pays"
        return None
    if parts.scheme not in ("http", "https"):
        return None
    host = parts.hostname or ""
    if _EARTHDATA.search(host):
        return None if has_earthdata() else "a login of NASA Earthdata in ~/.netrc, or GDAL_HTTP_HEADERS"
    if host in _LOGIN_PAGES:
        return None if has_http_login() else _LOGIN_PAGES[host]
    if authentication and not has_http_login() and "sig=" not in parts.query:
        return f"the login that the catalogue asks for ({authentication}), such as a token in GDAL_HTTP_HEADERS"
    return None


def _aws_file() -> Path:
    return Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")


def _netrc_names(host: str) -> bool:
    path = Path(os.environ.get("GDAL_HTTP_NETRC_FILE") or os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        return netrc.netrc(str(path)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
