"""Files of datasets on a disk or in an object store, read by ranges from s3, gs, az and https addresses."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

from segchips.errors import LibraryError
from segchips.records.forked_store import is_forked, store_process

_BLOCK = 8 * 2**20
"""Bytes of a whole file that are asked for at once."""


def dataset_path(directory: str | Path) -> Path:
    """The path of a directory, which may be an address such as `s3://bucket/dataset/tfrecords`.

    An address becomes a `RemotePath`, which has those methods of `Path` that reading needs.
    """
    if isinstance(directory, RemotePath) or "://" not in str(directory):
        return Path(directory) if isinstance(directory, str) else directory
    return cast(Path, RemotePath(str(directory).rstrip("/")))


def read_range(path: Path, offset: int, length: int) -> bytes:
    """Read `length` bytes from `offset`; fewer at the end of the file."""
    if isinstance(path, RemotePath):
        return path.read_range(offset, length)
    with open(path, "rb", buffering=0) as file:
        file.seek(offset)
        return file.read(length)


@lru_cache(32)
def _store(root: str, process: int) -> Any:
    """The object store of a bucket or server, in a process: connections do not survive a fork.

    Credentials, region and endpoint come from the environment, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL.
    """
    try:
        from obstore.store import from_url
    except ModuleNotFoundError as error:
        raise LibraryError(f"{root} needs obstore, which is not installed: pip install obstore") from error
    options: dict[str, Any] = {"client_options": {"allow_http": True}}
    if root.startswith("s3://") and not {"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN"} & set(os.environ):
        options["skip_signature"] = True
    return from_url(root, **options)


def store_call(root: str, key: str, function: str, *options: int) -> Any:
    """Ask an object store: for the size of an object, its content, a range of it, or the names in a folder.

    Args:
        root: The bucket or server.
        key: The object, or the folder.
        function: "size", "content", "range" or "names".
        options: For a range, its first byte and length.

    Raises:
        FileNotFoundError: There is no such object.
        OSError: The store cannot be reached, or refuses.
    """
    store = _store(root, os.getpid())
    import obstore

    try:
        if function == "size":
            return obstore.head(store, key)["size"]
        if function == "range":
            return bytes(obstore.get_range(store, key, start=options[0], length=options[1]))
        if function == "names":
            listed = obstore.list_with_delimiter(store, key)["objects"]
            return [entry["path"].rpartition("/")[2] for entry in listed]
        return bytes(obstore.get(store, key).bytes())
    except FileNotFoundError as error:
        raise FileNotFoundError(2, "No such file", f"{root}/{key}") from error
    except obstore.exceptions.BaseError as error:
        raise OSError(5, f"the store answers: {str(error).splitlines()[0]}", f"{root}/{key}") from error


class RemotePath:
    """A file or folder of an object store, with the reading methods of `pathlib.Path`."""

    def __init__(self, address: str) -> None:
        self._address = address
        scheme, _, rest = address.partition("://")
        host, _, self._key = rest.partition("/")
        self._root = f"{scheme}://{host}"

    def __str__(self) -> str:
        return self._address

    def __fspath__(self) -> str:
        return self._address

    def __repr__(self) -> str:
        return f"RemotePath({self._address!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and other._address == self._address

    def __hash__(self) -> int:
        return hash(self._address)

    def __lt__(self, other: RemotePath) -> bool:
        return self._address < other._address

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self._address}/{name}")

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self._address.rpartition("/")[2]

    @property
    def parent(self) -> RemotePath:
        """The folder."""
        return RemotePath(self._address.rpartition("/")[0])

    def with_name(self, name: str) -> RemotePath:
        """A file beside this one."""
        return self.parent / name

    def _call(self, function: str, *options: int) -> Any:
        if is_forked():
            return store_process(os.getpid()).call(store_call, self._root, self._key, function, *options)
        return store_call(self._root, self._key, function, *options)

    def size(self) -> int:
        """The size in bytes."""
        return int(self._call("size"))

    def is_file(self) -> bool:
        """Whether there is such a file."""
        try:
            self.size()
        except FileNotFoundError:
            return False
        return True

    exists = is_file

    def read_range(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from `offset`, with one request."""
        return bytes(self._call("range", offset, length)) if length else b""

    def read_bytes(self) -> bytes:
        """The whole file."""
        return bytes(self._call("content"))

    def read_text(self) -> str:
        """The whole file as UTF-8."""
        return self.read_bytes().decode()

    def open(self, mode: str = "r", newline: str | None = None) -> IO[Any]:
        """Open the file for reading: as text at once, as bytes block by block."""
        if mode == "rb":
            return io.BufferedReader(_RemoteFile(self), _BLOCK)
        return io.StringIO(self.read_text(), newline)

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """The files of this folder whose names match; nothing where the store cannot list."""
        try:
            names = self._call("names")
        except OSError:
            return
        yield from (self / name for name in names if fnmatch(name, pattern))


class _RemoteFile(io.RawIOBase):
    """The bytes of a file in a store, from its beginning to its end."""

    def __init__(self, path: RemotePath) -> None:
        self._path, self._offset, self._size = path, 0, path.size()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        length = min(len(buffer), self._size - self._offset)
        data = self._path.read_range(self._offset, length) if length > 0 else b""
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)
