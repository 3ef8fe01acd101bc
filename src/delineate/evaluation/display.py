"""What of an image's numbers the eye is shown: the window between black and white."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from delineate.image import Image

Pixels = npt.NDArray[np.uint8]

SOFT_TISSUE_HU = (-160.0, 240.0)
AIR_HU = -900.0  # what lies below is air or outside of the scanner's field, in CT alone
HIGHEST_HU = 4000.0  # metal and its artefacts may lie above it; few voxels do
AT_MOST = 4_000_000  # values that percentiles are taken of


@dataclass(frozen=True)
class Window:
    """Which values are shown as black and white.

    Attributes:
        low: Shown as black.
        high: Shown as white; equal to `low` where all values are the same.
        colour: Whether three channels are shown as red, green and blue; else the first is, as grey.
        words: What it is, for a caption.
    """

    low: float
    high: float
    colour: bool
    words: str


def window_of(image: Image) -> Window:
    """The window from the 0.5th to the 99.5th percentile; that of 8-bit colour leaves it as it is."""
    pixels = image.pixels
    colour = image.channels == 3 and not ((pixels[0] == pixels[1]).all() and (pixels[0] == pixels[2]).all())
    if colour and pixels.dtype == np.uint8:
        return Window(0, 255, colour, "colours as stored")
    shown = pixels if colour else pixels[:1]
    low, high = _percentiles(shown)
    words = "the 0.5th and 99.5th percentiles"
    if high <= low:  # nearly constant: the percentiles would hide the little there is
        low, high = float(shown.min()), float(shown.max())
        words = "the least and the greatest value"
    return Window(low, high, colour, f"shown from {low:.4g} to {high:.4g}, {words}")


def volume_window(image: Image) -> Window:
    """The window of a volume: for soft tissue where its values are, or look like, Hounsfield units.

    The file says whether it is CT; of formats that do not, those that begin at air are taken for it.
    """
    low, high = SOFT_TISSUE_HU
    if image.in_own_units and image.channels == 1 and image.modality in {None, "CT"}:
        least, most = _percentiles(image.pixels)
        if image.modality == "CT" and least < low:
            return Window(low, high, False, f"CT soft-tissue window, {low:g} to {high:g} HU")
        if least < AIR_HU and 0 < most < HIGHEST_HU:
            words = f"soft-tissue window, {low:g} to {high:g}, the values being taken for those of CT"
            return Window(low, high, False, words)
    return window_of(image)


def for_display(pixels: npt.NDArray[np.generic], window: Window) -> Pixels:
    """`(H, W, 3)` for the eye.

    Args:
        pixels: `(C, H, W)`.
        window: Of the image, or of the volume that it is a slice of.
    """
    values = (pixels if window.colour else pixels[:1]).astype(np.float64)
    width = window.high - window.low
    stretched = (values - window.low) / width if width > 0 else np.full_like(values, 0.5)
    rounded = (stretched.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
    return rounded if window.colour else np.repeat(rounded, 3, axis=2)


def _percentiles(pixels: npt.NDArray[np.generic]) -> tuple[float, float]:
    """The 0.5th and 99.5th percentile, of large images those of a regular grid of their values."""
    axes = pixels.ndim - 1
    step = max(1, ceil((pixels.size / AT_MOST) ** (1 / axes)))
    some = pixels[(slice(None), *(slice(None, None, step),) * axes)]
    low, high = np.percentile(some.astype(np.float64), [0.5, 99.5])
    return float(low), float(high)
