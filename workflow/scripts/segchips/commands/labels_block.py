"""What a starting config says of labels: the block `labels`, and notes about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_KEYS = ("path", "layer", "attribute", "kind", "classes", "background", "unknown")


@dataclass(frozen=True)
class LabelsSurvey:
    """One label layer.

    `layer` is None if the file has only one. `classes` maps the texts of `attribute`, or the names and values of a
    raster, to numbers, `values` are the numbers of a numeric attribute or of a raster, and `blank` counts features
    without a text. `is_raster` says whether the labels are pixels, `notes` what the user should check of them.
    """

    path: str
    layer: str | None = None
    attribute: str | None = None
    classes: Mapping[str, int | None] | None = None
    values: Sequence[int] = ()
    blank: int = 0
    is_raster: bool = False
    kind: str | None = None
    background: int | None = 255
    unknown: int | None = None
    notes: Sequence[str] = field(default=())


def labels_block(survey: LabelsSurvey) -> dict[str, Any]:
    """Returns the block `labels` of a config."""
    found = {key: getattr(survey, key) for key in _KEYS}
    if survey.classes:
        found["classes"] = dict(survey.classes)
    return {key: value for key, value in found.items() if value is not None and value != {}}


def labels_notes(survey: LabelsSurvey) -> list[str]:
    """Returns what the user should check of the labels."""
    notes = []
    if survey.values:
        subject = "the raster" if survey.is_raster else survey.attribute
        notes.append(f"labels: {subject} has the values {', '.join(map(str, survey.values))}.")
    if survey.blank:
        count = f"{survey.blank} feature{'s have' if survey.blank > 1 else ' has'}"
        notes.append(f"labels: {count} no {survey.attribute}; '' in classes is their class, null leaves them out.")
    if survey.attribute is None and not survey.is_raster:
        notes.append("labels: no attribute looks like a class, so every feature becomes 1; name one with attribute.")
    return [*notes, *(f"labels: {note}" for note in survey.notes)]


def labels_summary(block: Mapping[str, Any]) -> str:
    """Returns in a few words what becomes of the labels of a block."""
    details = [f"attribute {block['attribute']}"] if "attribute" in block else []
    details += [f"{len(block['classes'])} classes"] if "classes" in block else []
    return ", ".join(details)
