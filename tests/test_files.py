"""files.py: files that appear whole or not at all, also when a process is killed, and digests of what they hold."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from segchips.errors import StorageError
from segchips.files import atomic_path, atomic_write, content_digest, digest, storage_errors


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "deep" / "a.txt"
    with atomic_path(path) as part:
        part.write_text("half")
        assert not path.exists() and part.parent == path.parent
        part.write_text("whole")
    assert path.read_text() == "whole" and listing(path.parent) == ["a.txt"]


def test_what_was_there_stays_until_then(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_path(str(path)) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("old", [None, "old"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path, old, error):
    path = tmp_path / "a.txt"
    if old:
        path.write_text(old)
    with pytest.raises(error), atomic_path(path) as part:
        part.write_text("half")
        raise error
    assert listing(tmp_path) == (["a.txt"] if old else []) and (not old or path.read_text() == old)


def test_a_block_that_writes_nothing_is_an_error_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(path):
        pass
    assert path.read_text() == "old"


@pytest.mark.parametrize("content", [b"\x00\xff", "grün", ""])
def test_write_whole_takes_bytes_and_text(tmp_path, content):
    atomic_write(tmp_path / "a", content)
    assert (tmp_path / "a").read_bytes() == (content if isinstance(content, bytes) else content.encode("utf-8"))


def test_no_reader_ever_sees_a_part(tmp_path):
    path, stop, seen = tmp_path / "a", threading.Event(), set()
    atomic_write(path, "0" * 200_000)

    def read():
        while not stop.is_set():
            seen.add((len(content := path.read_bytes()), len(set(content))))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(50):
        atomic_write(path, str(number % 10) * 200_000)
    stop.set()
    reader.join()
    assert seen == {(200_000, 1)}


def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    program = f"""
import time
from segchips.files import atomic_path
with atomic_path({str(path)!r}) as part:
    part.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    assert path.read_text() == "old"
    # what the killed process left is hidden, and no chip, shard or lock by its name
    assert [name for name in listing(tmp_path) if not name.startswith(".") or not name.endswith(".part")] == ["a.txt"]


def test_digests_tell_parts_apart():
    values = [
        (),
        ("",),
        ("", ""),
        ("ab",),
        ("a", "b"),
        ("b", "a"),
        ("a\0", "b"),
        (b"\xff",),
        (1,),
        (11,),
        (1, 1),
        (None,),
    ]
    assert len({digest(*value) for value in values}) == len(values)
    assert digest("ä", 1) == digest("ä".encode(), "1")


def test_digests_are_stable_and_short():
    """A digest of another run, or machine, has to be the same; this one is worked out by hand."""
    state = hashlib.blake2b(digest_size=8)
    for part in (b"a", b"12"):
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    assert digest("a", 12) == state.hexdigest() and len(digest()) == 16


def test_the_digest_of_a_file_is_of_its_bytes_not_its_age(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 3_000_000)
    first = content_digest(path)
    os.utime(path, (time.time() - 1000,) * 2)
    assert content_digest(str(path)) == first
    path.write_bytes(b"x" * 2_999_999 + b"y")
    assert content_digest(path) != first


def test_the_digest_of_a_folder_is_of_all_its_members(tmp_path):
    folder = tmp_path / "a.gdb"
    folder.mkdir()
    (folder / "one").write_text("1")
    (folder / "two").write_text("2")
    first = content_digest(folder)
    (folder / "x.lock").write_text("locks come and go")
    assert content_digest(folder) == first
    (folder / "two").write_text("3")
    changed = content_digest(folder)
    (folder / "three").write_text("")
    assert len({first, changed, content_digest(folder)}) == 3


def test_the_digest_of_a_shapefile_is_also_of_its_companions(tmp_path):
    for suffix in ("shp", "dbf", "prj"):
        (tmp_path / f"a.{suffix}").write_text(suffix)
    (tmp_path / "ab.dbf").write_text("another's")
    first = content_digest(tmp_path / "a.shp")
    (tmp_path / "ab.dbf").write_text("changed")
    assert content_digest(tmp_path / "a.shp") == first
    (tmp_path / "a.dbf").write_text("changed")
    assert content_digest(tmp_path / "a.shp") != first


@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="the file that nobody can remove is one of Linux")
def test_a_file_that_cannot_be_removed_is_told(tmp_path):
    path = Path("/proc/version")
    with pytest.raises(StorageError, match="/proc/version: cannot be written"), storage_errors(path, path):
        path.unlink()


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path):
    (tmp_path / "chip.tif").mkdir()
    with pytest.raises(StorageError, match=r"chip\.tif: cannot be written \(Is a directory\)"):
        atomic_write(tmp_path / "chip.tif", b"pixels")
