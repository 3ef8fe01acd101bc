"""How an ultrasound probe sees: its field of view, speckle, and what lies behind what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from delineate.phantoms.shapes import Field, pixel_centres
from delineate.phantoms.texture import blur

MARGIN = 0.015


@dataclass(frozen=True)
class View:
    """The field of view of a probe: a rectangle under a linear probe, a fan under a curved one.

    Places along the beam are shares: `depth` 0 at the probe to 1 at the bottom, `side` −1 left to 1 right.

    Attributes:
        size: `(H, W)` of the picture.
        half_angle: Half opening of the fan, in radians; 0 for the rectangle.
        probe_radius: Radius of the probe's curved face, in units; 0 for the rectangle.
    """

    size: tuple[int, int]
    half_angle: float = 0.0
    probe_radius: float = 0.0

    @property
    def _half(self) -> tuple[float, float]:
        """Half height and half width of the picture inside its margin, in units."""
        unit = min(self.size)
        margin = MARGIN if self.half_angle else 0.0
        return self.size[0] / unit / 2 - margin, self.size[1] / unit / 2 - margin

    @property
    def apex(self) -> float:
        """Where the fan's beams meet, y in units."""
        return -self._half[0] - self.probe_radius * float(np.cos(self.half_angle))

    @property
    def length(self) -> float:
        """Length of a beam, in units."""
        if not self.half_angle:
            return 2 * self._half[0]
        return self._half[0] - self.apex - self.probe_radius

    def point(self, depth: Field, side: Field) -> tuple[Field, Field]:
        """Where a place along a beam lies in the picture: `(y, x)` in units."""
        if not self.half_angle:
            y, x = depth * self.length - self._half[0], side * self._half[1]
            return np.broadcast_arrays(y, x)[0], np.broadcast_arrays(y, x)[1]
        radius, angle = self.probe_radius + depth * self.length, side * self.half_angle
        return self.apex + radius * np.cos(angle), radius * np.sin(angle)

    def beams(self) -> tuple[Field, Field]:
        """The scan grid: depth `(D, 1)` and side `(1, B)` of its samples, as fine as the picture."""
        widest = self._half[1] * 2
        if self.half_angle:
            widest = 2 * (self.probe_radius + self.length) * self.half_angle
        unit = min(self.size)
        samples = max(int(np.ceil(self.length * unit)), 2), max(int(np.ceil(widest * unit)), 2)
        if not self.half_angle:
            samples = self.size  # whatever the division above has rounded to
        depth = (np.arange(samples[0], dtype=np.float32) + np.float32(0.5)) / samples[0]
        side = (np.arange(samples[1], dtype=np.float32) + np.float32(0.5)) * 2 / samples[1] - 1
        return depth[:, None].astype(np.float32), side[None, :].astype(np.float32)

    def picture(self, scanned: Field) -> tuple[Field, npt.NDArray[np.bool_]]:
        """Bring samples of the scan grid to the pixels.

        Args:
            scanned: `(D, B)`, on the grid of `beams`.

        Returns:
            `(H, W)` float32, and which pixels lie in the field of view.
        """
        if not self.half_angle:
            return scanned, np.ones(self.size, dtype=np.bool_)
        from scipy.ndimage import map_coordinates  # noqa: PLC0415  the catalogue stays quick to import

        y, x = pixel_centres(self.size)
        depth = (np.hypot(x, y - self.apex) - self.probe_radius) / self.length
        side = np.arctan2(x, y - self.apex) / self.half_angle
        inside = (depth >= 0) & (depth <= 1) & (np.abs(side) <= 1)
        places = np.stack([depth * scanned.shape[0] - 0.5, (side + 1) / 2 * scanned.shape[1] - 0.5])
        seen = map_coordinates(scanned, places, order=1, mode="nearest")
        return np.asarray(np.where(inside, seen, 0), dtype=np.float32), inside


def draw_view(random: np.random.Generator, size: tuple[int, int]) -> View:
    """A linear probe three times in five, else a curved one whose fan fits the picture."""
    curved = random.random() < 0.4
    half_angle, probe_radius = random.uniform(0.5, 0.68), random.uniform(0.18, 0.4)
    if not curved:
        return View(size)
    view = View(size, half_angle, probe_radius)
    widest = (size[1] / min(size) / 2 - MARGIN) / (view.probe_radius + view.length)
    return View(size, min(half_angle, float(np.arcsin(min(widest, 1.0)))), probe_radius)


def speckle_db(random: np.random.Generator, grid: tuple[int, int], scale_px: tuple[float, float]) -> Field:
    """Fully developed speckle: the magnitude of a complex Gaussian field, Rayleigh distributed, in decibels.

    Args:
        random: Source of all chance.
        grid: `(D, B)`, samples along and across the beams.
        scale_px: Standard deviation of the point spread along and across the beams, in samples.

    Returns:
        `(D, B)` float32; the mean power is 0 dB, the deepest null −20 dB.

    Source:
        Burckhardt, "Speckle in ultrasound B-mode scans", IEEE Trans. Sonics Ultrasonics 25 (1978).
    """
    parts = random.standard_normal((2, *grid), dtype=np.float32)
    parts = blur(parts, (0.0, *scale_px))
    power = np.square(parts).sum(axis=0)
    power /= power.mean()
    return np.asarray(10 * np.log10(np.maximum(power, 0.01)), dtype=np.float32)
