from __future__ import annotations

import weakref

import numpy as np
import pytest

from delineate.image import Image
from delineate.inference.found import Found, label_probabilities, one_by_one


@pytest.mark.parametrize(("classes", "first"), [(1, 0), (2, 1), (4, 1)])
def test_that_the_background_is_left_out_where_it_has_a_channel(classes: int, first: int) -> None:
    found = np.arange(classes * 6, dtype=np.float32).reshape(classes, 2, 3)
    assert np.array_equal(label_probabilities(found), found[first:])
    assert np.shares_memory(label_probabilities(found), found)


def test_a_picture_that_failed_keeps_no_memory() -> None:
    """The frames of an error hold every array of the computation that it ended."""

    class Large:
        pass

    alive: list[weakref.ref[Large]] = []

    def find(_: Image) -> Found:
        large = Large()
        alive.append(weakref.ref(large))
        raise RuntimeError("CUDA error: out of memory")

    picture = Image(np.zeros((1, 2, 2), np.uint8))
    for found in one_by_one(find, [picture, picture]):
        assert isinstance(found, RuntimeError)
        assert alive[-1]() is None
    assert len(alive) == 2
