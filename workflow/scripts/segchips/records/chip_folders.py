"""TODO: describe."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segchips.errors import InputError
from segchips.grids.tile import Tile, chip_key
from segchips.records.chip_reader import ALONE, OTHER, WORLD_FILE
from segchips.records.record_encoding import ChipPair, ReferenceHeaders, make_record, record_order
from segchips.records.shard_index import IndexEntry
from segchips.tiles.assignment import REJECTED

if TYPE_CHECKING:
    from segchips.config.model import TFRecordsConfig
_SAMPLE_SIZE = 25
_SIDECAR = re.compile(
    r"\.(?:(?P<world>wld|(?:tf|tif|tiff|pg|png|jg|jp|jpg|jpeg|gf|gif|bp|bmp|j2|jp2)w)"
    r"|aux|aux\.xml|ovr|msk|prj|hdr|tab|xml|json|csv|txt|md|html|lock|db|emd)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _ChipFolder:
    """The chip files of a folder by chip name, and what lies beside them by base name."""

    path: Path
    chips: Mapping[str, Sequence[str]]
    companions: Mapping[str, int]

    def beside(self, file: str) -> int:
        """What lies beside a chip file."""
        if not self.companions:
            return ALONE
        return max(self.companions.get(base, ALONE) for base in (file, file.rpartition(".")[0]))


def _chip_name(stem: str) -> str:
    """The tile key that a file's name stands for, else that name."""
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
    companions: dict[str, int] = {}
    try:
        files = sorted(entry.name for entry in os.scandir(folder) if entry.is_symlink() or entry.is_file())
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}); name a folder of chips") from error
    for file in files:
        if found := _SIDECAR.search(file):
            base = file[: found.start()]
            companions[base] = max(companions.get(base, ALONE), WORLD_FILE if found["world"] else OTHER)
        elif not file.startswith("."):
            chips[_chip_name(file.rpartition(".")[0] or file)].append(file)
    if not chips:
        raise InputError(f"{folder} holds no chips; folders inside it are not searched")
    return _ChipFolder(folder, chips, companions)


def _pairing_error(name: str, images: _ChipFolder, labels: _ChipFolder) -> str:
    """Why the files of one name are no pair; empty where they are one."""
    for folder, other, missing in ((images, labels, "label"), (labels, images, "image")):
        files = [f"{folder.path.name}/{file}" for file in folder.chips.get(name, ())]
        if len(files) > 1:
            return f"{' and '.join(files)} have the same name; keep one of them"
        if files and name not in other.chips:
            return f"{files[0]} has no {missing} of the same name"
    return ""


def _chip_pair(name: str, images: _ChipFolder, labels: _ChipFolder) -> ChipPair:
    (image,), (label,) = images.chips[name], labels.chips[name]
    beside = max(images.beside(image), labels.beside(label))
    return ChipPair(name, f"{images.path}/{image}", f"{labels.path}/{label}", _is_tile_key(name), beside)


def pair_chips(images: Path, labels: Path) -> tuple[list[ChipPair], list[IndexEntry]]:
    """The pairs of two folders by file name without extension, and an entry with a reason for each chip that has none.

    InputError where a folder holds nothing, or no two names agree.
    """
    if images.resolve() == labels.resolve():
        raise InputError(f"{images} is given for images and labels; the labels need a folder of their own")
    found = _list_chips(images), _list_chips(labels)
    pairs, rejected = [], []
    for name in sorted(found[0].chips.keys() | found[1].chips.keys()):
        if reason := _pairing_error(name, *found):
            rejected.append(IndexEntry(name, REJECTED, reason, None))
        else:
            pairs.append(_chip_pair(name, *found))
    if not found[0].chips.keys() & found[1].chips.keys():
        first = [next(iter(folder.chips)) for folder in found]
        raise InputError(
            f"no chip of {images} has a label of its name in {labels}; the first are {first[0]} and {first[1]}"
        )
    return pairs, rejected


def most_common_headers(pairs: Sequence[ChipPair], config: "TFRecordsConfig") -> ReferenceHeaders:
    """The headers of a pair such as most of a sample are; InputError where no pair can become a record."""
    by_name, found, reason = {pair.name: pair for pair in pairs}, [], ""
    for name in record_order(by_name):
        try:
            found.append(make_record(by_name[name], "", config)[0])
        except InputError as error:
            reason = reason or str(error)
        if len(found) == _SAMPLE_SIZE:
            break
    if not found:
        folder = Path(pairs[0].image).parent
        raise InputError(f"none of the {len(pairs)} pairs of {folder} can become a record: {reason}")
    layouts = [tuple(header.layout for header in headers) for headers in found]
    return found[layouts.index(Counter(layouts).most_common(1)[0][0])]
