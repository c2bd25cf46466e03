"""Classes of raster values: by the class map, by names that a file gives to its values, or the values themselves."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from segchips.arrays import Mask, Pixels
from segchips.config.class_keys import ClassKeys, example_map, value_text
from segchips.config.labels import DEFAULT_BACKGROUND, LabelLayer
from segchips.errors import InputError
from segchips.labels.value_names import read_value_names

LEFT_OUT = 256
"""The code of pixels whose value `classes` maps to null; codes below are classes, codes above values without one."""
_UNSEEN = -1
Codes = npt.NDArray[np.int32]


@dataclass
class _CodeTable:
    """The codes of values that were looked up, for files that give their values the same names."""

    names: dict[int, str]
    codes: dict[float, int] = field(default_factory=dict)
    small: Codes = field(default_factory=lambda: np.full(1 << 16, _UNSEEN, np.int32))


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
        table = self._table(file)
        if values.dtype in (np.uint8, np.uint16):
            codes: Codes = table.small[values]
            if codes.min() == _UNSEEN and (new := (codes == _UNSEEN) & valid).any():
                for value in np.unique(values[new]).tolist():
                    table.small[value] = self._code(value, table)
                codes = table.small[values]
            return codes
        found, places = np.unique(values[valid], return_inverse=True)
        short = found.dtype == np.float32
        numbers = [float(str(value)) for value in found] if short else found.tolist()
        codes = np.zeros(values.shape, np.int32)
        codes[valid] = np.array([self._code(value, table) for value in numbers], np.int32)[places]
        return codes

    def check(self, codes: Codes, valid: Mask, file: str) -> None:
        """Checks that valid pixels have a class or are left out; raises InputError that names file and value."""
        if codes.max() > LEFT_OUT and (wrong := codes[valid & (codes > LEFT_OUT)]).size:
            raise InputError(self._problem(self._without_class[int(wrong.min()) - LEFT_OUT - 1], file))

    def _table(self, file: str) -> _CodeTable:
        if file not in self._by_file:
            by_name = self._keys is not None and self._keys.has_names
            names = read_value_names(file, self._band) if by_name else {}
            self._by_file[file] = self._by_names.setdefault(tuple(sorted(names.items())), _CodeTable(names))
        return self._by_file[file]

    def _code(self, value: float, table: _CodeTable) -> int:
        if value not in table.codes:
            code = self._class_of(value, table.names)
            if code is None:
                self._without_class.append(value)
                code = LEFT_OUT + len(self._without_class)
            table.codes[value] = code
        return table.codes[value]

    def _class_of(self, value: float, names: dict[int, str]) -> int | None:
        if self._keys is None:
            usable = value == int(value) and 0 <= value <= 255 and value != self._refused
            return int(value) if usable else None
        key = self._keys.find(value)
        if key is None and value == int(value) and (name := names.get(int(value))):
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
        name = read_value_names(file, self._band).get(int(value)) if value == int(value) else None
        named = f" ({name})" if name else ""
        return (
            f"'{file}' holds the value {text}{named}, which labels.classes does not map; "
            f"add it, such as {example_map([value], [1])}, or map it to null to leave it out"
        )
