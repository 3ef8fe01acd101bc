"""Masks in colours and with palettes."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Pillow

from delineate.dataset.masks import MaskEncoding, understand
from delineate.errors import MaskError
from delineate.formats import StoredMask

Bytes = npt.NDArray[np.uint8]
RED, GREEN, BLACK, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 0), (255, 255, 255)
INDICES = np.zeros((40, 40), np.uint8)
INDICES[4:16, 4:16] = 1
INDICES[20:36, 8:30] = 2


def palette(*colours: tuple[int, int, int]) -> Bytes:
    return np.array(colours, np.uint8)


def understood(*stored: StoredMask, labels: str | None = None) -> MaskEncoding:
    paths = {Path(f"{at}.png"): mask for at, mask in enumerate(stored)}
    encoding = understand(list(paths), read=paths.__getitem__, labels=labels)
    assert MaskEncoding.from_json(encoding.to_json()) == encoding
    return encoding


def decoded(encoding: MaskEncoding, stored: StoredMask) -> Bytes:
    return encoding.decode(stored, Path("x.png"))


def jpeg(colours: Bytes) -> StoredMask:
    stream = io.BytesIO()
    Pillow.fromarray(colours).save(stream, format="JPEG", quality=90)
    return StoredMask(np.asarray(Pillow.open(stream)), lossy=True)


COLOURS = StoredMask(palette(BLACK, RED, GREEN)[INDICES])


def test_a_label_a_colour() -> None:
    encoding = understood(COLOURS, StoredMask(np.zeros((9, 9), np.uint8)))
    assert (encoding.kind, encoding.labels.names) == ("colours", ("#00ff00", "#ff0000"))
    assert [(row.value, row.label, row.cases) for row in encoding.rows] == [
        ("#000000", None, 2),
        ("#00ff00", "#00ff00", 1),
        ("#ff0000", "#ff0000", 1),
    ]
    np.testing.assert_array_equal(decoded(encoding, COLOURS), np.array([0, 2, 1])[INDICES])


def test_named_colours_and_an_unknown_one() -> None:
    encoding = understood(COLOURS, labels="#ff0000=tumour")
    assert encoding.labels.names == ("tumour",)
    assert encoding.notes == ("not named by --labels, so background: #00ff00",)
    np.testing.assert_array_equal(decoded(encoding, COLOURS), INDICES == 1)
    with pytest.raises(MaskError, match=r"x\.png: 144 pixels .*: #0000ff"):
        decoded(encoding, StoredMask(palette(BLACK, (0, 0, 255), RED)[INDICES]))


def test_white_background_is_refused_with_the_way_out() -> None:
    stored = StoredMask(palette(WHITE, RED, GREEN)[INDICES])
    with pytest.raises(MaskError, match=r'No pixel is black(.|\n)*--labels "#ffffff=background'):
        understood(stored)
    encoding = understood(stored, labels="#ffffff=background,#ff0000=a,#00ff00=b")
    np.testing.assert_array_equal(decoded(encoding, stored), INDICES)


def test_blurred_colours_need_names() -> None:
    stored = jpeg(COLOURS.values.astype(np.uint8))
    with pytest.raises(MaskError, match="blurred") as caught:
        understood(stored)
    (offered,) = re.findall(r'--labels "([^"]+)"', str(caught.value))
    assert (decoded(understood(stored, labels=offered), stored) != np.array([0, 2, 1])[INDICES]).mean() < 0.03
    encoding = understood(stored, labels="#ff0000=a,#00ff00=b")
    assert encoding.nearest
    assert sum(row.share for row in encoding.rows) == pytest.approx(1)
    assert (decoded(encoding, stored) != INDICES).mean() < 0.03
    with pytest.raises(MaskError, match="far from every colour that --labels names"):
        understood(stored, labels="#ff0000=a")


def test_numbers_do_not_name_colours() -> None:
    with pytest.raises(MaskError, match="Masks are in colours"):
        understood(COLOURS, labels="1=a")


def test_palette_indices_are_the_values() -> None:
    stored = StoredMask(INDICES, palette(BLACK, RED, GREEN))
    encoding = understood(stored, stored)
    assert (encoding.kind, encoding.reading, encoding.labels.names) == (
        "values",
        "values",
        ("label 1", "label 2"),
    )
    np.testing.assert_array_equal(decoded(encoding, stored), INDICES)


def test_palettes_that_differ_are_read_as_colours() -> None:
    one = StoredMask(INDICES, palette(BLACK, RED, GREEN))
    other = StoredMask(INDICES, palette(BLACK, GREEN, RED))
    encoding = understood(one, other)
    assert (encoding.reading, encoding.labels.names) == ("colours", ("#00ff00", "#ff0000"))
    assert "the palettes of the masks differ" in encoding.notes[0]
    np.testing.assert_array_equal(decoded(encoding, one), np.array([0, 2, 1])[INDICES])
    np.testing.assert_array_equal(decoded(encoding, other), INDICES)


def test_palette_with_black_behind_is_not_inverted() -> None:
    """A GIF whose first colour is white: index 0 is the structure, not the background."""
    stored = StoredMask((INDICES == 0).astype(np.uint8), palette(WHITE, BLACK))
    encoding = understood(stored)
    assert (encoding.reading, encoding.labels.names) == ("shown", ("foreground",))
    np.testing.assert_array_equal(decoded(encoding, stored), INDICES != 0)


def test_greys_with_and_without_palette() -> None:
    """Some GIFs of a set keep greys, others index them: the greys count."""
    plain = StoredMask((INDICES == 1) * np.uint8(255))
    indexed = StoredMask((INDICES == 1).astype(np.uint8), palette(BLACK, WHITE))
    encoding = understood(plain, indexed)
    assert encoding.labels.names == ("foreground",)
    for stored in (plain, indexed):
        np.testing.assert_array_equal(decoded(encoding, stored), INDICES == 1)


def test_palette_and_colour_files_together() -> None:
    encoding = understood(COLOURS, StoredMask(INDICES, palette(BLACK, GREEN, RED)))
    assert encoding.labels.names == ("#00ff00", "#ff0000")
