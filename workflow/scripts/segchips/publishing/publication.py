"""Copies a finished dataset to an object store or another folder, file by file, each verified by its checksum."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from segchips.errors import InputError, LibraryError, StorageError, redact_library_message

CHECKSUMS = "SHA256SUMS"
"""Written last, in the format of `sha256sum`; without it a copy is not complete."""
_CHIPS = ("images", "labels", "provenance", "stac")
"""Folders of chips, and of what describes single chips."""
_PART = 8 * 2**20


def publish(folder: Path, address: str) -> Iterator[str]:
    """Copy shards and descriptors of a finished dataset to `<address>/<name of the folder>`.

    Files that are there with the same content are not copied again, so a copy that was stopped continues. Files of an
    earlier copy that the dataset no longer has are removed; files of others stay.

    Args:
        folder: The dataset's folder of results.
        address: A folder, or the URL of a place in an object store, such as `s3://bucket/datasets`.

    Yields:
        Lines that say what was done.

    Raises:
        InputError: The address cannot be used.
        StorageError: A file cannot be copied, or is not there as it was copied.
    """
    store = _open_store(address, folder.name)
    place = f"{address.rstrip('/')}/{folder.name}"
    try:
        yield from _publish(store, folder, place)
    except (OSError, _store_error()) as error:
        advice = "correct address, permissions or network, and run `snakemake publish` again: it continues"
        raise StorageError(f"publish: {place}: {redact_library_message(str(error))}; {advice}") from error


def _publish(store: Any, folder: Path, place: str) -> Iterator[str]:
    files = {path.relative_to(folder).as_posix(): path for path in published_files(folder)}
    sums = {name: _checksum_of_file(path) for name, path in files.items()}
    content = "".join(f"{value}  {name}\n" for name, value in sums.items()).encode()
    before = _read(store, CHECKSUMS)
    known = _parse(before) if before is not None else {}
    if before is not None and before != content:
        store.delete(CHECKSUMS)
    present = {entry["path"]: entry["size"] for batch in store.list() for entry in batch}
    copied = 0
    for name, path in files.items():
        is_there = present.get(name) == path.stat().st_size and _checksum_in_store(store, name) == sums[name]
        if not is_there:
            store.put(name, path)
            if _checksum_in_store(store, name) != sums[name]:
                raise StorageError(f"publish: {place}/{name} is not what was copied; run `snakemake publish` again")
            copied += 1
    stale = sorted(known.keys() - sums.keys() & present.keys())
    if stale:
        store.delete(stale)
    if before != content:
        store.put(CHECKSUMS, content)
    size = sum(path.stat().st_size for path in files.values())
    gone = f", {len(stale)} removed" if stale else ""
    yield f"{place}: {len(files)} files of {size:,} bytes verified, {copied} of them copied now{gone}"


def published_files(folder: Path) -> list[Path]:
    """The files of a dataset that are published, in order: neither chips and their descriptions nor hidden files."""
    found = (path for path in folder.rglob("*") if path.is_file())
    named = ((path, path.relative_to(folder).parts) for path in found)
    chosen = [path for path, parts in named if parts[0] not in _CHIPS and not any(part[0] == "." for part in parts)]
    return sorted(path for path in chosen if path.name != CHECKSUMS)


def _open_store(address: str, name: str) -> Any:
    try:
        from obstore.store import LocalStore, from_url
    except ImportError as error:
        raise LibraryError("publish: the library obstore is not installed: pip install obstore") from error
    if "://" not in address or address.startswith("file://"):
        folder = unquote(urlsplit(address).path) if address.startswith("file://") else address
        return LocalStore(Path(folder) / name, mkdir=True)
    try:
        return from_url(f"{address.rstrip('/')}/{name}")
    except Exception as error:
        raise InputError(f"publish: {address}: {redact_library_message(str(error))}") from error


def _store_error() -> type[Exception]:
    from obstore.exceptions import BaseError

    return BaseError


def _read(store: Any, name: str) -> bytes | None:
    try:
        return bytes(store.get(name).bytes())
    except FileNotFoundError:
        return None


def _parse(sums: bytes) -> dict[str, str]:
    lines = (line.partition("  ") for line in sums.decode(errors="replace").splitlines())
    return {name: value for value, _, name in lines}


def _checksum_of_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checksum_in_store(store: Any, name: str) -> str:
    checksum = hashlib.sha256()
    for part in store.get(name).stream(min_chunk_size=_PART):
        checksum.update(part)
    return checksum.hexdigest()
