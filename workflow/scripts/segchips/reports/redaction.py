"""TODO: describe."""

import re
from pathlib import PurePath
from urllib.parse import urlsplit, urlunsplit


def redact_location(place: str) -> str:
    address = urlsplit(place)
    if address.scheme and address.netloc:
        return urlunsplit((address.scheme, address.netloc.rpartition("@")[2], address.path, "", ""))
    path = PurePath(place.removeprefix("file://"))
    return f"…/{path.name}" if path.is_absolute() else place


def redact_message(text: str) -> str:
    """A message without the queries and user names of addresses, and without absolute folders."""
    text = re.sub(r"/vsi\w+/(?=\w+://)|file://(?=/)", "", text)
    text = re.sub(r"(\w://)[^/\s@]*@", r"\1", text)
    text = re.sub(r"(\w://[^\s?#'\"]*)[?#][^\s'\"]*", r"\1", text)
    return re.sub(r"(?<![^\s'\"(=,])/(?:[^/\s'\"]+/)+", "…/", text)
