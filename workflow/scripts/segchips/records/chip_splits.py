"""The split of each chip made elsewhere: by lists, folders, blocks of ground, or its name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from segchips.config.chips import ChipsConfig
from segchips.config.splitting import SplittingConfig
from segchips.errors import InputError
from segchips.records.chip_files import stem
from segchips.records.chip_folders import PairedChips
from segchips.records.chip_ground import Ground, centres, close_chips, median_side
from segchips.records.chip_reader import read_header
from segchips.records.record_encoding import ChipPair
from segchips.tiles.assignment import split_of
from segchips.tiles.blocks import Blocks, split_numbers

if TYPE_CHECKING:
    from segchips.config.tfrecords import TFRecordsConfig

_SYNONYMS = {"training": "train", "trn": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}


def listed_splits(names: Sequence[str], lists: Mapping[str, str]) -> dict[str, str]:
    """The split of each chip that a list names.

    Args:
        names: The names of the chips.
        lists: By split, a text file with a name a line. A name may have an extension, and folders may be left out.

    Raises:
        InputError: A list cannot be read, names no chip, or names a chip that another list names.
    """
    short: dict[str, list[str]] = {}
    for name in names:
        short.setdefault(name.rpartition("/")[2], []).append(name)
    splits: dict[str, str] = {}
    for split, path in lists.items():
        matched = 0
        for line in _read_lines(path):
            for name in _named(line, set(names), short):
                if splits.setdefault(name, split) != split:
                    raise InputError(
                        f"{path} lists {line}, which is in the list of split {splits[name]}; keep it in one"
                    )
                matched += 1
        if not matched:
            raise InputError(f"{path} names none of the {len(names)} chips; a line is a name such as {names[0]}")
    return splits


def _read_lines(path: str) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a list of chips ({error}); give a text file") from error
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _named(line: str, names: set[str], short: Mapping[str, Sequence[str]]) -> Sequence[str]:
    for candidate in (line, stem(line), line.split()[0], stem(line.split()[0])):
        if candidate in names:
            return [candidate]
        if len(found := short.get(candidate.rpartition("/")[2], [])) == 1:
            return found
    return []


def folder_splits(names: Sequence[str], splits: Sequence[str]) -> dict[str, str]:
    """The split of each chip by the first folder of its name; empty unless the first folders of all are splits."""
    first = {name: name.partition("/")[0] for name in names if "/" in name}
    by_folder = {folder: _split_of_folder(folder, splits) for folder in set(first.values())}
    if len(first) < len(names) or not all(by_folder.values()):
        return {}
    return {name: by_folder[folder] for name, folder in first.items()}


def _split_of_folder(folder: str, splits: Sequence[str]) -> str:
    name = folder.lower()
    return next((split for split in (name, _SYNONYMS.get(name, "")) if split in splits), "")


def name_splits(names: Sequence[str], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """The split that each chip draws by its name."""
    return {name: split_of(f"{name}|{seed}" if seed else name, shares) for name in names}


def _block_splits(grounds: Mapping[str, Ground], config: SplittingConfig) -> dict[str, str]:
    """The split of each chip by the block of ground that holds its centre."""
    blocks = Blocks(_block_side(grounds, config.block), config.seed)
    numbers = split_numbers(blocks.draw(blocks.containing(*centres(grounds))), config.shares).tolist()
    return {name: list(config.shares)[number] for name, number in zip(grounds, numbers, strict=True)}


def _block_side(grounds: Mapping[str, Ground], block: float | str) -> float:
    """The side of a block in metres; a text counts chips."""
    if isinstance(block, str):
        return median_side(grounds) * int(block.split()[0])
    return float(block)


def _guarded(grounds: Mapping[str, Ground], splits: Mapping[str, str], config: SplittingConfig) -> dict[str, str]:
    """The reason of each chip that comes too close to one of a split with a smaller share."""
    dropped: dict[str, str] = {}
    rank = sorted(config.shares, key=lambda split: -config.shares[split])
    for one, other in close_chips(grounds, splits, config.guard):
        loser, winner = sorted((one, other), key=lambda name: rank.index(splits[name]))
        near = f"comes nearer than {config.guard:g} m to" if config.guard else "shares ground with"
        dropped.setdefault(loser, f"guard: it {near} {winner} of split {splits[winner]}")
    return dropped


class AssignedSplits(NamedTuple):
    """The split of each chip.

    Attributes:
        splits: The split by name, of dropped chips too if they have one.
        dropped: The reason by name of each chip that is left out.
        notes: Sentences about how splits were found, where names alone do not decide.
        rule: The sentence that says what the split of a chip follows from.
    """

    splits: dict[str, str]
    dropped: dict[str, str]
    notes: list[str]
    rule: str


def assign_splits(
    found: PairedChips, chips: ChipsConfig, splitting: SplittingConfig, config: "TFRecordsConfig"
) -> AssignedSplits:
    """Assign chips to splits.

    Args:
        found: The chips.
        chips: The config of the chips, which may list the chips of each split.
        splitting: How chips are split, completed.
        config: The names of the splits and their shares.

    Raises:
        InputError: A list or folder names a split or chip that does not exist, or a chip has no location to split by.
    """
    names = [pair.name for pair in found.pairs]
    dropped: dict[str, str] = {}
    notes: list[str] = []
    grounds: dict[str, Ground] = {}
    if splitting.by == "block" or not splitting.allow_overlap:
        grounds = _located(found.pairs)
    if chips.splits:
        splits = listed_splits(names, chips.splits)
        dropped = {name: "it is in no list of chips.splits" for name in names if name not in splits}
        rule = "Lists name the split of each chip."
    elif splitting.by == "block":
        splits = name_splits(names, config.splits, splitting.seed) | _block_splits(grounds, splitting)
        rule = f"Chips are assigned to splits in blocks of {_block_side(grounds, splitting.block):g} m."
    elif found.splits:
        splits = {name: _known_split(split, config.splits) for name, split in found.splits.items()}
        rule = "The path of each chip names its split."
    elif splits := folder_splits(names, list(config.splits)):
        notes.append(f"splits are those of the folders {', '.join(sorted({name.partition('/')[0] for name in names}))}")
        rule = "The first folder of each chip's path names its split."
    else:
        splits = name_splits(names, config.splits, splitting.seed)
        rule = "The split of each chip follows from a hash of its name."
    if not splitting.allow_overlap:
        dropped |= _guarded({name: grounds[name] for name in splits if name in grounds}, splits, splitting)
    for split in config.splits:
        if config.splits[split] > 0 and split not in {of for name, of in splits.items() if name not in dropped}:
            notes.append(f"split {split} is empty")
    return AssignedSplits(splits, dropped, notes, rule)


def _known_split(name: str, splits: Mapping[str, float]) -> str:
    if split := _split_of_folder(name, list(splits)):
        return split
    raise InputError(
        f"chips.image_names finds split '{name}', which tfrecords.splits lacks ({', '.join(splits)}); add it"
    )


def _located(pairs: Sequence[ChipPair]) -> dict[str, Ground]:
    """The ground of each chip; InputError if one has none. A chip whose header cannot be read is left out later."""
    grounds, missing = {}, []
    for pair in pairs:
        try:
            header = read_header(pair.images[0], pair.sidecars)
        except InputError:
            continue
        if ground := Ground.of(header.crs, header.geotransform, header.height, header.width):
            grounds[pair.name] = ground
        else:
            missing.append(pair.name)
    if missing:
        raise InputError(
            f"splitting by blocks of ground needs chips with a CRS, and {len(missing)} of {len(pairs)} have none, "
            f"such as {missing[0]}; use splitting.by: tile"
        )
    return grounds
