"""Look at every mask of a set once: which values there are, how many pixels and files hold them, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from delineate.errors import ImageError, MaskError
from delineate.formats import StoredMask

Integers = npt.NDArray[np.int64]
Channel = Literal["red", "green", "blue"]
Reading = Literal["values", "shown", "colours", "red", "green", "blue"]
Form = Literal["values", "fractions", "palette", "colours"]

FRACTION_LEVELS = 255
_MAXIMUM_VALUES = 200_000
_MAXIMUM_KEPT = 4096
_COLOUR_BITS = 24
_COLOUR = (1 << _COLOUR_BITS) - 1
_GREY = 0x010101
_SHIFTS: dict[Reading, int] = {"red": 16, "green": 8, "blue": 0}


@dataclass
class Tally:
    """Counts by value, added to file by file.

    Attributes:
        values: Distinct values in rising order.
        pixels: How many pixels have each.
        interior: How many of these have four neighbours of the same value.
        files: In how many files each occurs.
    """

    values: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    pixels: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    interior: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    files: Integers = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, values: Integers, pixels: Integers, interior: Integers, files: Integers) -> None:
        """Add counts; `values` may hold a value twice."""
        merged, where = np.unique(np.concatenate([self.values, values]), return_inverse=True)
        for name, more in (("pixels", pixels), ("interior", interior), ("files", files)):
            counts = np.zeros(len(merged), np.int64)
            np.add.at(counts, where, np.concatenate([getattr(self, name), more]))
            setattr(self, name, counts)
        self.values = merged


@dataclass(frozen=True)
class Survey:
    """What was seen in all masks, read in one way.

    Attributes:
        reading: "values" as stored, palette indices among them; "shown", the greys that a palette stands for;
            "colours", packed as 0xRRGGBB; "red", "green" or "blue", the numbers in that channel, which alone
            is used.
        fractions: Whether the masks hold shares from 0 to 1, counted here as 0…255.
        tally: The counts.
        occurring: The distinct values of each mask, in rising order.
        lossy: Whether a file's format alters pixels.
        notes: What the user should know of the reading.
        masks: The files.
    """

    reading: Reading
    fractions: bool
    tally: Tally
    occurring: tuple[Integers, ...]
    lossy: bool
    notes: tuple[str, ...]
    masks: tuple[Path, ...]

    def share(self, chosen: npt.NDArray[np.bool_]) -> float:
        """Share of all pixels that have one of the chosen values."""
        return float(self.tally.pixels[chosen].sum() / self.tally.pixels.sum())

    def cases(self, first: int, last: int) -> int:
        """Masks in which a value from `first` to `last` occurs."""
        return sum(bool(((values >= first) & (values <= last)).any()) for values in self.occurring)


class Surveyor:
    """Takes in the masks, then says what they hold when read in one way or another."""

    def __init__(self) -> None:
        self._tallies: dict[Form, Tally] = {}
        self._occurring: list[tuple[Form, Integers]] = []
        self._lossy = False
        self._masks: list[Path] = []

    def look(
        self,
        masks: Sequence[Path],
        read: Callable[[Path], StoredMask],
        progress: Callable[[int, int], object] | None,
    ) -> None:
        """Read all masks.

        Raises:
            MaskError: Masks that cannot be read, or are no masks; all are listed.
        """
        problems: list[str] = []
        for done, path in enumerate(masks, start=1):
            try:
                self._add(read(path), path)
            except (ImageError, MaskError) as error:
                problems.append(str(error))
            if progress is not None:
                progress(done, len(masks))
        if problems:
            listed = "\n".join(f"  {problem}" for problem in problems[:20])
            more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
            raise MaskError(f"{len(problems)} of {len(masks)} masks cannot be used:\n{listed}{more}")
        self._masks = list(masks)

    def _add(self, stored: StoredMask, path: Path) -> None:
        form, levels = form_and_levels(stored, path)
        values, pixels, interior = count(levels)
        if form == "palette" and stored.palette is not None:
            values = (values << _COLOUR_BITS) | pack(stored.palette[values])
        tally = self._tallies.setdefault(form, Tally())
        tally.add(values, pixels, interior, np.ones_like(values))
        if len(tally.values) > _MAXIMUM_VALUES:
            raise MaskError(
                f"{path}: with it the masks hold more than {_MAXIMUM_VALUES} values. Are these masks?"
            )
        kept = values[np.linspace(0, len(values) - 1, min(len(values), _MAXIMUM_KEPT)).astype(int)]
        self._occurring.append((form, kept))
        self._lossy |= stored.lossy

    def survey(self, wanted: Reading | None = None) -> Survey:
        """What the masks hold.

        Args:
            wanted: How to read them; None to find out.

        Returns:
            The counts.

        Raises:
            MaskError: Masks of different kinds do not go together.
        """
        numbers = self._channel() if wanted != "colours" else None
        reading, notes = (wanted, ()) if wanted else self._reading()
        if numbers is not None:
            reading = numbers
            notes = (
                f"only the {numbers} channel holds anything, from 1 on: its numbers are taken for the values",
            )
        fractions = "fractions" in self._tallies
        if reading not in ("colours", numbers) and "colours" in self._tallies:
            raise MaskError('Masks are in colours. Name these: --labels "#ff0000=tumour"')
        if fractions:
            whole = self._tallies.get("values", Tally()).values
            if not set(self._tallies) <= {"values", "fractions"} or not set(whole.tolist()) <= {0, 1}:
                raise MaskError(
                    "Some masks hold shares from 0 to 1, others whole numbers or colours. Save all alike."
                )
        tally = Tally()
        for form, part in self._tallies.items():
            tally.add(
                _translated(part.values, form, reading, fractions), part.pixels, part.interior, part.files
            )
        occurring = tuple(
            np.unique(_translated(values, form, reading, fractions)) for form, values in self._occurring
        )
        return Survey(reading, fractions, tally, occurring, self._lossy, notes, tuple(self._masks))

    def _channel(self) -> Channel | None:
        """The one channel that colours use, if it holds numbers from 1 on and not what an eye could see."""
        colours = self._tallies.get("colours", Tally()).values
        if not len(colours) or {form for form in self._tallies if self._tallies[form].values.any()} != {
            "colours"
        }:
            return None
        for channel in get_args(Channel):
            levels = colours >> _SHIFTS[channel]
            if (levels << _SHIFTS[channel] == colours).all() and int(levels[levels > 0].min()) == 1:
                return channel if int(levels.max()) <= 0xFF else None
        return None

    def _reading(self) -> tuple[Reading, tuple[str, ...]]:
        """How the masks are to be read, and what is to be said of it."""
        if "colours" in self._tallies:
            return "colours", ()
        if "palette" not in self._tallies:
            return "values", ()
        keys = self._tallies["palette"].values
        indices, colours = keys >> _COLOUR_BITS, keys & _COLOUR
        grey = bool((colours % _GREY == 0).all())
        stable = len(np.unique(indices)) == len(indices)
        black_elsewhere = bool(((colours == 0) & (indices != 0)).any())
        if "values" in self._tallies or not stable or black_elsewhere:
            why = (
                "the palettes of the masks differ"
                if not stable
                else "black is not the palette's first colour"
            )
            if "values" in self._tallies:
                why = "only some masks have a palette"
                if stable and not grey:
                    return "values", (f"{why}: its indices were taken for values",)
            return ("shown" if grey else "colours"), (f"{why}, so the colours count, not the indices",)
        return "values", ()


def form_and_levels(stored: StoredMask, path: Path) -> tuple[Form, npt.NDArray[np.integer]]:
    """A stored mask's form, and its pixels as integers, `(H, W)`.

    Raises:
        MaskError: It holds numbers that are neither whole nor shares from 0 to 1, or negative ones.
    """
    values = stored.values
    if stored.coloured:
        grey = bool((values == values[:, :, :1]).all())
        return ("values", values[:, :, 0].astype(np.uint8)) if grey else ("colours", pack(values))
    if values.dtype.kind == "f":
        return _float_levels(values.astype(np.float64), path)
    narrow = values.dtype in (np.uint8, np.uint16)  # as they are: several times faster to count
    integers: npt.NDArray[np.integer] = values.astype(values.dtype if narrow else np.int64, copy=False)
    if int(integers.min()) < 0:
        raise MaskError(
            f"{path}: it holds negative values, down to {int(integers.min())}. Save it with 0 as background."
        )
    return ("values" if stored.palette is None else "palette"), integers


def _float_levels(values: npt.NDArray[np.float64], path: Path) -> tuple[Form, Integers]:
    lowest, highest = float(values.min()), float(values.max())
    if (values == np.rint(values)).all() and lowest >= 0 and highest < 2**31:
        return "values", values.astype(np.int64)
    if lowest >= 0 and highest <= 1:
        return "fractions", np.rint(values * FRACTION_LEVELS).astype(np.int64)
    raise MaskError(
        f"{path}: it holds numbers from {lowest:g} to {highest:g} that are neither "
        "whole nor shares from 0 to 1."
    )


def count(levels: npt.NDArray[np.integer]) -> tuple[Integers, Integers, Integers]:
    """Distinct values in rising order, the pixels of each, and how many have four equal slice neighbours."""
    inner = levels[..., 1:-1, 1:-1]
    same = (inner == levels[..., :-2, 1:-1]) & (inner == levels[..., 2:, 1:-1])
    same &= (inner == levels[..., 1:-1, :-2]) & (inner == levels[..., 1:-1, 2:])
    if int(levels.max()) < 1 << 16:
        pixels = np.bincount(levels.ravel())
        values = np.flatnonzero(pixels)
        return values, pixels[values], np.bincount(inner[same], minlength=len(pixels))[values]
    values, pixels = np.unique(levels, return_counts=True)
    of_interior, interior_pixels = np.unique(inner[same], return_counts=True)
    interior = np.zeros(len(values), np.int64)
    interior[np.searchsorted(values, of_interior)] = interior_pixels
    return values.astype(np.int64), pixels, interior


def pack(colours: npt.NDArray[np.generic]) -> Integers:
    """Colours `(…, 3)` as 0xRRGGBB."""
    wide = colours.astype(np.int64)
    packed: Integers = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
    return packed


def _translated(values: Integers, form: Form, reading: Reading, fractions: bool) -> Integers:
    """Values of a tally as the reading has them."""
    if reading in _SHIFTS:
        return (values & _COLOUR) >> _SHIFTS[reading]
    if form == "palette":
        colours = values & _COLOUR
        return {"values": values >> _COLOUR_BITS, "shown": colours & 0xFF, "colours": colours}[reading]
    if form == "values" and fractions:
        return values * FRACTION_LEVELS
    return np.minimum(values, 0xFF) * _GREY if form == "values" and reading == "colours" else values


def read_levels(stored: StoredMask, path: Path, reading: Reading, fractions: bool) -> Integers:
    """One mask's pixels as the integers that a survey with this reading counted, `(H, W)`.

    Raises:
        MaskError: The mask is of another kind than the set's.
    """
    form, levels = form_and_levels(stored, path)
    wide = levels.astype(np.int64, copy=False)
    if reading in _SHIFTS:
        if (form != "colours" and wide.any()) or (wide & ~(0xFF << _SHIFTS[reading])).any():
            raise MaskError(
                f"{path}: it uses other channels than {reading}, which the other masks use alone."
            )
    elif form == "colours" and reading != "colours":
        raise MaskError(f"{path}: it is in colours, but the other masks hold numbers.")
    if form == "palette" and stored.palette is not None:
        wide = (wide << _COLOUR_BITS) | pack(stored.palette)[wide]
    if fractions and (form not in ("values", "fractions") or (form == "values" and int(wide.max()) > 1)):
        raise MaskError(f"{path}: it holds whole numbers, but the other masks shares from 0 to 1.")
    if form == "fractions" and not fractions:
        raise MaskError(f"{path}: it holds shares from 0 to 1, but the other masks whole numbers.")
    if form == "values" and reading == "colours" and int(wide.max()) > 0xFF:
        raise MaskError(f"{path}: it holds numbers above 255, but the other masks colours.")
    return _translated(wide, form, reading, fractions)
