"""What every reader of large images can do: give any part of one, without the rest."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from delineate.formats.pixels import Array
from delineate.formats.stored import Source

MAXIMUM_SIDE = 1 << 22
MAXIMUM_PART_BYTES = 1 << 28
Size = tuple[int, int]


class Regions(Protocol):
    """An image on the disk of which any rectangle can be read.

    Attributes:
        size: `(H, W)`.
        channels: That each pixel has; alpha not counted, a palette looked up.
        levels: `(H, W)` of the resolutions that are stored, the finest first, which is the image.
        spacing_mm: Distance of the rows and of the columns, where the file says it.
        file_format: For people.
        notes: What the user should know of how it is read.
        rows_at_once: Rows that are stored together: to read multiples of them from a multiple of them decodes
            nothing twice.
    """

    @property
    def size(self) -> Size: ...  # noqa: D102  told above

    @property
    def channels(self) -> int: ...  # noqa: D102

    @property
    def levels(self) -> tuple[Size, ...]: ...  # noqa: D102

    @property
    def spacing_mm(self) -> tuple[float, float] | None: ...  # noqa: D102

    @property
    def file_format(self) -> str: ...  # noqa: D102

    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def rows_at_once(self) -> int: ...  # noqa: D102

    def read(self, y: int, x: int, height: int, width: int, level: int = 0) -> Array:
        """The pixels of a rectangle.

        Args:
            y: Its first row.
            x: Its first column.
            height: Rows; the rectangle lies within the image.
            width: Columns.
            level: Of `levels`, in whose pixels the rectangle is given.

        Returns:
            `(C, height, width)` uint8, uint16 or float32, as `formats.read` gives them.

        Raises:
            ImageError: The file is damaged there, or its pixels have no clear meaning.
        """
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def check_sides(size: Size, source: Source) -> None:
    """Refuse an image that is empty or has sides that no scanner makes.

    Raises:
        ImageError: It is.
    """
    if min(size) < 1:
        raise source.refuse(f"the picture has no pixels ({size[0]}×{size[1]})")
    if max(size) > MAXIMUM_SIDE:
        raise source.refuse(
            f"the file is damaged: it says to be {size[0]}×{size[1]} pixels, and no side of more than "
            f"{MAXIMUM_SIDE:,} is read"
        )


def check_part(height: int, width: int, bytes_a_pixel: int, what: str, source: Source) -> None:
    """Refuse tiles, strips or chunks that have to be decoded as a whole and are too large for that.

    Raises:
        ImageError: They are.
    """
    if height * width * bytes_a_pixel > MAXIMUM_PART_BYTES:
        raise source.refuse(
            f"each of its {what} of {height}×{width} pixels can only be decoded as a whole, which takes too "
            f"much memory. {CONVERT}"
        )


CONVERT = (
    "Convert it to a tiled TIFF, which is read piece by piece, for example with libvips: "
    "vips tiffsave INPUT OUTPUT.tif --tile --compression deflate"
)
