"""From a volume's header and bytes to an image or mask: what NIfTI, NRRD and MetaImage have in common.

Files count their axes from the one that runs fastest, arrays here from the slowest: `(x, y, z)` in a file is
`(D, H, W)` here. An axis of channels comes first, wherever it stands in the file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from delineate.formats.bounded import Bytes
from delineate.formats.pixels import ALPHA_NOTE, Array, check_finite, image_pixels, mask_values, without_alpha
from delineate.formats.stored import (
    MAXIMUM_CHANNELS,
    MAXIMUM_VOLUME_MEGAPIXELS,
    Header,
    Source,
    StoredMask,
    millions,
)
from delineate.geometry import NOWHERE, Geometry
from delineate.image import Image

_COLOURS = {3: "RGB", 4: "RGB with alpha"}


@dataclass(frozen=True)
class Layout:
    """What a header says of the numbers behind it.

    Attributes:
        file_format: The format's name.
        shape: Of the numbers as they stand in the file, the axis that runs slowest first.
        dtype: Their type and byte order.
        channel_axis: Which of `shape` holds channels, None where none does.
        geometry: Where the pixels lie.
        coloured: Whether the channels are said to be red, green, blue and perhaps alpha.
        slope: What the numbers are to be multiplied by.
        intercept: What is then to be added.
        notes: What is to be said of the image.
    """

    file_format: str
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    channel_axis: int | None = None
    geometry: Geometry = NOWHERE
    coloured: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, ...]:
        """`(H, W)` or `(D, H, W)`."""
        return tuple(n for axis, n in enumerate(self.shape) if axis != self.channel_axis)

    @property
    def channels(self) -> int:
        """How many numbers a pixel has."""
        return 1 if self.channel_axis is None else self.shape[self.channel_axis]

    @property
    def byte_count(self) -> int:
        """Bytes of all numbers."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def scaled(self) -> bool:
        """Whether slope and intercept change anything."""
        return (self.slope, self.intercept) != (1.0, 0.0)

    def check(self, source: Source) -> None:
        """Refuse a layout that is empty, too large, or has too many channels or colours that are none.

        Raises:
            ImageError: It is.
        """
        source.check_size(*self.size)
        if self.channels > MAXIMUM_CHANNELS:
            raise source.refuse(f"it has {self.channels} channels; at most {MAXIMUM_CHANNELS} are read")
        most = source.reading.maximum_megapixels or MAXIMUM_VOLUME_MEGAPIXELS
        if self.channels > 1 and math.prod(self.shape) > most * 1e6:
            raise source.refuse(
                f"the volume is too large: its {self.channels} channels hold "
                f"{millions(math.prod(self.shape))} million numbers, and at most {most:g} million are read. "
                "If that is meant, raise --max-megapixels"
            )
        if self.coloured and self.channels not in _COLOURS:
            raise source.refuse(f"the file is damaged: colours of {self.channels} numbers")

    def header(self) -> Header:
        """What the file says of itself, for people."""
        if self.coloured:
            mode = _COLOURS[self.channels]
        else:
            mode = "grey" if self.channels == 1 else f"{self.channels} channels"
        if self.dtype.kind == "f" or self.scaled:
            mode = f"float {mode}"
        elif self.dtype != np.uint8:
            sign = "signed " if self.dtype.kind == "i" else ""
            mode = f"{sign}{8 * self.dtype.itemsize}-bit {mode}"
        without = int(self.coloured and self.channels == 4)
        return Header(self.size, mode, self.file_format, self.channels - without)

    def image(self, content: Bytes, source: Source) -> Image:
        """The image whose numbers are next in `content`."""
        array = self._numbers(content, source)
        notes = self.notes
        if self.coloured and self.channels == 4:
            array, notes = without_alpha(array, source), (*notes, ALPHA_NOTE)
        shares = self.coloured and self.dtype.kind == "u" and self.dtype.itemsize <= 2
        pixels, converted = image_pixels(array, source, shares=shares)
        return Image(np.ascontiguousarray(pixels), self.geometry, notes + converted, shares=shares)

    def mask(self, content: Bytes, source: Source) -> StoredMask:
        """The mask whose numbers are next in `content`."""
        if self.channels > 1:
            raise source.refuse(
                f"a mask with {self.channels} numbers a pixel has no clear meaning. "
                "Save it with one number a pixel"
            )
        array = self._numbers(content, source)
        values = np.ascontiguousarray(mask_values(array[0], source))
        return StoredMask(values, volume=len(self.size) == 3, geometry=self.geometry)

    def _numbers(self, content: Bytes, source: Source) -> Array:
        """`(C, …)` in the machine's byte order, scaled; where it may be a view of what was read."""
        content.check_holds(self.byte_count)
        # no array of NumPy's own: it would ask for huge pages, and a system may search half a second for them
        memory = bytearray(self.byte_count)
        content.fill(memoryview(memory))
        content.finish()
        array: Array = np.frombuffer(memory, self.dtype).reshape(self.shape)
        if not array.dtype.isnative:
            array = array.byteswap(inplace=True).view(array.dtype.newbyteorder())
        array = array[None] if self.channel_axis is None else np.moveaxis(array, self.channel_axis, 0)
        return self._rescaled(array, source) if self.scaled else array

    def _rescaled(self, array: Array, source: Source) -> npt.NDArray[np.float32]:
        """Numbers in their units: computed in double precision, a slice at a time."""
        check_finite(array, source)
        result = np.empty(array.shape, np.float32)
        with np.errstate(over="ignore"):
            for index in np.ndindex(*array.shape[:2]):
                result[index] = array[index].astype(np.float64) * self.slope + self.intercept
        return result


def fourth_axis(source: Source, what: str) -> None:
    """Take a fourth axis for channels if that was asked for.

    Args:
        source: Of which the reading says so, or not.
        what: What the axis holds: "120 volumes along a fourth axis (time)".

    Raises:
        ImageError: It was not.
    """
    if source.reading.fourth_axis != "channels":
        raise source.refuse(
            f"it holds {what}. If they are channels of one image, say so by --fourth-axis channels; "
            "if they are separate images, such as moments in time, save each as a file of its own"
        )


def geometry_of(affine: npt.NDArray[np.floating], source: Source) -> Geometry:
    """The geometry of a header's affine.

    Args:
        affine: From `(k, j, i, 1)` or `(j, i, 1)` to patient coordinates (LPS) in millimetres.
        source: The file.

    Raises:
        ImageError: It puts no pixel anywhere.
    """
    try:
        return Geometry.from_affine(affine)
    except ValueError as error:
        raise source.refuse(
            f"its geometry is impossible: {error}. Repair its affine (spacing, origin, directions)"
        ) from error


def spacing_of(spacing_mm: tuple[float, ...], source: Source) -> Geometry:
    """The geometry of an image of which the spacing alone is known, in the order of its axes here.

    Raises:
        ImageError: It is no spacing.
    """
    try:
        return Geometry(spacing_mm)
    except ValueError as error:
        raise source.refuse(f"its geometry is impossible: {error}. Repair its spacing") from error
