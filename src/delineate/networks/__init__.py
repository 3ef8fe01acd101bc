"""The U-Net: one definition, of which the classic net is one setting."""

from delineate.networks.settings import CLASSIC, UNetSettings

__all__ = ["CLASSIC", "UNetSettings"]
