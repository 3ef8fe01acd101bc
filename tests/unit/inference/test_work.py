"""How many windows an image takes."""

from __future__ import annotations

import pytest
import torch
from test_ensembles import plan_of

from delineate.image import Image
from delineate.inference.predict import predictor_of, probabilities
from delineate.inference.work import windows_in


@pytest.mark.parametrize(
    ("kind", "size", "expected"),
    [
        ("whole, one label", (300, 200), 1),
        ("patches", (16, 16), 1),
        ("patches", (17, 16), 2),
        ("patches", (32, 64), 3 * 5),  # windows of 16 that overlap by a quarter
        ("patches, mirrored", (32, 64), 2 * 3 * 5),
        ("larger windows, mirrored", (32, 64), 2 * 2 * 4),  # of 20 × 24
        ("slices", (10, 16, 16), 10),
        ("volumes", (8, 16, 16), 1),
        ("volumes", (16, 16, 32), 3 * 3),
    ],
)
def test_windows_of_an_image(kind: str, size: tuple[int, ...], expected: int) -> None:
    assert windows_in(plan_of(kind), size) == expected


@pytest.mark.parametrize("kind", ["patches", "patches, mirrored", "larger windows, mirrored"])
def test_it_is_what_prediction_computes(kind: str) -> None:
    counted: list[int] = []

    class Counting:
        """An engine that counts."""

        name, precision, members, device = "torch", "fp32", 1, torch.device("cpu")

        def __call__(self, batch: torch.Tensor) -> torch.Tensor:
            counted.append(len(batch))
            return batch.sigmoid()

    plan = plan_of(kind)
    image = Image(torch.zeros(1, 40, 23, dtype=torch.uint8).numpy())
    probabilities(Counting(), plan, image)  # type: ignore[arg-type]  # its names are literals
    assert sum(counted) == windows_in(plan, (40, 23))
    assert predictor_of(Counting(), plan)(torch.zeros(1, 1, 16, 16)).shape == (1, 1, 16, 16)  # type: ignore[arg-type]  # likewise
