"""snakemake_internals.py: Snakemake's source is as it was read, and the replaced parts work in small workflows."""

import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[2] / "workflow" / "scripts"
HEAD = f"""
import os, sys
sys.path.insert(0, {str(LIBRARY)!r})
from segchips.pipeline.snakemake_internals import use_private_parts
use_private_parts()
"""
OUTPUTS = """
rule all:
    input: "a", "b", "c"
rule make:
    input: "x", "y"
    output: update("a"), "b", "c"
    run:
        for path in output:
            with open(path, "a") as stream:
                stream.write("made")
"""
PIPED = """
rule all:
    input: "result"
rule one:
    output: pipe("piped")
    shell: "echo through > {output}"
rule two:
    input: "piped"
    output: "result"
    shell: "cat {input} > {output}"
"""


def test_the_source_of_every_private_part_is_as_it_was_read():
    program = (
        "from segchips.pipeline.snakemake_internals import PARTS, READ_IN\n"
        "for name, part in PARTS.items():\n"
        "    if part.source_digest() != part.digest:\n"
        "        read = ', '.join(source.__qualname__ for source in part.sources)\n"
        "        print(f'{name}: Snakemake changed {read} since {READ_IN}. Read it. If it is still true that '\n"
        "              f'{part.reason}, set its digest in PARTS to {part.source_digest()!r}.')"
    )
    command = [sys.executable, "-c", program]
    changed = subprocess.run(command, env={"PYTHONPATH": str(LIBRARY)}, capture_output=True, text=True, check=True)
    assert changed.stdout == ""


def run(folder, snakefile):
    (folder / "Snakefile").write_text(HEAD + snakefile)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--rerun-incomplete", "--force-use-threads"]
    return subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.mark.slow
def test_inputs_are_told_apart_by_content_where_only_their_age_changed(tmp_path):
    for name in "xy":
        (tmp_path / name).write_text(f"{name} one")
    made = 0
    steps = [
        (None, None, 1),
        ("x", "x one", 0),  # only its age
        ("x", "x two", 1),
        ("y", "y one", 0),  # its checksum was taken from the record, it was not read
        ("x", "x two", 0),
        ("y", "y two", 1),
        ("y", "y two", 0),
        ("x", "x two", 0),
    ]
    for name, content, more in steps:
        if name:
            (tmp_path / name).write_text(content)
        result = run(tmp_path, OUTPUTS)
        assert result.returncode == 0, result.stdout
        made += more
        assert (tmp_path / "a").read_text() == "made" * made, (name, content)


@pytest.mark.slow
def test_an_input_of_many_outputs_is_read_once_and_not_again_where_it_is_old(tmp_path):
    counting = """
import hashlib
count, digest = [0], hashlib.file_digest
def counted(*arguments):
    count[0] += 1
    return digest(*arguments)
hashlib.file_digest = counted
onsuccess:
    print("read:", count[0])
"""
    for name in "xy":
        (tmp_path / name).write_text(f"{name} one")
    assert "read: 2" in run(tmp_path, counting + OUTPUTS).stdout
    (tmp_path / "x").write_text("x two")
    assert "read: 2" in run(tmp_path, counting + OUTPUTS).stdout  # x to see whether it changed, x to record it


@pytest.mark.slow
def test_pipes_still_work(tmp_path):
    result = run(tmp_path, PIPED)
    assert result.returncode == 0, result.stdout
    assert (tmp_path / "result").read_text() == "through\n"
