"""An image is known again however its file orders and types its pixels, and no other is taken for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from delineate.dataset import pixel_digests
from delineate.dataset.pixel_digests import pixel_digest, stored_digest
from delineate.geometry import Geometry, turn_to
from delineate.image import Image

UPRIGHT = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))  # SPL
PICTURE = np.random.default_rng(0).integers(0, 256, (1, 20, 30), dtype=np.uint8)
VOLUME = Image(
    np.random.default_rng(1).integers(0, 256, (1, 4, 5, 6), dtype=np.int16),
    Geometry((2.0, 1.0, 0.5), (1.0, 2.0, 3.0), UPRIGHT),
    shares=False,
)


def test_a_picture_is_known_again_and_no_other() -> None:
    digest = pixel_digest(Image(PICTURE))
    assert len(digest) == 16
    assert digest == pixel_digest(Image(PICTURE.copy(order="F")))
    changed = PICTURE.copy()
    changed[0, 3, 4] ^= 1
    others = (changed, PICTURE.reshape(1, 30, 20), PICTURE[:, ::-1])
    assert len({digest, *(pixel_digest(Image(other)) for other in others)}) == 4
    assert pixel_digest(Image(PICTURE, shares=False)) == digest  # as DICOM and NumPy hold it
    coloured = np.repeat(PICTURE, 3, axis=0)
    assert pixel_digest(Image(coloured)) == digest  # grey stored as colour
    coloured[2, 3, 4] ^= 1
    assert pixel_digest(Image(coloured)) != digest


def test_8_bits_are_known_again_in_16() -> None:
    wider = PICTURE.astype(np.uint16) * 257
    assert pixel_digest(Image(wider)) == pixel_digest(Image(PICTURE))
    wider[0, 0, 0] ^= 1
    assert pixel_digest(Image(wider)) != pixel_digest(Image(PICTURE))


def test_equal_numbers_in_own_units_are_one_image_in_any_type() -> None:
    digests = {
        pixel_digest(replace(VOLUME, pixels=VOLUME.pixels.astype(kind)))
        for kind in (np.uint8, np.int16, np.uint16, np.float32)
    }
    assert digests == {pixel_digest(VOLUME)}
    half = VOLUME.pixels.astype(np.float32)
    half[0, 0, 0, 0] += 0.5
    assert pixel_digest(replace(VOLUME, pixels=half)) not in digests
    zeros = np.zeros((1, 2, 2, 2), np.float32)
    assert pixel_digest(Image(-zeros)) == pixel_digest(Image(zeros))


@pytest.mark.parametrize("orientation", ["SPL", "LPS", "RAS", "IAR", "PSL", "LAI"])
def test_a_volume_is_known_again_in_any_orientation(orientation: str) -> None:
    turn = turn_to(VOLUME.geometry, orientation)
    pixels = np.ascontiguousarray(turn.apply(VOLUME.pixels))
    turned = Image(pixels, turn.geometry(VOLUME.geometry, VOLUME.size), shares=False)
    assert turned.geometry.orientation == orientation
    assert pixel_digest(turned) == pixel_digest(VOLUME)
    nowhere = replace(turned, geometry=Geometry())
    assert (pixel_digest(nowhere) == pixel_digest(VOLUME)) is (orientation == "SPL")


@pytest.mark.parametrize("values", [1, 31, 60, 120])
def test_slabs_leave_the_digest_as_it_is(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = (VOLUME, Image(PICTURE), Image(PICTURE.astype(np.uint16) * 257))
    before = [pixel_digest(image) for image in images]
    monkeypatch.setattr(pixel_digests, "SLAB_VALUES", values)
    assert [pixel_digest(image) for image in images] == before


def test_what_older_files_hold_stays() -> None:
    values = np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4) - 12
    assert stored_digest(Image(values.astype(np.int16), shares=False)) == "6b2ca034456ca56c"
