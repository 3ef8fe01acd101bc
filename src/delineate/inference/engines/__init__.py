"""What computes a net: torch, or another engine that does so faster on some machine."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from delineate.inference.engines.engine import Engine
    from delineate.inference.engines.pytorch import TorchEngine

__all__ = ["Engine", "TorchEngine"]
_HOME = {"Engine": "engine", "TorchEngine": "pytorch"}


def __getattr__(name: str) -> object:
    """Import a name when it is first used: the other engines need no torch."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
