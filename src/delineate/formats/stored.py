"""What a file holds before anything is made of it, and the limit on how much of it is taken in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAXIMUM_MEGAPIXELS = 100.0


@dataclass(frozen=True)
class Header:
    """What a file says of itself, known without decoding its pixels.

    Attributes:
        size: `(H, W)` as the picture is shown, that is after its EXIF orientation.
        mode: What one pixel is: "grey", "grey 16-bit", "RGB", "RGBA", "palette", "1-bit", "float" and the like.
        file_format: "PNG", "JPEG", "BMP", "GIF" or "TIFF": by its content, not its name.
    """

    size: tuple[int, int]
    mode: str
    file_format: str


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
