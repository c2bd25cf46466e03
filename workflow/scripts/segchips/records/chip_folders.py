"""Pairs of image chips and label chips in two folders, by file name."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segchips.errors import InputError
from segchips.grids.tile import Tile, chip_key
from segchips.records.chip_header import Sidecars
from segchips.records.record_encoding import ChipPair, PairHeaders, make_record, record_order
from segchips.records.shard_index import IndexEntry
from segchips.tiles.assignment import REJECTED

if TYPE_CHECKING:
    from segchips.config.tfrecords import TFRecordsConfig

_SAMPLE_SIZE = 25
"""The number of pairs from which the most common layout is taken."""
_SIDECAR = re.compile(
    r"\.(?:(?P<world>wld|(?:tf|tif|tiff|pg|png|jg|jp|jpg|jpeg|gf|gif|bp|bmp|j2|jp2)w)"
    r"|aux|aux\.xml|ovr|msk|prj|hdr|tab|xml|json|csv|txt|md|html|lock|db|emd)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _ChipFolder:
    """A folder of chips: file names by chip name, and the kind of sidecars by file name or stem."""

    path: Path
    chips: Mapping[str, Sequence[str]]
    sidecars: Mapping[str, Sidecars]

    def sidecars_of(self, file: str) -> Sidecars:
        """The files beside a chip file that can add to its header."""
        if not self.sidecars:
            return Sidecars.NONE
        return max(self.sidecars.get(name, Sidecars.NONE) for name in (file, file.rpartition(".")[0]))


def _chip_name(stem: str) -> str:
    """The tile key that a file's stem stands for, else the stem."""
    return chip_key(stem) if _is_tile_key(stem) else stem


def _is_tile_key(name: str) -> bool:
    if name.count("#") + name.count(":") != 5:
        return False
    try:
        Tile.from_name(name)
    except InputError:
        return False
    return True


def _list_chips(folder: Path) -> _ChipFolder:
    chips: dict[str, list[str]] = defaultdict(list)
    sidecars: dict[str, Sidecars] = {}
    try:
        files = sorted(entry.name for entry in os.scandir(folder) if entry.is_symlink() or entry.is_file())
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); name a folder of chips") from error
    for file in files:
        if match := _SIDECAR.search(file):
            name = file[: match.start()]
            kind = Sidecars.WORLD_FILE if match["world"] else Sidecars.OTHER
            sidecars[name] = max(sidecars.get(name, Sidecars.NONE), kind)
        elif not file.startswith("."):
            chips[_chip_name(file.rpartition(".")[0] or file)].append(file)
    if not chips:
        raise InputError(f"{folder} holds no chips; folders inside it are not searched")
    return _ChipFolder(folder, chips, sidecars)


def _pairing_error(name: str, images: _ChipFolder, labels: _ChipFolder) -> str:
    """Why the files of one name are not a pair; empty if they are."""
    for folder, other, missing in ((images, labels, "label"), (labels, images, "image")):
        files = [f"{folder.path.name}/{file}" for file in folder.chips.get(name, ())]
        if len(files) > 1:
            return f"{' and '.join(files)} have the same name; keep one of them"
        if files and name not in other.chips:
            return f"{files[0]} has no {missing} of the same name"
    return ""


def _chip_pair(name: str, images: _ChipFolder, labels: _ChipFolder) -> ChipPair:
    (image,), (label,) = images.chips[name], labels.chips[name]
    sidecars = max(images.sidecars_of(image), labels.sidecars_of(label))
    return ChipPair(name, (f"{images.path}/{image}",), (f"{labels.path}/{label}",), _is_tile_key(name), sidecars)


def pair_chips(images: Path, labels: Path) -> tuple[list[ChipPair], list[IndexEntry]]:
    """Pair the chips of two folders by file name without extension.

    Args:
        images: The folder of image chips.
        labels: The folder of label chips.

    Returns:
        The pairs in the order of their names, and an entry with the reason for each chip that is not in a pair.

    Raises:
        InputError: A folder has no chips, or no two names agree.
    """
    if images.resolve() == labels.resolve():
        raise InputError(f"{images} is given for images and labels; the labels need a folder of their own")
    image_folder, label_folder = _list_chips(images), _list_chips(labels)
    pairs, rejected = [], []
    for name in sorted(image_folder.chips.keys() | label_folder.chips.keys()):
        if reason := _pairing_error(name, image_folder, label_folder):
            rejected.append(IndexEntry(name, REJECTED, reason, None))
        else:
            pairs.append(_chip_pair(name, image_folder, label_folder))
    if not image_folder.chips.keys() & label_folder.chips.keys():
        first_image, first_label = next(iter(image_folder.chips)), next(iter(label_folder.chips))
        raise InputError(
            f"no chip of {images} has a label of its name in {labels}; the first are {first_image} and {first_label}"
        )
    return pairs, rejected


def most_common_headers(pairs: Sequence[ChipPair], config: "TFRecordsConfig") -> PairHeaders:
    """Find a pair with the layout that is most common in a sample of the pairs.

    Args:
        pairs: All pairs.
        config: How records are stored.

    Returns:
        The headers of that pair's image and label.

    Raises:
        InputError: No pair can become a record.
    """
    by_name, sample, reason = {pair.name: pair for pair in pairs}, [], ""
    for name in record_order(by_name):
        try:
            sample.append(make_record(by_name[name], "", config).headers)
        except InputError as error:
            reason = reason or str(error)
        if len(sample) == _SAMPLE_SIZE:
            break
    if not sample:
        folder = Path(pairs[0].images[0]).parent
        raise InputError(f"none of the {len(pairs)} pairs of {folder} can become a record: {reason}")
    layouts = [tuple(header.layout for part in headers for header in part) for headers in sample]
    return sample[layouts.index(Counter(layouts).most_common(1)[0][0])]
