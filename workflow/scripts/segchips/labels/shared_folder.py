"""Folders of label chips that several datasets share through symbolic links."""

import os
from pathlib import Path


def is_own_folder(folder: Path) -> bool:
    """Whether a dataset's folder of chips exists and is not a link to another dataset's folder."""
    return folder.is_dir() and not folder.is_symlink()


def link_label_folder(folder: Path, owner: Path) -> None:
    """Make a dataset's folder of label chips a link to its owner's folder; if both are the same, remove the link.

    Args:
        folder: The dataset's folder of label chips. A link at this path is replaced.
        owner: The folder that holds the chips.
    """
    if folder.is_symlink():
        folder.unlink()
    if folder != owner:
        folder.symlink_to(os.path.relpath(owner, folder.parent), target_is_directory=True)
