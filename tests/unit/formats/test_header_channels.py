"""The number of channels that a header states is that of the image which is then read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image as Pillow

from delineate import formats

INDICES = np.arange(16, dtype=np.uint8).reshape(4, 4)
GREYS = [255 - n for n in range(256) for _ in range(3)]
COLOURS = [value for n in range(256) for value in (n, 255 - n, 7)]


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif"])
@pytest.mark.parametrize(("palette", "channels"), [(GREYS, 1), (COLOURS, 3)])
def test_a_palette_of_greys_is_one_channel(
    tmp_path: Path, suffix: str, palette: list[int], channels: int
) -> None:
    path = tmp_path / f"a.{suffix}"
    picture = Pillow.fromarray(INDICES)
    picture.putpalette(palette)
    picture.save(path)
    stated = formats.header(path)
    assert (stated.mode, stated.channels) == ("palette", channels)
    assert formats.read(path).channels == channels


@pytest.mark.parametrize("inverted", [False, True])
def test_a_palette_of_a_tiff(tmp_path: Path, inverted: bool) -> None:
    ramp = np.arange(256, dtype=np.uint16)[::-1] * 257
    colormap = np.stack([ramp, ramp[::-1] if inverted else ramp, ramp])
    tifffile.imwrite(tmp_path / "a.tif", INDICES, photometric="palette", colormap=colormap)
    assert formats.header(tmp_path / "a.tif").channels == (3 if inverted else 1)
    assert formats.read(tmp_path / "a.tif").channels == (3 if inverted else 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int16])
@pytest.mark.parametrize("samples", [1, 2, 3, 5])
def test_samples_of_a_tiff_are_channels(tmp_path: Path, dtype: type, samples: int) -> None:
    pixels: npt.NDArray[np.generic] = np.ones((samples, 4, 6), dtype)
    planes = "separate" if samples > 1 else None
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", planarconfig=planes, metadata=None)
    assert formats.header(tmp_path / "a.tif").channels == samples
    assert formats.read(tmp_path / "a.tif").channels == samples
