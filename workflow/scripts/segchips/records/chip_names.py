"""The names under which image chips and label chips belong together, from their paths.

Names come from patterns, such as `{split}/{name}_sat.jpg`, or else from the paths: as they are where these agree, else
without the parts in which images and labels differ, such as `_sat` and `_mask`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple, TypeVar

from segchips.errors import InputError
from segchips.grids.tile import Tile, chip_key
from segchips.records.chip_files import stem

# fmt: off
_LABEL_WORDS = frozenset([
    "label", "labels", "labelled", "lbl", "lab", "mask", "masks", "gt", "groundtruth", "truth", "annotation",
    "annotations", "annot", "seg", "segmentation", "target", "targets", "msk", "classified",
])
# fmt: on
# fmt: off
_IMAGE_WORDS = frozenset([
    "image", "images", "img", "imgs", "sat", "satellite", "rgb", "tile", "photo", "ortho", "input", "inputs",
    "data", "chip", "chips",
])
# fmt: on
_PART = re.compile(r"[^/_\-. ]+")
_SEPARATOR = re.compile(r"[_\-. ]")
_MAX_RUN = 3
_Taken = TypeVar("_Taken", str, tuple[str, str])
_MAX_PARTS = 2
"""How many parts of a name, at its beginning or end, images and labels may differ in."""


class ChipName(NamedTuple):
    """The name of a chip.

    Attributes:
        name: The name that image and label share.
        split: The split that the path names; empty if the pattern has no `{split}`.
    """

    name: str
    split: str = ""


Names = Mapping[str, Sequence[str]]
"""The paths of the chips of each name."""


def is_tile_key(name: str) -> bool:
    """Whether a name is a tile key, or one in which "#" stands for ":"."""
    if name.count("#") + name.count(":") != 5 or "/" in name:
        return False
    try:
        Tile.from_name(name)
    except InputError:
        return False
    return True


def path_name(file: str) -> str:
    """The name of a chip by its path: the tile key that it stands for, else the path without extension."""
    name = stem(file)
    return chip_key(name) if is_tile_key(name) else name


def pattern_names(files: Sequence[str], pattern: str, key: str) -> dict[str, ChipName]:
    """The name of each file that a pattern matches, by path.

    Args:
        files: Paths relative to their folder.
        pattern: A path in which `{name}` stands for the name, `{split}` for a split, and `*` for any text within a file
            or folder name. The extension may be left out.
        key: The config key of the pattern, for messages.

    Raises:
        InputError: The pattern is not valid, or matches no file.
    """
    if pattern.count("{name}") != 1 or pattern.count("{split}") > 1:
        raise InputError(
            f"{key} '{pattern}' must hold {{name}} once and {{split}} at most once, such as '{{name}}_sat'"
        )
    parts = {"{name}": "(?P<name>.+?)", "{split}": "(?P<split>[^/]+?)", "*": "[^/]*"}
    text = "".join(parts.get(part, re.escape(part)) for part in re.split(r"(\{name\}|\{split\}|\*)", pattern))
    matcher = re.compile(rf"{text}(?:\.[^./]+)?")
    found = {file: match.groupdict() for file in files if (match := matcher.fullmatch(file))}
    if not found:
        raise InputError(f"{key} '{pattern}' matches none of the {len(files)} files; the first is {files[0]}")
    names = {}
    for file, groups in found.items():
        split = groups.get("split") or ""
        name = chip_key(groups["name"]) if is_tile_key(groups["name"]) else groups["name"]
        names[file] = ChipName(f"{split}/{name}" if split else name, split)
    return names


def paired_by_ending(images: Sequence[str], labels: Sequence[str]) -> tuple[Names, Names, str]:
    """Names without the beginnings and endings in which images and labels differ.

    Args:
        images: Paths of image chips, relative to their folder.
        labels: Paths of label chips, relative to theirs.

    Returns:
        The paths by name of images and of labels, and a sentence that says what was left out; empty names if no
        beginnings and endings make names agree, or several do alike.
    """
    found = _find_cuts(images, labels, product(_cuts(images), _cuts(labels)), _without)
    if found is None:
        return {}, {}, ""
    cut_image, cut_label = found
    note = f"images are named {_describe(cut_image)}, labels {_describe(cut_label)}"
    return (
        group_by_name(images, lambda file: _without(file, cut_image)),
        group_by_name(labels, lambda file: _without(file, cut_label)),
        note,
    )


def _find_cuts(
    images: Sequence[str],
    labels: Sequence[str],
    cuts: Iterable[tuple[_Taken, _Taken]],
    without: Callable[[str, _Taken], str],
) -> tuple[_Taken, _Taken] | None:
    """What to take off names of images and of labels, so that most agree: the shortest.

    Args:
        images: Paths of image chips.
        labels: Paths of label chips.
        cuts: What may be taken off the names of images and off those of labels.
        without: Returns a path without it, which ends with "/" if nothing of the name is left.

    Returns:
        None if no name agrees, or several cuts do alike.
    """
    options = []
    for of_image, of_label in cuts:
        names = {without(file, of_image) for file in images}
        agreeing = sum(not name.endswith("/") for name in names & {without(file, of_label) for file in labels} - {""})
        if agreeing and len(names) == len(images):
            length = len("".join(of_image)) + len("".join(of_label))
            options.append((-agreeing, length, of_image, of_label))
    options.sort(key=lambda option: option[:2])
    if not options or len(options) > 1 and options[0][:2] == options[1][:2]:
        return None
    return options[0][2:]


def paired_by_words(files: Sequence[str]) -> tuple[Names, Names, str]:
    """Images and labels of one folder, told by words in their paths such as `mask` or `labels`.

    Returns:
        As `paired_by_ending`; empty names if no file has such a word, or all have.
    """
    label_files = [file for file in files if _word_in(file, _LABEL_WORDS)]
    images = sorted(set(files) - set(label_files))
    if not label_files or not images:
        return {}, {}, ""
    note = f"{len(label_files)} files are labels by a word in their path, such as {label_files[0]}, the others images"
    by_label = group_by_name(label_files, lambda file: _without_word(file, _LABEL_WORDS))
    by_image = group_by_name(images, lambda file: _without_word(file, _IMAGE_WORDS))
    if not by_label.keys() & by_image.keys():
        by_image = group_by_name(images, stem)
    return by_image, by_label, note


def paired_by_part(images: Sequence[str], labels: Sequence[str]) -> tuple[Names, Names, str]:
    """Names without the part in the middle in which images and labels differ, such as `PS-RGB` and `mask`.

    Returns:
        As `paired_by_ending`; empty names if no part makes names agree, or several do alike.
    """
    parts = product(_parts_of_all(images, labels), _parts_of_all(labels, images))
    found = _find_cuts(images, labels, parts, _without_part)
    if found is None:
        return {}, {}, ""
    image_part, label_part = found
    note = f"names of images have '{image_part}' where names of labels have '{label_part}'"
    return (
        group_by_name(images, lambda file: _without_part(file, image_part)),
        group_by_name(labels, lambda file: _without_part(file, label_part)),
        note,
    )


def _parts_of_all(files: Sequence[str], others: Sequence[str]) -> list[str]:
    """The parts between separators, up to three together, that all names of files have and not all of others."""
    name = stem(files[0]).rpartition("/")[2]
    spans = [match.span() for match in _PART.finditer(name)]
    runs = {name[first[0] : last[1]] for at, first in enumerate(spans) for last in spans[at : at + _MAX_RUN]}
    return [run for run in sorted(runs) if _in_all(run, files) and not _in_all(run, others)]


def _in_all(part: str, files: Sequence[str]) -> bool:
    find = _bounded(part)
    return all(find.search(stem(file).rpartition("/")[2]) for file in files)


@lru_cache(256)
def _bounded(part: str) -> re.Pattern[str]:
    """A pattern of a part between separators."""
    return re.compile(rf"(?<![^_\-. ]){re.escape(part)}(?![^_\-. ])")


def _without_part(file: str, part: str) -> str:
    folder, slash, name = stem(file).rpartition("/")
    before, _, after = _bounded(part).sub("\0", name, count=1).partition("\0")
    return folder + slash + (before + after[1:] if before else after[1:])


def paired_by_longer_names(files: Sequence[str]) -> tuple[Names, Names, str]:
    """Images and labels of one folder, where the names of labels are those of images with an ending such as `_m`.

    Returns:
        As `paired_by_ending`; empty names unless one ending tells all files.
    """
    stems = {stem(file) for file in files}
    ends = Counter(
        name[match.start() :]
        for name in stems
        for match in _SEPARATOR.finditer(name, name.rfind("/") + 1)
        if name[: match.start()] in stems
    )
    if not ends:
        return {}, {}, ""
    ((end, count),) = ends.most_common(1)
    labels = [file for file in files if stem(file).endswith(end)]
    images = [file for file in files if not stem(file).endswith(end)]
    if not count == len(labels) == len(images) == len(stems) / 2:
        return {}, {}, ""
    by_label = group_by_name(labels, lambda file: stem(file)[: -len(end)])
    return group_by_name(images, stem), by_label, f"files named '{{name}}{end}' are labels, the others images"


def common_endings(files: Sequence[str]) -> list[str]:
    """The endings, such as `_sat`, that many files have, the most frequent first."""
    ends = Counter(match[0] for file in files if (match := re.search(r"[_\-. ][^/_\-. ]+$", stem(file))))
    return [end for end, count in ends.most_common(4) if count * 4 >= len(files)]


def group_by_name(files: Iterable[str], name: Callable[[str], str]) -> Names:
    """The paths by what `name` makes of them."""
    groups: dict[str, list[str]] = defaultdict(list)
    for file in files:
        groups[name(file)].append(file)
    return groups


_Cut = tuple[str, str]
"""The beginning and the ending that are taken off the file name."""


def _cuts(files: Sequence[str]) -> list[_Cut]:
    """The beginnings and endings that all file names have."""
    names = [stem(file).rpartition("/")[2] for file in files]
    first = names[0]
    separators = [match.start() for match in re.finditer(r"[_\-. ]", first)]
    heads = ["", *(first[: at + 1] for at in separators[:_MAX_PARTS]), *re.findall(r"^[A-Za-z]+(?=\d)", first)]
    tails = ["", *(first[at:] for at in separators[::-1][:_MAX_PARTS]), *re.findall(r"(?<=\d)[A-Za-z]+$", first)]
    heads = [head for head in dict.fromkeys(heads) if all(name.startswith(head) for name in names)]
    tails = [tail for tail in dict.fromkeys(tails) if all(name.endswith(tail) for name in names)]
    return [cut for cut in product(heads, tails) if len("".join(cut)) < min(map(len, names))]


def _without(file: str, cut: _Cut) -> str:
    folder, slash, name = stem(file).rpartition("/")
    return folder + slash + name[len(cut[0]) : len(name) - len(cut[1])]


def _describe(cut: _Cut) -> str:
    return "'{}{{name}}{}'".format(*cut)


def _word_in(file: str, words: frozenset[str]) -> re.Match[str] | None:
    """The last part of a path that is one of the words."""
    matches = [match for match in _PART.finditer(stem(file)) if match[0].lower() in words]
    return matches[-1] if matches else None


def _without_word(file: str, words: frozenset[str]) -> str:
    path, match = stem(file), _word_in(file, words)
    if not match:
        return path
    before, after = path[: match.start()], path[match.end() :]
    return before + after[1:] if after else before.rstrip("/_-. ")
