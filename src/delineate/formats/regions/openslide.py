"""Slides in the formats of scanners, read by OpenSlide (extra `slides`)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from delineate.extras import installing
from delineate.formats.closing import Closing
from delineate.formats.lengths import in_mm
from delineate.formats.pixels import Array
from delineate.formats.regions.region import Size, check_sides
from delineate.formats.stored import Reading, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

_USUAL_ROWS = 256
_MOST_ROWS = 2048


class OpenSlideRegions(Closing):
    """See `Regions`.

    Args:
        path: The slide.
        reading: How it is read.

    Raises:
        ImageError: OpenSlide cannot read it, or is not installed.
    """

    channels = 3

    def __init__(self, path: Path, reading: Reading) -> None:
        self._source = source = Source(io.BytesIO(), path, reading)
        try:
            import openslide  # noqa: PLC0415  an extra
        except ImportError as error:
            raise source.refuse(f"it is a scanner's slide; what reads it: {installing('slides')}") from error
        try:
            self._slide = openslide.OpenSlide(path)
        except Exception as error:  # whatever the library raises on damaged files
            raise source.refuse(
                f"it is no slide that OpenSlide can read ({' '.join(str(error).split())[:150]})"
            ) from error
        self.levels: tuple[Size, ...] = tuple(
            (height, width) for width, height in self._slide.level_dimensions
        )
        self.size: Size = self.levels[0]
        check_sides(self.size, source)
        properties: Mapping[str, str] = self._slide.properties
        rows, columns = (in_mm(properties.get(f"openslide.mpp-{axis}", "0"), "µm") for axis in "yx")
        self.spacing_mm = (rows, columns) if rows is not None and columns is not None else None
        self.file_format = f"slide ({properties.get('openslide.vendor', 'unknown')})"
        self.notes: tuple[str, ...] = ()
        tall = properties.get("openslide.level[0].tile-height", "")
        self.rows_at_once = min(int(tall), _MOST_ROWS) if tall.isdigit() and int(tall) else _USUAL_ROWS
        self._background = _colour(properties.get("openslide.background-color", "FFFFFF"))

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> Array:
        """See `Regions`; what a scanner left out has the slide's background colour, or white."""
        scale = [full / own for full, own in zip(self.size, self.levels[level], strict=True)]
        place = (round(x * scale[1]), round(y * scale[0]))
        try:
            picture = self._slide.read_region(place, level, (width, height))
        except Exception as error:  # likewise
            raise self._source.refuse(
                f"the file is damaged: rows {y} to {y + height - 1} cannot be read "
                f"({' '.join(str(error).split())[:150]})"
            ) from error
        pixels = np.asarray(picture)
        colours, alpha = pixels[..., :3], pixels[..., 3:]
        if (alpha != 255).any():
            share = alpha.astype(np.float32) / 255
            colours = (colours * share + self._background * (1 - share)).round().astype(np.uint8)
        return np.ascontiguousarray(colours.transpose(2, 0, 1))

    def close(self) -> None:
        """See `Regions`."""
        self._slide.close()


def _colour(digits: str) -> npt.NDArray[np.float32]:
    """Red, green and blue of six hexadecimal digits."""
    try:
        return np.array([int(digits[at : at + 2], 16) for at in (0, 2, 4)], np.float32)
    except ValueError:
        return np.full(3, 255, np.float32)
