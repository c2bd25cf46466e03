"""Which image and label of a folder, or of two folders, belong together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from segchips.errors import InputError
from segchips.records.chip_files import ChipFiles, stem
from segchips.records.chip_names import (
    ChipName,
    Names,
    common_endings,
    group_by_name,
    paired_by_ending,
    paired_by_longer_names,
    paired_by_part,
    paired_by_words,
    path_name,
    pattern_names,
)


@dataclass(frozen=True)
class NamedChips:
    """The chips of a pair of folders, by the name that image and label share.

    Attributes:
        images: The paths of the image chips of each name.
        labels: The paths of the label chips of each name.
        note: How names were found, if they are not the paths; else empty.
        splits: The split that a pattern found for a name.
    """

    images: Mapping[str, Sequence[str]]
    labels: Mapping[str, Sequence[str]]
    note: str = ""
    splits: Mapping[str, str] = field(default_factory=dict)

    @property
    def shared(self) -> set[str]:
        """The names that images and labels share."""
        return self.images.keys() & self.labels.keys()


def name_chips(images: ChipFiles, labels: ChipFiles, image_names: str | None, label_names: str | None) -> NamedChips:
    """Find the names under which images and labels belong together.

    Args:
        images: The chips of the folder of images.
        labels: The chips of the folder of labels, which may be the same folder.
        image_names: The pattern of the images' paths; None to find names in the paths alone.
        label_names: The pattern of the labels' paths.

    Raises:
        InputError: No name of an image agrees with one of a label.
    """
    if image_names and label_names:
        return _by_pattern(images, labels, image_names, label_names)
    return _in_one_folder(images) if images.folder == labels.folder else _in_two_folders(images, labels)


def _by_pattern(images: ChipFiles, labels: ChipFiles, image_names: str, label_names: str) -> NamedChips:
    image_chips = pattern_names(images.files, image_names, "chips.image_names")
    label_chips = pattern_names(labels.files, label_names, "chips.label_names")
    if images.folder == labels.folder:
        both = image_chips.keys() & label_chips.keys()
        if both:
            raise InputError(
                f"chips.image_names '{image_names}' and label_names '{label_names}' both match {min(both)} of "
                f"{images.folder}; make them so that each file matches one"
            )
        rest = [file for file in images.files if file not in image_chips and file not in label_chips]
        image_rest, label_rest = rest, list[str]()
    else:
        image_rest = [file for file in images.files if file not in image_chips]
        label_rest = [file for file in labels.files if file not in label_chips]
    by_image, by_label = _named(image_chips, image_rest), _named(label_chips, label_rest)
    splits = {chip.name: chip.split for chip in image_chips.values() if chip.split}
    named = NamedChips(by_image, by_label, "", splits)
    if not named.shared:
        raise InputError(
            f"no name of chips.image_names '{image_names}' in {images.folder} is one of label_names '{label_names}' in "
            f"{labels.folder}; the first are {min(by_image)} and {min(by_label)}"
        )
    return named


def _named(chips: Mapping[str, ChipName], rest: Sequence[str]) -> Names:
    """The paths by name; files that a pattern does not match have their path as a name."""
    return group_by_name([*chips, *rest], lambda file: chips[file].name if file in chips else file)


def _in_one_folder(chips: ChipFiles) -> NamedChips:
    named = NamedChips(*paired_by_words(chips.files))
    if not named.shared:
        named = NamedChips(*paired_by_longer_names(chips.files))
    if not named.shared:
        ends = ", ".join(common_endings(chips.files)) or "no common ending"
        raise InputError(
            f"{chips.folder} is given for images and labels, and its {len(chips.files)} file names do not say which "
            f"are labels (first {chips.files[0]}; endings: {ends}); give chips.image_names and chips.label_names, "
            "such as '{name}_sat' and '{name}_mask', or a folder of labels of their own"
        )
    return named


def _in_two_folders(images: ChipFiles, labels: ChipFiles) -> NamedChips:
    named = NamedChips(group_by_name(images.files, path_name), group_by_name(labels.files, path_name))
    if named.shared:
        return named
    for pair in (paired_by_ending, paired_by_part):
        named = NamedChips(*pair(images.files, labels.files))
        if named.shared:
            return named
    by_file = [group_by_name(side.files, _basename) for side in (images, labels)]
    named = NamedChips(by_file[0], by_file[1], "folders are not part of names")
    if named.shared and all(len(named.images[name]) == len(named.labels[name]) == 1 for name in named.shared):
        return named
    raise InputError(_no_pairs(images, labels, named))


def _no_pairs(images: ChipFiles, labels: ChipFiles, named: NamedChips) -> str:
    repeated = next((name for name in sorted(named.shared) if len(named.labels[name]) > 1), None)
    if repeated:
        folders = ", ".join(sorted({file.rpartition("/")[0] for file in named.labels[repeated]})[:5])
        return (
            f"{labels.folder} has {len(named.labels[repeated])} labels of the chip {repeated}, in the folders "
            f"{folders}; merge them into one label chip for each image, whose values are the classes"
        )
    first = f"the first are {stem(images.files[0])} and {stem(labels.files[0])}"
    ends = [", ".join(common_endings(side.files)) for side in (images, labels)]
    first += f" (endings {ends[0]} and {ends[1]})" if all(ends) else ""
    return (
        f"no chip of {images.folder} has a label of its name in {labels.folder}; {first}; say how their names differ "
        "with chips.image_names and chips.label_names, such as '{name}_sat' and '{name}_mask'"
    )


def _basename(file: str) -> str:
    return stem(file).rpartition("/")[2]
