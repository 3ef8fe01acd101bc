"""Random fields with a stated smoothness, and blurring."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from delineate.phantoms.shapes import Field


def smooth_noise(
    random: np.random.Generator, size: tuple[int, int], scale_px: float | tuple[float, float]
) -> Field:
    """A Gaussian random field with zero mean, unit variance everywhere and a Gaussian correlation.

    White noise on a coarse grid is spread by one Gaussian matrix an axis, so that a smooth field costs as
    little as it holds.

    Args:
        random: Source of all chance.
        size: `(H, W)`.
        scale_px: Standard deviation of the spreading Gaussian, one or `(along H, along W)`, in pixels.

    Returns:
        `(H, W)` float32.
    """
    scale_y, scale_x = (scale_px, scale_px) if isinstance(scale_px, int | float) else scale_px
    rows, columns = _spread(size[0], scale_y), _spread(size[1], scale_x)
    coarse = random.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    return np.asarray(rows @ coarse @ columns.T, dtype=np.float32)


def _spread(length: int, scale_px: float) -> Field:
    """`(length, nodes)`: how much each node of the coarse grid gives to each pixel, of unit norm a pixel."""
    spacing = max(scale_px, 0.5)
    nodes = np.arange(-3, int(np.ceil(length / spacing)) + 4, dtype=np.float32) * spacing
    pixels = np.arange(length, dtype=np.float32)[:, None]
    weights = np.exp(-0.5 * ((pixels - nodes) / max(scale_px, 0.25)) ** 2)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    return np.asarray(weights, dtype=np.float32)


def blur(field: Field, sigma_px: float | tuple[float, ...]) -> Field:
    """Gaussian blur, mirrored at the borders.

    Args:
        field: Any shape, float32.
        sigma_px: Standard deviation, one or one an axis, in pixels.

    Returns:
        float32, same shape.
    """
    from scipy.ndimage import gaussian_filter  # noqa: PLC0415  the catalogue stays quick to import

    return np.asarray(gaussian_filter(field, sigma_px, mode="reflect", truncate=3.0), dtype=np.float32)


def to_grey(brightness: Field) -> npt.NDArray[np.uint8]:
    """Brightness 0…1 as uint8 0…255, rounded; what lies outside is clipped."""
    return np.asarray(np.rint(np.clip(brightness, 0, 1) * 255), dtype=np.uint8)
