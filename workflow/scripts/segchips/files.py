"""Files that appear whole or not at all, and digests of what they hold."""

import errno
import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segchips.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa

Json = dict[str, Any]
"""An object of a JSON file."""
_UNWRITABLE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ESTALE,
    errno.EISDIR,
)


def storage_error(path: object, error: OSError) -> StorageError:
    """What to tell where the disk is full, broken or not to be written to; raises the error itself where it is not."""
    if error.errno not in _UNWRITABLE:
        raise error
    reason = os.strerror(error.errno)  # libraries give `strerror` words of their own
    return StorageError(f"{path}: cannot be written ({reason}); mend that and run again")


@contextmanager
def storage_errors(path: str | Path, place: Path) -> Iterator[None]:
    """Turn what the system says of `place`, or of an open file, while `path` is made into a StorageError."""
    try:
        yield
    except OSError as error:
        if Path(error.filename or place) not in (place, *place.parents):
            raise
        raise storage_error(path, error) from error


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block succeeds, else remove it.

    StorageError where the disk is full, broken or not to be written to.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with storage_errors(path, part):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def atomic_write(path: str | Path, content: bytes | memoryview | str) -> None:
    """Write `content` to `path` so that no reader ever sees a part of it."""
    with atomic_path(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def read_parquet(path: str | Path, columns: list[str] | None = None) -> "pa.Table":
    """Read a Parquet file; pyarrow's own read_table imports pandas, which takes longer than most files do."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read(columns)


def read_csv(path: str | Path, schema: "pa.Schema") -> "pa.Table":
    """Read the columns of a schema from a CSV file with a header; empty numbers are null, empty texts are not."""
    import pyarrow.csv as pa_csv

    return pa_csv.read_csv(
        path,
        pa_csv.ReadOptions(use_threads=False),
        pa_csv.ParseOptions(newlines_in_values=True),
        pa_csv.ConvertOptions(
            include_columns=schema.names,
            column_types=dict(zip(schema.names, schema.types, strict=True)),
            null_values=[""],
            strings_can_be_null=False,
        ),
    )


def digest(*parts: object) -> str:
    """A short stable digest of the parts' text or bytes (BLAKE2b, 16 hex digits)."""
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()


def content_digest(path: str | Path) -> str:
    """The digest of a file's bytes, of all members of a folder, or of a shapefile with its companions."""
    path = Path(path)
    if path.is_dir():
        members = sorted(p for p in path.rglob("*") if p.is_file() and p.suffix != ".lock")
    elif path.suffix.lower() == ".shp":
        members = sorted(path.parent.glob(f"{path.stem}.*"))
    else:
        members = [path]
    state = hashlib.blake2b(digest_size=8)
    for member in members:
        state.update(member.name.encode())
        with member.open("rb") as stream:
            state.update(hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).digest())
    return state.hexdigest()


def write_json(path: Path, content: object) -> None:
    """Write JSON, the same bytes for the same content."""
    atomic_write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def json_number(value: float) -> float | str:
    """A number as strict JSON has it: `nan`, `inf` and `-inf` as text, as in STAC."""
    return value if math.isfinite(value) else str(float(value))
