"""What a file holds before anything is made of it, what a family of formats is, and how much is taken in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from delineate.errors import ImageError
from delineate.image import Image

MAXIMUM_MEGAPIXELS = 100.0
MAXIMUM_CHANNELS = 64


@dataclass(frozen=True)
class Header:
    """What a file says of itself, known without decoding its pixels.

    Attributes:
        size: `(H, W)` as the picture is shown, that is after its EXIF orientation.
        mode: What one pixel is, for people: "grey", "16-bit grey", "RGB with alpha", "palette", "1-bit", ….
        file_format: "PNG", "JPEG", "BMP", "GIF" or "TIFF": by its content, not its name.
        channels: How many its image will have: alpha not counted, a palette looked up.
    """

    size: tuple[int, int]
    mode: str
    file_format: str
    channels: int


@dataclass(frozen=True)
class StoredMask:
    """The pixels of a mask file as they are stored.

    Attributes:
        values: `(H, W)` integers or floats, palette indices among them, or `(H, W, 3)` uint8 colours.
        palette: `(K, 3)` uint8 colours of the indices, None where `values` are no indices.
        lossy: Whether the format alters pixels (JPEG), so that values near an edge mean nothing.
    """

    values: npt.NDArray[np.generic]
    palette: npt.NDArray[np.uint8] | None = None
    lossy: bool = False


@dataclass(frozen=True)
class Source:
    """An open file.

    Attributes:
        stream: Its bytes, at the beginning.
        path: Its name, for messages only.
        maximum_pixels: More are refused.
    """

    stream: IO[bytes]
    path: Path
    maximum_pixels: float

    def refuse(self, reason: str) -> ImageError:
        """The error that says why this file is not taken."""
        return ImageError(self.path, reason)

    def check_size(self, height: int, width: int) -> None:
        """Refuse a picture that is empty or too large, before memory is taken for it.

        Raises:
            ImageError: It is.
        """
        if height < 1 or width < 1:
            raise self.refuse(f"the picture has no pixels ({height}×{width})")
        if height * width > self.maximum_pixels:
            raise self.refuse(
                f"the picture is too large: {height}×{width} are {height * width / 1e6:.0f} megapixels, "
                f"and at most {self.maximum_pixels / 1e6:g} are read. Cut it into parts, or reduce it"
            )


@dataclass(frozen=True)
class Family:
    """File formats that are read by one library.

    Attributes:
        suffixes: Lower-case, with dot.
        formats: Names for people.
        recognises: Whether a file that begins with these bytes belongs to it.
        header: Reads what the file says of itself.
        read: Reads an image.
        read_mask: Reads a mask. All three raise `ImageError`, or on damage whatever the library raises.
    """

    suffixes: frozenset[str]
    formats: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    header: Callable[[Source], Header]
    read: Callable[[Source], Image]
    read_mask: Callable[[Source], StoredMask]
