"""What computes a net: torch, or another engine that does so faster on some machine."""

from delineate.inference.engines.engine import Engine
from delineate.inference.engines.pytorch import TorchEngine

__all__ = ["Engine", "TorchEngine"]
