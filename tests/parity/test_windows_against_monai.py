"""Our windows beside MONAI's, with predictors for which there is one right answer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from delineate.inference.windows import predict_windows

inferers = pytest.importorskip("monai.inferers")


def pointwise(batch: Tensor) -> Tensor:
    return torch.cat([batch.square(), batch.sum(1, keepdim=True).sigmoid()], dim=1)


@pytest.mark.parametrize("size", [(64, 64), (100, 61), (33, 200), (20, 20)])
@pytest.mark.parametrize("window", [(32, 32), (16, 48)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.6])
def test_a_pointwise_predictor(size: tuple[int, int], window: tuple[int, int], overlap: float) -> None:
    image = torch.rand(2, *size, generator=torch.Generator().manual_seed(1))
    ours = predict_windows(pointwise, image, window, overlap)
    theirs = inferers.sliding_window_inference(
        image[None], window, 4, pointwise, overlap=overlap, mode="gaussian", padding_mode="replicate"
    )[0]
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_where_the_windows_fall_alike_so_does_what_they_see_of_their_surroundings() -> None:
    # 64 px in windows of 32 that overlap by a half: both begin at 0, 16 and 32, with the same Gaussian
    def smoothing(batch: Tensor) -> Tensor:
        return functional.avg_pool2d(batch, 5, stride=1, padding=2)

    image = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(2))
    ours = predict_windows(smoothing, image, (32, 32), 0.5)
    theirs = inferers.sliding_window_inference(
        image[None], (32, 32), 4, smoothing, overlap=0.5, mode="gaussian"
    )[0]
    assert torch.allclose(ours, theirs, atol=2e-3)
    assert float((ours - smoothing(image[None])[0]).abs().max()) > 0.05  # windows do have edges
