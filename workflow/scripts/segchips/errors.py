"""Exceptions: every error that a user can cause is a SegchipsError whose text says what to do."""

import re

_QUOTED_URL = re.compile(r"(?<=(['\"]))((?:/vsi\w+/)*\w+)://([^'\"\n]*)(?=\1)")
_URL = re.compile(r"(\w+)://((?:(?!\w+://)[^\s'\"])*)")
_QUERY_AFTER_BLANK = re.compile(r"(\w://[^\n?'\"]*)\?[^\s='\"]+=[^\s'\"]*")
_PASSWORD_START = re.compile(r"[^:\[\]]+:(?!\d*$)")


def redact_urls(text: str) -> str:
    """Remove the user, password, query and fragment from every URL in a text; a query may hold a signature.

    A URL in quotes ends with them, any other with the next blank. A `#` is part of the path where a URL is not fetched
    by HTTP.
    """
    text = _QUOTED_URL.sub(lambda match: f"{match[2]}://{_redact_address(match[2], match[3])}", text)
    text = _URL.sub(lambda match: f"{match[1]}://{_redact_address(match[1], match[2])}", text)
    return _QUERY_AFTER_BLANK.sub(r"\1", text)


def _redact_address(scheme: str, address: str) -> str:
    """What follows `://` in a URL, without what must not be shown."""
    ends = r"[?#]" if "http" in scheme else r"\?"
    host = re.split(r"[/?#]", address, maxsplit=1)[0]
    if _PASSWORD_START.match(host) and "@" in address:  # the password has one of these characters
        return _redact_address(scheme, address.rpartition("@")[2])
    return re.split(ends, host.rpartition("@")[2] + address[len(host) :], maxsplit=1)[0]


def redact_library_message(text: str) -> str:
    """Shorten a library's message to a line that is safe to show.

    Returns:
        The first line of the message, without anything between a question mark and the next space: libraries quote the
        path and query of a URL without its scheme and host.
    """
    return re.sub(r"\?\S*", "", redact_urls((text.splitlines() or [""])[0]))


class SegchipsError(Exception):
    """An error that a user can repair; the workflow shows its text without a traceback."""

    def __str__(self) -> str:
        """The message as one line: URLs redacted, control characters of quoted names escaped."""
        text = redact_urls(super().__str__())
        return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


class LibraryError(SegchipsError, ImportError):
    """An optional library is not installed."""


class ConfigError(SegchipsError):
    """Keys of the config have invalid values; the message has one line for each."""

    def __str__(self) -> str:
        return redact_urls(Exception.__str__(self))


class InputError(SegchipsError):
    """A file, layer, attribute, feature or catalogue cannot be used as it is."""


class StorageError(SegchipsError):
    """A file cannot be written."""


class SceneError(InputError):
    """A scene's raster cannot be read, or does not fit the other scenes of its product."""


class UnusableRasterError(SceneError):
    """A raster can be opened, but no chip can be made from what it holds."""


class RefusedError(SceneError):
    """A server refuses a raster, maybe because its signature has expired."""


class ServiceError(SceneError):
    """A service refused a request, or did not answer within `imagery.patience`."""


class CredentialsError(SegchipsError):
    """A service refuses the user's login; all requests fail until the user logs in."""


class RecordError(SegchipsError):
    """A shard or one of its records is damaged or does not match its description."""


def final_message(error: Exception) -> str:
    """The message that ends a command or a run."""
    return f"Error: {error}"
