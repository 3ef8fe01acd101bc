"""From the stored values of DICOM frames to pixels.

| stored | image |
|---|---|
| grey | modality units: the modality LUT or rescale slope and intercept of each frame; no window |
| grey without rescale | the type they are stored in; signed as int16 |
| grey after rescale | int16 where every value is a whole number that fits, else float32 |
| MONOCHROME1 | turned about the middle of what its bits can hold, so that brighter is higher; said |
| padding | the smallest value that is no padding; said with the number of pixels |
| RGB, YBR | RGB, uint8 or uint16, shares of their range |
| palette | RGB, or grey where the palette is, uint8 |
| float, double | float32 |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from delineate.formats.dicom_file import items, number, numbers, text
from delineate.formats.dicom_kind import PixelKind
from delineate.formats.dicom_tables import LookUp, lookup_of
from delineate.formats.pixels import Array, image_pixels
from delineate.formats.stored import Source

_INT16 = np.iinfo(np.int16)
INVERTED_NOTE = "it is MONOCHROME1, where low values are bright: it was inverted, so that brighter is higher"


@dataclass(frozen=True)
class Rule:
    """What makes pixels of one frame's stored values.

    Attributes:
        slope: Modality units a stored value.
        intercept: Modality units of the stored value 0.
        lookup: Instead of these; None where there is none.
        padding: The lowest and highest stored value that are no image; None where all are.
        mirror: Where low values are bright, the sum of the lowest and the highest that can be; else None.
    """

    slope: float = 1.0
    intercept: float = 0.0
    lookup: LookUp | None = None
    padding: tuple[float, float] | None = None
    mirror: int | None = None

    @property
    def scales(self) -> bool:
        """Whether modality units are other than stored values."""
        return self.lookup is not None or (self.slope, self.intercept) != (1.0, 0.0)

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept of what is wanted, inverted or not, where there is no LUT."""
        if self.mirror is None:
            return self.slope, self.intercept
        return -self.slope, self.intercept + self.slope * self.mirror


def rule_of(header: Dataset, group: Dataset | None, kind: PixelKind, source: Source) -> Rule:
    """The rule of a frame.

    Args:
        header: The file's.
        group: The frame's own pixel value transformation (enhanced multi-frame), None where there is none.
        kind: Its pixels.
        source: Where they come from.

    Raises:
        ImageError: The rescale or LUT is damaged.
    """
    ends = 0 if kind.is_float else sum(kind.range)
    mirror = ends if kind.photometric == "MONOCHROME1" else None
    padding = _padding(header, kind)
    tables = items(header, "ModalityLUTSequence") if group is None else ()
    if tables and not kind.is_float:
        return Rule(lookup=lookup_of(tables[0], kind, source), padding=padding, mirror=mirror)
    dose = number(header, "DoseGridScaling")
    if dose:
        return Rule(dose, 0.0, None, padding, mirror)
    holder = header if group is None else group
    slope, intercept = (_rescale(holder, keyword, source) for keyword in ("RescaleSlope", "RescaleIntercept"))
    if slope == 0:
        raise source.refuse("its RescaleSlope is 0, so that every pixel would have the same value")
    return Rule(1.0 if slope is None else slope, intercept or 0.0, None, padding, mirror)


def grey_pixels(stored: Array, rules: Sequence[Rule], source: Source) -> tuple[Array, tuple[str, ...]]:
    """Frames in modality units.

    Args:
        stored: `(F, H, W)`.
        rules: One for each frame.
        source: Where they come from.

    Returns:
        `(F, H, W)` uint8, uint16, int16 or float32, and what was done.

    Raises:
        ImageError: There are NaN or infinite pixels, or values that no type keeps exactly.
    """
    padded = _padded(stored, rules)
    notes: list[str] = []
    if padded is not None:
        notes.append(_padding_note(int(np.count_nonzero(padded)), padded.size))
        if padded.all():
            padded = None
        elif stored.dtype.kind == "f":
            stored = np.where(padded, stored[~padded][:1], stored)  # NaN or huge values must not be judged
    values = in_units(stored, rules)
    pixels, more = image_pixels(values, source, shares=False)
    if padded is not None:
        pixels = pixels if pixels.flags.writeable else pixels.copy()
        pixels[padded] = pixels[~padded].min()
    if any(rule.mirror is not None for rule in rules):
        notes.append(INVERTED_NOTE)
    return pixels, (*notes, *more)


