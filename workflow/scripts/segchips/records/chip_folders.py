"""Pairs of image chips and label chips in folders, by file name."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segchips.config.chips import ChipsConfig
from segchips.errors import InputError
from segchips.records.chip_files import ChipFiles, list_chips
from segchips.records.chip_header import ChipHeader
from segchips.records.chip_names import is_tile_key
from segchips.records.chip_pairing import NamedChips, name_chips
from segchips.records.chip_reader import read_header
from segchips.records.record_encoding import ChipPair, PairHeaders, make_record, record_order
from segchips.records.shard_index import IndexEntry
from segchips.tiles.assignment import REJECTED

if TYPE_CHECKING:
    from segchips.config.tfrecords import TFRecordsConfig
    from segchips.records.chip_values import ValueRules

_SAMPLE_SIZE = 25
"""The number of pairs from which the most common layout is taken."""


class PairedChips(NamedTuple):
    """The chips of folders.

    Attributes:
        pairs: The pairs in the order of their names.
        rejected: An entry with the reason for each chip that is not in a pair.
        splits: The split of each chip whose path names one, by name.
        notes: Sentences that say how names were found, where they are not the paths.
    """

    pairs: list[ChipPair]
    rejected: list[IndexEntry]
    splits: dict[str, str]
    notes: list[str]


def _pairing_error(name: str, images: ChipFiles, labels: ChipFiles, named: NamedChips) -> str:
    """Why the files of one name are not a pair; empty if they are."""
    sides = ((images, named.images, named.labels, "label"), (labels, named.labels, named.images, "image"))
    for chips, own, other, missing in sides:
        files = [f"{chips.folder.name}/{file}" for file in own.get(name, ())]
        if len(files) > 1:
            return f"{' and '.join(files)} have the same name; keep one of them"
        if files and name not in other:
            return f"{files[0]} has no {missing} of the same name"
    return ""


def _chip_pair(prefix: str, name: str, images: ChipFiles, labels: ChipFiles, named: NamedChips) -> ChipPair:
    (image,), (label,) = named.images[name], named.labels[name]
    sidecars = max(images.sidecars_of(image), labels.sidecars_of(label))
    full, beside = prefix + name, (*images.beside(image), *labels.beside(label))
    return ChipPair(
        full, (f"{images.folder}/{image}",), (f"{labels.folder}/{label}",), is_tile_key(full), sidecars, beside
    )


def _prefixes(folders: Sequence[str]) -> list[str]:
    """What tells several folders apart, to begin the names of their chips with; empty for one folder."""
    if len(folders) == 1:
        return [""]
    parts = [Path(folder).parts for folder in folders]
    if len(set(map(len, parts))) == 1:
        differing = [at for at in range(len(parts[0])) if len({path[at] for path in parts}) > 1]
        return ["/".join(path[at] for at in differing) + "/" for path in parts]
    return [f"{Path(folder).as_posix().strip('/')}/" for folder in folders]


def find_pairs(config: ChipsConfig) -> PairedChips:
    """Pair the chips of the config's folders.

    Raises:
        InputError: A folder has no chips, or no name of an image agrees with one of a label.
    """
    found = PairedChips([], [], {}, [])
    if len(set(config.image_folders)) < len(config.image_folders):
        raise InputError("chips.images names a folder twice; name each once")
    for prefix, image_folder, label_folder in zip(
        _prefixes(config.image_folders), config.image_folders, config.label_folders, strict=True
    ):
        images = list_chips(Path(image_folder))
        same = Path(image_folder).resolve() == Path(label_folder).resolve()
        labels = images if same else list_chips(Path(label_folder))
        named = name_chips(images, labels, config.image_names, config.label_names)
        found.notes.extend([f"{image_folder}: {named.note}"] if named.note else [])
        for name in sorted(named.images.keys() | named.labels.keys()):
            if reason := _pairing_error(name, images, labels, named):
                found.rejected.append(IndexEntry(prefix + name, REJECTED, reason, None))
            else:
                found.pairs.append(_chip_pair(prefix, name, images, labels, named))
        found.splits.update((prefix + name, split) for name, split in named.splits.items())
    if not found.pairs:
        raise InputError(f"no chip of {', '.join(config.image_folders)} has a label: {found.rejected[0].reason}")
    return found


def pair_chips(images: Path, labels: Path) -> tuple[list[ChipPair], list[IndexEntry]]:
    """Pair the chips of two folders, and of the folders inside them, by file name without extension.

    Args:
        images: The folder of image chips.
        labels: The folder of label chips; it may be the same folder, if names say which chips are labels.

    Returns:
        The pairs in the order of their names, and an entry with the reason for each chip that is not in a pair.

    Raises:
        InputError: A folder has no chips, or no two names agree.
    """
    found = find_pairs(ChipsConfig(images=str(images), labels=str(labels)))
    return found.pairs, found.rejected


def sample_headers(pairs: Sequence[ChipPair]) -> list[ChipHeader]:
    """The headers of the images of a sample of the pairs, without those that cannot be read."""
    headers = []
    by_name = {pair.name: pair for pair in pairs}
    for name in record_order(by_name)[:_SAMPLE_SIZE]:
        with suppress(InputError):
            headers.append(read_header(by_name[name].images[0], by_name[name].sidecars))
    return headers


def most_common_headers(
    pairs: Sequence[ChipPair], config: "TFRecordsConfig", values: "ValueRules | None" = None
) -> PairHeaders:
    """Find a pair with the layout that is most common in a sample of the pairs.

    Args:
        pairs: All pairs.
        config: How records are stored.
        values: What the values of chips made elsewhere become.

    Returns:
        The headers of that pair's image and label.

    Raises:
        InputError: No pair can become a record.
    """
    by_name, sample, reason = {pair.name: pair for pair in pairs}, [], ""
    for name in record_order(by_name):
        try:
            sample.append(make_record(by_name[name], "", config, values=values).headers)
        except InputError as error:
            reason = reason or str(error)
        if len(sample) == _SAMPLE_SIZE:
            break
    if not sample:
        folder = Path(pairs[0].images[0]).parent
        raise InputError(f"none of the {len(pairs)} pairs of {folder} can become a record: {reason}")
    layouts = [tuple(header.layout for part in headers for header in part) for headers in sample]
    return sample[layouts.index(Counter(layouts).most_common(1)[0][0])]
