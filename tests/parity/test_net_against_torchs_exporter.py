"""The graph of a net that is written node by node says what torch and torch's own exporter say."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exporting import PLANS, model_of
from torch import nn

from delineate.inference.engines import TorchEngine
from delineate.inference.engines.network_onnx import IMAGES, Averaged, network_onnx
from delineate.inference.engines.onnx_graph import OPSET


def exported(network: nn.Module, channels: int, size: tuple[int, ...]) -> onnx.ModelProto:
    """What torch's own exporter makes of the net."""
    program = torch.onnx.export(
        Averaged([network]).eval(),
        (torch.zeros(2, channels, *size),),
        input_names=[IMAGES],
        dynamic_shapes={"images": {0: torch.export.Dim("n")}},
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    return program.model_proto


def said_by(proto: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(proto, full_check=True)
    found: np.ndarray = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {IMAGES: images})[0]
    return found


@pytest.mark.parametrize("kind", PLANS)
@pytest.mark.parametrize("members", [1, 3])
def test_any_number_of_images_as_torch(kind: str, members: int) -> None:
    model = model_of(kind, members)
    channels, size = model.plan.data.channels, model.plan.preprocessing.size
    proto = network_onnx(model.network, channels, size)
    assert [each.name for each in proto.graph.input] == [IMAGES]
    for count in (1, 3):
        images = torch.randn(count, channels, *size, generator=torch.Generator().manual_seed(count))
        with torch.inference_mode():
            expected = TorchEngine(model.network)(images).numpy()
        assert expected.std() > 0.005
        assert np.allclose(said_by(proto, images.numpy()), expected, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folded", "with a ResNet", "volumes"])
def test_as_torchs_exporter(kind: str) -> None:
    model = model_of(kind)
    channels, size = model.plan.data.channels, model.plan.preprocessing.size
    images = np.random.default_rng(0).standard_normal((2, channels, *size)).astype(np.float32)
    ours = said_by(network_onnx(model.network, channels, size), images)
    theirs = said_by(exported(model.network, channels, size), images)
    assert np.allclose(ours, theirs, atol=2e-5)