def in_units(stored: Array, rules: Sequence[Rule]) -> Array:
    """Stored values in modality units, inverted where low values are bright: int16, if exact, or float32.

    Where nothing is to be done they are returned as they are, and what is only inverted keeps its type.
    """
    if any(rule.lookup is not None for rule in rules):
        return np.stack([_looked_up(frame, rule) for frame, rule in zip(stored, rules, strict=True)])
    if not any(rule.scales or rule.mirror is not None for rule in rules):
        return stored
    mirror = rules[0].mirror
    if mirror is not None and all(rule.mirror == mirror and not rule.scales for rule in rules):
        return _mirrored(stored, mirror)
    lines = [rule.line for rule in rules]
    if _whole_and_small(stored, lines):
        units = np.empty(stored.shape, np.int16)
        wide = np.int32 if stored.dtype.itemsize <= 2 and _moderate(lines) else np.int64
        for frame, (slope, intercept), whole in zip(stored, lines, units, strict=True):
            whole[...] = frame.astype(wide) * int(slope) + int(intercept)
        return units
    single = np.empty(stored.shape, np.float32)
    for frame, (slope, intercept), target in zip(stored, lines, single, strict=True):
        target[...] = frame.astype(np.float64) * slope + intercept
    return single


def _rescale(holder: Dataset, keyword: str, source: Source) -> float | None:
    value = number(holder, keyword)
    if value is None and text(holder, keyword):
        raise source.refuse(f"the file is damaged: its {keyword} is no number")
    return value


def _padding(header: Dataset, kind: PixelKind) -> tuple[float, float] | None:
    """The lowest and highest stored value that stand for no image."""
    prefix = {"FloatPixelData": "Float", "DoubleFloatPixelData": "DoubleFloat"}.get(kind.keyword, "")
    found = header.get(f"{prefix}PixelPaddingValue")
    if found is None or kind.is_colour or kind.is_palette:
        return None
    if kind.is_float:
        first = float(found)
        limit = header.get(f"{prefix}PixelPaddingRangeLimit")
        last = first if limit is None else float(limit)
        return min(first, last), max(first, last)
    value = numbers(header, "PixelPaddingValue", 1)
    limits = numbers(header, "PixelPaddingRangeLimit", 1)
    if value is None:
        return None
    ends = sorted(_as_stored(int(end), kind) for end in (*value, *(limits or value)))
    return ends[0], ends[-1]


def _as_stored(value: int, kind: PixelKind) -> int:
    """A number as two's complement or not, as the pixels are, whatever the header's element was."""
    if kind.signed and value >= 1 << (kind.allocated - 1):
        return value - (1 << kind.allocated)
    return value + (1 << kind.allocated) if value < 0 and not kind.signed else value


def _padded(stored: Array, rules: Sequence[Rule]) -> npt.NDArray[np.bool_] | None:
    """Which pixels are no image; None where all are."""
    if all(rule.padding is None for rule in rules):
        return None
    padded = np.zeros(stored.shape, bool)
    for frame, rule, out in zip(stored, rules, padded, strict=True):
        if rule.padding is None:
            continue
        lowest, highest = rule.padding
        if math.isnan(lowest):
            out[...] = np.isnan(frame)
        elif lowest == highest:
            out[...] = frame == lowest
        else:
            out[...] = (frame >= lowest) & (frame <= highest)
    return padded if padded.any() else None


def _padding_note(count: int, pixels: int) -> str:
    if count == pixels:
        return "all of its pixels are padding: they were left as they are"
    return f"{count} pixels of padding were set to the smallest value that is none"


def _whole_and_small(stored: Array, lines: Sequence[tuple[float, float]]) -> bool:
    """Whether every value is a whole number within int16."""
    if not all(slope.is_integer() and intercept.is_integer() for slope, intercept in lines):
        return False
    if stored.dtype.kind == "f":
        return False
    for frame, (slope, intercept) in zip(stored, lines, strict=True):
        ends = [int(frame.min()) * slope + intercept, int(frame.max()) * slope + intercept]
        if min(ends) < _INT16.min or max(ends) > _INT16.max:
            return False
    return True


def _moderate(lines: Sequence[tuple[float, float]]) -> bool:
    """Whether 16-bit values on these lines stay within 32 bits on the way."""
    return all(abs(slope) < 1 << 14 and abs(intercept) < 1 << 30 for slope, intercept in lines)


def _looked_up(frame: Array, rule: Rule) -> Array:
    """One frame in units, through its modality LUT if it has one."""
    table = rule.lookup
    if table is None:
        return in_units(frame[None], [rule]).reshape(frame.shape)
    entries = table.entries
    if rule.mirror is not None:
        entries = _mirrored(entries, (1 << table.bits) - 1)
    places = np.clip(frame.astype(np.int64) - table.first, 0, len(entries) - 1)
    found: Array = np.take(entries, places)
    return found


def _mirrored(values: Array, ends: int) -> Array:
    """`ends - values`, which their type can hold: it is the sum of the lowest and the highest that can be."""
    mirrored: Array = np.subtract(np.array(ends).astype(values.dtype), values)
    return mirrored
