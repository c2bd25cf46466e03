"""Files of the repository are small enough to read, and name no machine's folders."""

import re
import subprocess
from pathlib import Path

import pytest

from support.projects import REPOSITORY

MOST_LINES = 400
FOLDERS = "home|Users|root|work|tmp|mnt"
ABSOLUTE_PATH = re.compile(rf"(?<![\w.*~}}>-])/(?:{FOLDERS})/(?!me/)[\w.]+")
"""An absolute path below a folder that differs between machines; `me` stands for any user."""


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [REPOSITORY / name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).is_file()]


def test_no_source_file_is_longer_than_400_lines(tracked: list[Path]) -> None:
    sources = [path for path in tracked if path.suffix in (".py", ".smk") or path.name == "Snakefile"]
    assert sources
    lines = {str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines()) for path in sources}
    assert {path: count for path, count in lines.items() if count > MOST_LINES} == {}


def test_no_absolute_path_is_in_the_repository(tracked: list[Path]) -> None:
    named = {}
    for path in tracked:
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if match := ABSOLUTE_PATH.search(text):
            named[str(path.relative_to(REPOSITORY))] = match[0]
    assert named == {}


@pytest.mark.parametrize(
    ("text", "absolute"),
    [("cd /{}/ann/x", True), ("x=/{}/a", True), ("file:///{}/me/a", False), ("see ../{}/a", False)],
)
def test_the_pattern_of_absolute_paths(text: str, absolute: bool) -> None:
    assert all(bool(ABSOLUTE_PATH.search(text.format(folder))) == absolute for folder in FOLDERS.split("|"))


@pytest.mark.parametrize(("subject", "status"), [("x" * 72, 0), ("ü" * 72, 0), ("x" * 73, 1)])
def test_commit_subjects_have_at_most_72_characters(tmp_path: Path, subject: str, status: int) -> None:
    message = tmp_path / "message"
    message.write_text(f"{subject}\n\n{'y' * 90}\n# a comment of git {'z' * 90}\n")
    check = subprocess.run([REPOSITORY / ".ci" / "check_subjects", message], capture_output=True, text=True)
    assert check.returncode == status and (status == 0) == (check.stderr == "")
