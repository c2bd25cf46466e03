"""A full disk for chosen files: `os.replace`, by which every file takes its place, fails for them."""

import os
from collections.abc import Mapping

from support.projects import Project

_CODE = """
import errno, fnmatch, os
replace = os.replace
def fail(source, target, **options):
    if any(fnmatch.fnmatch(str(target), pattern) for pattern in os.environ["FULL_FOR"].split("|")):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
    replace(source, target, **options)
os.replace = fail
"""
MESSAGE = "No space left on device"


def with_full_disk(project: Project, patterns: str, environment: Mapping[str, str] = os.environ) -> Project:
    """The project where files of these patterns, divided by `|`, cannot be written."""
    fault = project.folder / "fault"
    fault.mkdir(exist_ok=True)
    (fault / "sitecustomize.py").write_text(_CODE)
    full = Project(project.folder, {**environment, "PYTHONPATH": str(fault), "FULL_FOR": patterns})
    full.workflow = project.workflow
    return full
