"""The one exception tree: every error a user can cause is a SegchipsError whose text is advice."""


class SegchipsError(Exception):
    """Bad input, named, with what to do about it; shown without a traceback."""


class LibraryError(SegchipsError, ImportError):
    """A library that only this needs is not installed."""


class ConfigError(SegchipsError):
    """A key of the config has a value that cannot work."""


class InputError(SegchipsError):
    """A file, layer, attribute, feature or catalogue cannot be used as it is."""


class SceneError(InputError):
    """A scene's raster cannot be read or does not fit its siblings."""


class ServiceError(SceneError):
    """A service would not, or did not within the patience of the config, give what was asked of it."""


class CredentialsError(SegchipsError):
    """A service does not know the user: nothing can be had from it until that is mended."""


class RecordError(SegchipsError):
    """A shard or one of its records is damaged or does not match its description."""
