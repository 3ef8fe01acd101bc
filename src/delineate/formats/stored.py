"""What a file holds before anything is made of it, what a family of formats is, and how much is taken in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from delineate.choices import FourthAxis
from delineate.errors import ImageError
from delineate.geometry import NOWHERE, Geometry
from delineate.image import Image, Mask

MAXIMUM_MEGAPIXELS = 100.0
MAXIMUM_VOLUME_MEGAPIXELS = 600.0
MAXIMUM_CHANNELS = 64
HEAD_BYTES = 1024
Probabilities = npt.NDArray[np.floating]


def millions(count: int) -> str:
    """How many millions: in three digits or whole."""
    return f"{count / 1e6:.3g}" if count < 100_000_000 else f"{count / 1e6:.0f}"


@dataclass(frozen=True)
class Reading:
    """How files are to be read where they leave a choice.

    Attributes:
        maximum_megapixels: Larger pictures and volumes are refused; None for 100 million pixels of a picture
            and 600 million of a volume.
        fourth_axis: Whether volumes with a fourth axis are refused, or taken for channels.
        resample_masks: Whether masks on another grid than their image may be resampled onto it, each pixel
            taking the nearest value; else they are refused.
    """

    maximum_megapixels: float | None = None
    fourth_axis: FourthAxis = "refuse"
    resample_masks: bool = False


USUAL = Reading()


@dataclass(frozen=True)
class Header:
    """What a file says of itself, known without decoding its pixels.

    Attributes:
        size: `(H, W)` as the picture is shown, that is after its EXIF orientation; `(D, H, W)` of a volume.
        mode: What one pixel is, for people: "grey", "16-bit grey", "RGB with alpha", "palette", "1-bit", ….
        file_format: "PNG", "JPEG", "TIFF", "NIfTI", "DICOM", …: by its content, not its name.
        channels: How many its image will have: alpha not counted, a palette looked up.
    """

    size: tuple[int, ...]
    mode: str
    file_format: str
    channels: int


@dataclass(frozen=True)
class StoredMask:
    """The pixels of a mask file as they are stored.

    Attributes:
        values: `(H, W)` or `(D, H, W)` integers or floats, palette indices among them, or `(H, W, 3)` uint8
            colours.
        palette: `(K, 3)` uint8 colours of the indices, None where `values` are no indices.
        lossy: Whether the format alters pixels (JPEG), so that values near an edge mean nothing.
        volume: Whether three axes of `values` are `(D, H, W)`, none of them colours.
        geometry: Where the pixels lie.
        partial: Whether the mask may cover only a part of its image, the rest being background.
        names: What the file itself calls the values (the segments of a DICOM SEG); empty where it does not.
        identifying: As of an `Image`.
    """

    values: npt.NDArray[np.generic]
    palette: npt.NDArray[np.uint8] | None = None
    lossy: bool = False
    volume: bool = False
    geometry: Geometry = NOWHERE
    partial: bool = False
    names: Mapping[int, str] = field(default_factory=dict)
    identifying: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def coloured(self) -> bool:
        """Whether the last axis of `values` is red, green and blue."""
        return self.values.ndim == 3 and not self.volume

    @property
    def size(self) -> tuple[int, ...]:
        """Spatial size, `(H, W)` or `(D, H, W)`."""
        return self.values.shape[:-1] if self.coloured else self.values.shape


class NoImageError(ImageError):
    """A DICOM object that is whole, but of a kind that holds no image."""


class TooLargeError(ImageError):
    """An image has more pixels than are read at once.

    Args:
        path: The file.
        reason: Why, as of `ImageError`.
        axes: 2 of a picture, 3 of a volume.
    """

    def __init__(self, path: Path, reason: str, axes: int) -> None:
        self.axes = axes
        super().__init__(path, reason)


class CompressionError(ImageError):
    """Pixels are compressed in a way that is not read here, or in parts only."""


@dataclass(frozen=True)
class Source:
    """An open file.

    Attributes:
        stream: Its bytes, at the beginning.
        path: Its name; to be opened only by libraries that take no stream.
        reading: How it is to be read.
    """

    stream: IO[bytes]
    path: Path
    reading: Reading = USUAL

    def refuse(self, reason: str) -> ImageError:
        """The error that says why this file is not taken."""
        return ImageError(self.path, reason)

    def check_size(self, *size: int) -> None:
        """Refuse a picture or volume that is empty or too large, before memory is taken for it.

        Args:
            size: `H, W` or `D, H, W`.

        Raises:
            ImageError: It is empty.
            TooLargeError: It is too large.
        """
        what, pixels = ("picture", "pixels") if len(size) == 2 else ("volume", "voxels")
        shape = "×".join(map(str, size))
        if min(size) < 1:
            raise self.refuse(f"the {what} has no {pixels} ({shape})")
        most = self.reading.maximum_megapixels or (
            MAXIMUM_MEGAPIXELS if len(size) == 2 else MAXIMUM_VOLUME_MEGAPIXELS
        )
        if math.prod(size) > most * 1e6:
            raise TooLargeError(
                self.path,
                f"the {what} is too large: {shape} are {millions(math.prod(size))} million {pixels}, "
                f"and at most {most:g} million are read. If that is meant, raise --max-megapixels",
                len(size),
            )


@dataclass(frozen=True)
class Family:
    """File formats that are read by one library.

    Attributes:
        suffixes: Lower-case, with dot; such as ".nii.gz" may have two.
        formats: Names for people.
        recognises: Whether a file that begins with these bytes (up to `HEAD_BYTES`) belongs to it.
        header: Reads what the file says of itself.
        read: Reads an image.
        read_mask: Reads a mask. All three raise `ImageError`, or on damage whatever the library raises.
        mask_suffix: Of masks that are written in this family for images of the given name.
        write_mask: Writes a mask, whole or not at all, from its values and geometry alone; None where masks
            are written as PNG.
        pictures_as_png: Whether `write_mask` is for volumes alone.
        data_file: Gives the other file that holds the pixels, None where there is none.
        write_probabilities: Likewise each label's probability `(n, …)`, 0 to 1; None where as a TIFF.
    """

    suffixes: frozenset[str]
    formats: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    header: Callable[[Source], Header]
    read: Callable[[Source], Image]
    read_mask: Callable[[Source], StoredMask]
    mask_suffix: Callable[[str], str] = lambda _name: ".png"
    data_file: Callable[[Source], Path | None] = lambda _source: None
    write_mask: Callable[[Path, Mask], None] | None = None
    pictures_as_png: bool = False
    write_probabilities: Callable[[Path, Probabilities, Geometry], None] | None = None
