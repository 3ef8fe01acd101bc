"""The real data sets, each with exactly what its masks are known to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from delineate import formats
from delineate.dataset.masks import understand

pytestmark = pytest.mark.data

# kind, labels, [(value, label, share in %, cases)]
EXPECTED = {
    "kvasir": ("threshold", ("foreground",), [("0–127", 84.69, 900), ("128–255", 15.31, 900)]),
    "drive": ("values", ("foreground",), [("0", 91.37, 20), ("255", 8.63, 20)]),
    "isbi2012_em": ("values", ("foreground",), [("0", 22.54, 24), ("255", 77.46, 24)]),
    "jsrt": (
        "values",
        ("label 1", "label 2", "label 3"),
        [("0", 60.47, 124), ("1", 13.69, 124), ("2", 16.72, 124), ("3", 9.12, 124)],
    ),
    "wbc": (
        "values",
        ("label 128", "label 255"),
        [("0", 68.81, 300), ("128", 18.85, 300), ("255", 12.34, 300)],
    ),
    "dsb2018": ("instances", ("foreground",), [("0", 84.19, 160), ("1–125", 15.81, 160)]),
    "sunnybrook": ("values", ("foreground",), [("0", 97.96, 56), ("255", 2.04, 56)]),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_real_masks(name: str, data_root: Path) -> None:
    masks = sorted((data_root / name / "masks").iterdir())
    encoding = understand(masks)
    kind, labels, rows = EXPECTED[name]
    assert (encoding.kind, encoding.labels.names) == (kind, labels)
    assert [(row.value, round(100 * row.share, 2), row.cases) for row in encoding.rows] == rows
    for path in masks[:5]:
        stored = formats.read_mask(path)
        values = stored.values.astype(np.int64)
        if kind == "values":
            np.testing.assert_array_equal(
                encoding.decode(stored, path), np.searchsorted(np.unique(values), values)
            )
        else:
            limit = 127 if kind == "threshold" else 0
            np.testing.assert_array_equal(encoding.decode(stored, path), values > limit)


def test_jsrt_with_its_names(data_root: Path) -> None:
    masks = sorted((data_root / "jsrt" / "masks").iterdir())[:10]
    encoding = understand(masks, labels="1=left lung,2=right lung,3=heart")
    assert encoding.labels.names == ("left lung", "right lung", "heart")
    assert encoding.notes == ()
