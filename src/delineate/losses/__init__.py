"""What training makes small."""

from delineate.losses.settings import LossSettings

__all__ = ["LossSettings"]
