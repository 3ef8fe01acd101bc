"""Weights compared: by all their names, then bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def assert_same_weights(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name, tensor in one.items() if not torch.equal(tensor, other[name])] == []
