"""What may be chosen: words that commands, plans and files share. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

Preset = Literal["auto", "classic"]
Precision = Literal["auto", "bf16", "fp32"]
FloatPrecision = Literal["fp32", "bf16"]
FourthAxis = Literal["refuse", "channels"]
SPLIT_SEED = 42
"""By which the parts of a data set are drawn where nothing else is asked for."""
