"""Text of configs and messages without what must not be published: credentials, signatures and local folders."""

import re
from pathlib import PurePath
from urllib.parse import urlsplit

from segchips.errors import redact_urls


def redact_location(location: str) -> str:
    """A URL without user, query and fragment, or the file name of an absolute path; relative paths stay."""
    address = urlsplit(location)
    if address.scheme and address.netloc:
        return redact_urls(address._replace(query="", fragment="").geturl())
    path = PurePath(location.removeprefix("file://"))
    return f"…/{path.name}" if path.is_absolute() else location


def redact_message(text: str) -> str:
    """A message with its URLs redacted, and with absolute paths reduced to file names."""
    text = redact_urls(re.sub(r"/vsi\w+/(?=\w+://)|file://(?=/)", "", text))
    return re.sub(r"(?<![^\s'\"(=,])/(?:[^/\s'\"]+/)+", "…/", text)
