"""publication.py: copies in a folder and on a real S3 server, continued, changed and damaged."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from segchips.errors import StorageError
from segchips.publishing.publication import CHECKSUMS, publish
from support.s3_server import BUCKET, s3_server

FILES = {
    "README.md": b"card",
    "ledger.csv": b"tile,state\n",
    "tfrecords/crops-train.tfrecord-00000-of-00001": os.urandom(3 * 2**20),
    "tfrecords/dataset_info.json": b"{}",
}
OTHERS = {"images/a.tif": b"chip", "labels/a.tif": b"chip", "stac/collection.json": b"{}", ".audited": b""}


class Bucket:
    """What an address holds, read with another client than the one under test."""

    def __init__(self, address: str, environment: dict[str, str]) -> None:
        import boto3

        self.address = address
        endpoint = environment["AWS_ENDPOINT_URL"]
        self._client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")

    def read(self) -> dict[str, bytes]:
        listed = self._client.list_objects_v2(Bucket=BUCKET, Prefix="place/").get("Contents", [])
        keys = [entry["Key"] for entry in listed]
        return {key.removeprefix("place/"): self._get(key) for key in keys}

    def _get(self, key: str) -> bytes:
        return self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def write(self, name: str, content: bytes) -> None:
        self._client.put_object(Bucket=BUCKET, Key=f"place/{name}", Body=content)


class Folder:
    """As `Bucket`, of a folder."""

    def __init__(self, path: Path) -> None:
        self.address, self._path = str(path), path

    def read(self) -> dict[str, bytes]:
        files = (path for path in self._path.rglob("*") if path.is_file())
        return {path.relative_to(self._path).as_posix(): path.read_bytes() for path in files}

    def write(self, name: str, content: bytes) -> None:
        (self._path / name).parent.mkdir(parents=True, exist_ok=True)
        (self._path / name).write_bytes(content)


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with s3_server() as environment:
        yield environment


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder | Bucket]:
    if request.param == "folder":
        yield Folder(tmp_path / "place")
        return
    environment = request.getfixturevalue("server")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket(f"s3://{BUCKET}/place", environment)
    yield bucket
    for key in bucket.read():
        bucket._client.delete_object(Bucket=BUCKET, Key=f"place/{key}")


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "crops"
    for name, content in (FILES | OTHERS).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def expected(files: dict[str, bytes]) -> dict[str, bytes]:
    """What a place holds after the files of the dataset `crops` were published."""
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    return {f"crops/{name}": content for name, content in files.items()} | {f"crops/{CHECKSUMS}": sums.encode()}


def test_shards_and_descriptors_are_copied_once(place: Folder | Bucket, crops: Path) -> None:
    place.write("crops/notes.txt", b"of others")
    (line,) = publish(crops, place.address)
    assert line.endswith("4 files of 3,145,745 bytes verified, 4 of them copied now")
    assert place.read() == expected(FILES) | {"crops/notes.txt": b"of others"}
    (line,) = publish(crops, place.address)
    assert line.endswith("0 of them copied now")
    assert place.read() == expected(FILES) | {"crops/notes.txt": b"of others"}


def test_a_copy_goes_on_where_it_stopped(place: Folder | Bucket, crops: Path) -> None:
    place.write("crops/README.md", b"card")
    shard = "tfrecords/crops-train.tfrecord-00000-of-00001"
    place.write(f"crops/{shard}", FILES[shard][:-1] + b"?")
    (line,) = publish(crops, place.address)
    assert line.endswith("3 of them copied now")
    assert place.read() == expected(FILES)


def test_what_the_dataset_no_longer_has_is_removed(place: Folder | Bucket, crops: Path) -> None:
    list(publish(crops, place.address))
    (crops / "ledger.csv").unlink()
    (crops / "README.md").write_bytes(b"another card")
    (line,) = publish(crops, place.address)
    assert line.endswith("1 of them copied now, 1 removed")
    files = {name: content for name, content in FILES.items() if name != "ledger.csv"}
    assert place.read() == expected(files | {"README.md": b"another card"})


def test_a_failed_copy_is_not_complete(crops: Path, server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match="publish: s3://nowhere/crops: .*run `snakemake publish` again"):
        list(publish(crops, "s3://nowhere"))
