"""Classes of raster values: by the class map, by names that a file gives to its values, or the values themselves."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from segchips.arrays import Mask, Pixels
from segchips.config.class_keys import ClassKeys, example_map, value_text
from segchips.config.labels import DEFAULT_BACKGROUND, LabelLayer
from segchips.errors import InputError
from segchips.labels.value_entries import read_value_entries

LEFT_OUT = 256
"""The code of pixels whose value `classes` maps to null; codes below are classes, codes above values without one."""
_UNSEEN = -1
Codes = npt.NDArray[np.int32] | npt.NDArray[np.uint8]
"""Codes of values; of type uint8 where all are classes."""


@dataclass
class _CodeTable:
    """The codes of values that were looked up, for files that give their values the same names.

    Attributes:
        names: The names of values.
        codes: The code of each value that was looked up.
        small: The code of each value from 0 to 65,535, `_UNSEEN` for those that were not looked up.
        classes: The class of each value from 0 to 255, `other` for those that are no class or were not looked up.
        other: A number that is no class of these; None where all of 0 to 255 are.
    """

    names: dict[int, str]
    codes: dict[float, int] = field(default_factory=dict)
    small: npt.NDArray[np.int32] = field(default_factory=lambda: np.full(1 << 16, _UNSEEN, np.int32))
    classes: bytes = bytes(256)
    other: int | None = 0

    def add(self, value: int, code: int) -> None:
        """Stores the code of a value from 0 to 65,535."""
        self.small[value] = code
        codes = self.small[:256].tolist()
        self.other = next((number for number in range(256) if number not in codes), None)
        self.classes = bytes(code if 0 <= code < LEFT_OUT else self.other or 0 for code in codes)

    def find_classes(self, values: Pixels) -> npt.NDArray[np.uint8]:
        """Returns the class of each value of type uint8, `other` where it has none."""
        return np.frombuffer(values.tobytes().translate(self.classes), np.uint8).reshape(values.shape)


class RasterClasses:
    """Turns the values of a layer's rasters into class codes, which resampling by mode may count.

    Args:
        config: The layer.
        background: The label value of the background.
    """

    def __init__(self, config: LabelLayer, background: int | None) -> None:
        self._band = config.band
        # Pixels may have another background, which the config names. 255 is the default, and in many rasters a class or
        # no data.
        self._refused = background if background == DEFAULT_BACKGROUND else None
        self._keys = None if config.classes is None else ClassKeys(config.classes)
        self._by_names: dict[tuple[tuple[int, str], ...], _CodeTable] = {}
        self._by_file: dict[str, _CodeTable] = {}
        self._without_class: list[float] = []

    def encode(self, values: Pixels, valid: Mask, file: str) -> Codes:
        """Returns the code of each valid value of a file, in the shape of `values`."""
        if self._keys is None and values.dtype == np.uint8 and not self._has_refused(values, valid):
            return values
        table = self._table(file)
        if values.dtype == np.uint8:
            classes = table.find_classes(values)
            if table.other is None or not (unsure := (classes == table.other) & valid).any():
                return classes
            self._look_up(values[unsure], table)
            classes = table.find_classes(values)
            if table.other is None or not ((classes == table.other) & valid).any():
                return classes
        if values.dtype in (np.uint8, np.uint16):
            codes: Codes = table.small.take(values)
            if codes.min() == _UNSEEN and (new := (codes == _UNSEEN) & valid).any():
                self._look_up(values[new], table)
                codes = table.small.take(values)
            return codes
        found, places = np.unique(values[valid], return_inverse=True)
        short = found.dtype == np.float32
        numbers = [float(str(value)) for value in found] if short else found.tolist()
        codes = np.zeros(values.shape, np.int32)
        codes[valid] = np.array([self._code(value, table) for value in numbers], np.int32)[places]
        return codes

    def _has_refused(self, values: Pixels, valid: Mask) -> bool:
        """Whether a valid pixel of type uint8 has the value that is refused, which is 255 where there is one."""
        if self._refused is None or values.max() < self._refused:
            return False
        return bool((valid & (values == self._refused)).any())

    def _look_up(self, values: Pixels, table: _CodeTable) -> None:
        for value in np.unique(values).tolist():
            table.add(value, self._code(value, table))

    def check(self, codes: Codes, valid: Mask, file: str) -> None:
        """Checks that valid pixels have a class or are left out; raises InputError that names file and value."""
        if codes.dtype != np.uint8 and codes.max() > LEFT_OUT and (wrong := codes[valid & (codes > LEFT_OUT)]).size:
            raise InputError(self._problem(self._without_class[int(wrong.min()) - LEFT_OUT - 1], file))

    def _table(self, file: str) -> _CodeTable:
        if file not in self._by_file:
            by_name = self._keys is not None and self._keys.has_names
            names = _read_names(file, self._band) if by_name else {}
            self._by_file[file] = self._by_names.setdefault(tuple(sorted(names.items())), _CodeTable(names))
        return self._by_file[file]

    def _code(self, value: float, table: _CodeTable) -> int:
        if value not in table.codes:
            code = self.class_of(value, table.names.get(int(value), "") if value == int(value) else "")
            if code is None:
                self._without_class.append(value)
                code = LEFT_OUT + len(self._without_class)
            table.codes[value] = code
        return table.codes[value]

    def class_of(self, value: float, name: str) -> int | None:
        """Returns the class of a value of this name, `LEFT_OUT`, or None where it has no class."""
        if self._keys is None:
            usable = value == int(value) and 0 <= value <= 255 and value != self._refused
            return int(value) if usable else None
        key = self._keys.find(value)
        if key is None and name:
            key = self._keys.find(name)
        if key is None:
            return None
        mapped = self._keys[key]
        return LEFT_OUT if mapped is None else mapped

    def _problem(self, value: float, file: str) -> str:
        text = value_text(value)
        if self._keys is None:
            example = f"map its values with labels.classes, such as {{{text}: 1}}"
            if value == self._refused:
                return (
                    f"'{file}' holds the value {text}, which is also the background; choose another labels.background, "
                    f"such as 0, set labels.nodata to {text} if such pixels have no data, or {example}"
                )
            return f"'{file}' holds the value {text}, and label values are whole numbers from 0 to 255; {example}"
        name = _read_names(file, self._band).get(int(value)) if value == int(value) else None
        named = f" ({name})" if name else ""
        return (
            f"'{file}' holds the value {text}{named}, which labels.classes does not map; "
            f"add it, such as {example_map([value], [1])}, or map it to null to leave it out"
        )


def _read_names(file: str, band: int) -> dict[int, str]:
    return {value: entry.name for value, entry in read_value_entries(file, band).items() if entry.name}
