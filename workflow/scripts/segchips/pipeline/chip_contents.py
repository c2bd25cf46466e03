"""The contents of chips made elsewhere, read again only where a file has changed."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import google_crc32c

from segchips.errors import StorageError
from segchips.files import atomic_write
from segchips.records.reuse import FileIdentity, file_identity

_THREADS = 8
"""Reading waits for a disk or a network more than for a core."""


def chip_contents(files: Sequence[str], memory: Path) -> dict[str, str]:
    """The size and checksum (CRC32C) of each file.

    Args:
        files: The paths of the files.
        memory: A file that holds sizes, times and checksums of an earlier call. It is written if a file has changed and
            its folder exists.
    """
    known = _remembered(memory)
    identities = {file: file_identity(file) for file in files}
    changed = [
        file for file in files if file not in known or known[file][0] != identities[file] or not identities[file]
    ]
    with ThreadPoolExecutor(_THREADS) as threads:
        contents = dict(zip(changed, threads.map(_content, changed), strict=True))
    contents = {file: contents[file] if file in contents else known[file][1] for file in files}
    if changed or len(known) > len(files):
        with suppress(OSError, StorageError):
            if memory.parent.is_dir():
                atomic_write(memory, json.dumps({file: (identities[file], contents[file]) for file in files}))
    return contents


def _remembered(memory: Path) -> Mapping[str, tuple[FileIdentity, str]]:
    with suppress(OSError, ValueError, TypeError, AttributeError):
        return {file: (identity, content) for file, (identity, content) in json.loads(memory.read_bytes()).items()}
    return {}


def _content(file: str) -> str:
    size, checksum = 0, google_crc32c.Checksum()
    try:
        with open(file, "rb", buffering=0) as stream:
            while block := stream.read(1 << 20):
                checksum.update(block)
                size += len(block)
    except OSError as error:
        return f"unreadable ({error.strerror})"
    return f"{size} {checksum.digest().hex()}"
