"""The one exception tree: every error a user can cause is a SegchipsError whose text is advice."""

import re

_USER = re.compile(r"(?<=://)[^/\s]*@")
_QUERY = re.compile(r"(\w://[^\s?'\"]*)\?[^\s'\"]*")


def redact_urls(text: str) -> str:
    """Remove the user, password and query from every URL in a text; a query may hold a signature."""
    return _QUERY.sub(r"\1", _USER.sub("", text))


def redact_message(text: str) -> str:
    """Redact a library's message.

    Returns:
        The first line of the message, without anything between a question mark and the next space: libraries quote the
        path and query of a URL without its scheme and host.
    """
    return re.sub(r"\?\S*", "", redact_urls((text.splitlines() or [""])[0]))


class SegchipsError(Exception):
    """Bad input, named, with what to do about it; shown without a traceback."""

    def __str__(self) -> str:
        """One line without secrets, whatever the names hold that it quotes."""
        return "".join(each if each.isprintable() else repr(each)[1:-1] for each in redact_urls(super().__str__()))


class LibraryError(SegchipsError, ImportError):
    """A library that only this needs is not installed."""


class ConfigError(SegchipsError):
    """Keys of the config have values that cannot work; one line for each."""

    def __str__(self) -> str:
        return redact_urls(Exception.__str__(self))


class InputError(SegchipsError):
    """A file, layer, attribute, feature or catalogue cannot be used as it is."""


class StorageError(SegchipsError):
    """A file cannot be written."""


class SceneError(InputError):
    """A scene's raster cannot be read or does not fit its siblings."""


class ServiceError(SceneError):
    """A service would not, or did not within the patience of the config, give what was asked of it."""


class CredentialsError(SegchipsError):
    """A service does not know the user: nothing can be had from it until that is mended."""


class RecordError(SegchipsError):
    """A shard or one of its records is damaged or does not match its description."""
