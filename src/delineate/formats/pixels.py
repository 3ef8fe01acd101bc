"""From pixels as a library gives them to pixels as Delineate knows them: one table for every family.

| stored | image | mask |
|---|---|---|
| 1-bit | uint8, 0 and 255 | 0 and 255 |
| 8- and 16-bit unsigned | as they are | as they are |
| signed 8- and 16-bit of a picture | float32, and said | as they are |
| signed 8- and 16-bit where numbers are what they say | int16 | as they are |
| 32-bit and more | float32 if exact (up to 2^24), else refused | as they are |
| half, single and double precision | float32 | as they are |
| NaN, infinite | refused with their number | refused with their number |
| palette | RGB, or grey where the palette is grey | the indices, and the palette beside them |
| alpha, constant | dropped, and said | dropped |
| alpha, varying | refused | refused |
| CMYK, Lab and other colour spaces | refused | refused |
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from delineate.formats.stored import Source

_EXACT_IN_FLOAT32 = 2**24
ALPHA_NOTE = "a constant alpha channel was dropped"

Array = npt.NDArray[np.generic]


def image_pixels(array: Array, source: Source, *, shares: bool = True) -> tuple[Array, tuple[str, ...]]:
    """Pixels of one of the types an `Image` has.

    Args:
        array: Of any shape and numeric type.
        source: Where they come from.
        shares: Whether integers stand for shares of their type's range, as in pictures; else they are what
            they say, as in the formats of the clinic.

    Returns:
        The pixels as uint8, uint16, float32 or, where numbers are what they say, int16; and what was done.

    Raises:
        ImageError: There are NaN or infinite pixels, or the type cannot be kept exactly.
    """
    kind = array.dtype.kind
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255), ()
    if kind == "u" and array.dtype.itemsize <= 2:
        return array.astype(array.dtype.newbyteorder("="), copy=False), ()
    if kind == "f":
        with np.errstate(over="ignore"):
            single = array.astype(np.float32, copy=False)
        check_finite(single, source)
        return single, ()
    if kind == "i" and array.dtype.itemsize <= 2 and not shares:
        return array.astype(np.int16, copy=False), ()
    if kind in "iu":
        if max(abs(int(array.min())), abs(int(array.max()))) > _EXACT_IN_FLOAT32:
            raise source.refuse(
                f"its {array.dtype.name} pixels go from {array.min()} to {array.max()}, more than can be "
                "kept exactly. Save it as 16-bit or floating point"
            )
        notes = (f"{array.dtype.name} pixels were read as numbers, unscaled",) if shares else ()
        return array.astype(np.float32), notes
    raise source.refuse(f"pixels of type {array.dtype.name} are not read. Save it as 8-bit or 16-bit")


def mask_values(array: Array, source: Source) -> Array:
    """Values of a mask: integers or floats as they are, 1-bit as 0 and 255.

    Raises:
        ImageError: There are NaN or infinite values, or the type is neither.
    """
    kind = array.dtype.kind
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if kind == "f":
        check_finite(array, source)
    elif kind not in "iu":
        raise source.refuse(f"mask values of type {array.dtype.name} are not read. Save it as an 8-bit PNG")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_finite(array: Array, source: Source) -> None:
    """Refuse pixels that are not numbers.

    Raises:
        ImageError: With how many there are.
    """
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise source.refuse(
            f"{bad} of {array.size} pixels are not numbers (NaN or infinite). "
            "Replace them where the file was made"
        )


def without_alpha(channels: Array, source: Source) -> Array:
    """The channels but the last, the alpha channel, if that says nothing.

    Args:
        channels: `(C, H, W)`, the last being alpha.
        source: Where they come from.

    Returns:
        `(C - 1, H, W)`.

    Raises:
        ImageError: The alpha channel varies.
    """
    alpha = channels[-1]
    lowest, highest = alpha.min(), alpha.max()
    if lowest != highest:
        raise source.refuse(
            f"its alpha channel (transparency) varies from {lowest} to {highest}, so that what it shows "
            "depends on what lies behind it. Save it without transparency, for example flattened on black"
        )
    return channels[:-1]


def through_palette(indices: Array, palette: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The colours that palette indices stand for.

    Args:
        indices: `(H, W)` or `(D, H, W)` integers below K.
        palette: `(K, 3)`.

    Returns:
        `(3, H, W)`, or `(1, H, W)` where every colour of the palette is grey.
    """
    grey = bool((palette == palette[:, :1]).all())
    colours = palette[:, :1] if grey else palette
    return np.ascontiguousarray(np.moveaxis(colours[indices], -1, 0))


def check_indices(indices: Array, palette: npt.NDArray[np.uint8], source: Source) -> None:
    """Refuse indices that point behind the palette's end.

    Raises:
        ImageError: One does.
    """
    highest = int(indices.max())
    if highest >= len(palette):
        raise source.refuse(f"the file is damaged: it uses colour {highest} of a palette of {len(palette)}")
