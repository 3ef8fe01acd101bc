from __future__ import annotations

import numpy as np
import pytest

from delineate.inference.found import label_probabilities


@pytest.mark.parametrize(("classes", "first"), [(1, 0), (2, 1), (4, 1)])
def test_that_the_background_is_left_out_where_it_has_a_channel(classes: int, first: int) -> None:
    found = np.arange(classes * 6, dtype=np.float32).reshape(classes, 2, 3)
    assert np.array_equal(label_probabilities(found), found[first:])
    assert np.shares_memory(label_probabilities(found), found)
