"""Whether what an engine computes is what torch computes in fp32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from delineate.choices import FloatPrecision
from delineate.inference.engines.sessions import Numbers

MOST_IN_FP32 = 1e-3  # of a probability; rounding makes 1e-5
MOST_LABELS = 0.005  # share of the pixels that get another label in bf16
MOST_OF_TORCH = 1.5  # times those that torch's own bf16 changes
MOST_ON_AVERAGE = 0.02  # of a probability in bf16; its 8 bits make 1e-4 to 1e-3


def disagreement(
    found: Numbers,
    reference: Numbers,
    precision: FloatPrecision,
    *,
    threshold: float,
    of_torch: float = 0.0,
) -> str | None:
    """What is wrong with probabilities, to stand after the engine's name; None where nothing is.

    In fp32 no probability may be off by more than 0.001. In bf16 single pixels at an outline may be off by
    far more, by torch too: what counts there is the share of pixels that get another label.

    Args:
        found: `(N, K, …)`.
        reference: Likewise, by torch in fp32.
        precision: Of `found`.
        threshold: That decides where there is one label.
        of_torch: Share of the labels that torch's own bf16 changes.
    """
    if not np.isfinite(found).all():
        return "gives probabilities that are not numbers"
    apart = np.abs(found.astype(np.float64) - reference)
    if precision == "fp32":
        most = float(apart.max())
        return f"gives other probabilities than torch, by up to {most:.2g}" if most > MOST_IN_FP32 else None
    if (mean := float(apart.mean())) > MOST_ON_AVERAGE:
        return f"gives other probabilities than torch in fp32, by {mean:.2g} on average"
    share = changed_labels(found, reference, threshold)
    if share > max(MOST_LABELS, MOST_OF_TORCH * of_torch):
        return f"gives {share:.1%} of the pixels another label than torch in fp32"
    return None


def changed_labels(found: Numbers, reference: Numbers, threshold: float) -> float:
    """Share of the pixels that get another label."""
    return float((_labels(found, threshold) != _labels(reference, threshold)).mean())


def _labels(found: Numbers, threshold: float) -> npt.NDArray[np.intp]:
    if found.shape[1] == 1:
        return (found[:, 0] >= threshold).astype(np.intp)
    labels: npt.NDArray[np.intp] = found.argmax(1)
    return labels
