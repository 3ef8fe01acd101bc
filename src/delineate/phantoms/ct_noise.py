"""The noise of reconstructed computed tomography."""

from __future__ import annotations

import numpy as np

from delineate.phantoms.shapes import Field


def ct_noise(
    random: np.random.Generator, size: tuple[int, int], grain_px: float, *, lengthening: float
) -> Field:
    """Quantum noise as filtered back projection leaves it: a ramp in frequency, streaked across the body.

    Rays along the width pass more tissue and arrive weaker; by the projection slice theorem their noise
    lies on the frequencies across them, so that the streaks run along the width.

    Args:
        random: Source of all chance.
        size: `(H, W)`.
        grain_px: Standard deviation of the smoothing kernel, in pixels.
        lengthening: How much more noise the rays along the width carry, as the logarithm of the ratio.

    Returns:
        `(H, W)` float32 with zero mean and unit standard deviation.

    Source:
        Riederer, Pelc, Chesler, "The noise power spectrum in computed X-ray tomography", Phys. Med. Biol. 23
        (1978).
    """
    from scipy.fft import irfft2, next_fast_len, rfft2  # noqa: PLC0415  the catalogue stays quick to import

    padded = next_fast_len(size[0], real=True), next_fast_len(size[1], real=True)
    down = np.fft.fftfreq(padded[0]).astype(np.float32)[:, None]
    across = np.fft.rfftfreq(padded[1]).astype(np.float32)[None, :]
    squared = down**2 + across**2
    grain = np.float32(2 * np.pi * max(grain_px, 0.45))
    streaks = lengthening * (down**2 / np.maximum(squared, 1e-12) - 0.5)
    response = np.sqrt(np.sqrt(squared)) * np.exp(streaks - 0.5 * grain**2 * squared)
    spectrum = rfft2(random.standard_normal(padded, dtype=np.float32)) * response
    noise = irfft2(spectrum, s=padded)[: size[0], : size[1]]
    return np.asarray((noise - noise.mean()) / noise.std(), dtype=np.float32)
