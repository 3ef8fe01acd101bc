"""Every engine computes what torch computes: all plans, ensembles, any batch, any number of threads."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from test_ensembles import KINDS, model, net, picture, plan_of

from delineate.choices import FloatPrecision
from delineate.errors import UsageError
from delineate.inference.engines.engine import EngineName
from delineate.inference.engines.making import Net, make_engine
from delineate.inference.engines.sessions import open_session
from delineate.inference.engines.wish import PrecisionChoice
from delineate.inference.model import Model
from delineate.networks.settings import UNetSettings
from delineate.networks.unet import UNet

TOLERANCE: dict[FloatPrecision, float] = {"fp32": 1e-5, "bf16": 0.05}
ENGINES: tuple[tuple[EngineName, FloatPrecision], ...] = (
    ("torch", "fp32"),
    ("torch", "bf16"),
    ("onnxruntime", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
)
each_engine = pytest.mark.parametrize(("engine", "precision"), ENGINES)


@functools.cache
def made(kind: str, members: int = 1) -> Model:
    plan = plan_of(kind)
    return model(plan, *[net(plan, seed) for seed in range(members)])


def of_settings(size: tuple[int, ...] = (16, 16), classes: int = 1, **settings: object) -> Net:
    """A net that no plan need make."""
    plan = plan_of("volumes" if len(size) == 3 else "patches")
    network = UNetSettings.model_validate(
        {"axes": len(size), "input_channels": 1, "output_channels": classes, "widths": (4, 6), **settings}
    )
    data = plan.data.model_copy(update={"channels": network.input_channels})
    preprocessing = plan.preprocessing.model_copy(update={"size": size})
    plan = plan.model_copy(update={"network": network, "data": data, "preprocessing": preprocessing})
    torch.manual_seed(1)
    net_of_plan = UNet(network).eval()
    with torch.no_grad():
        net_of_plan.head.weight *= 10
    return Net(net_of_plan, plan, 1, "fp32", "0" * 64)


def assert_agreeing(given: Net, engine: EngineName, precision: FloatPrecision, count: int = 2) -> None:
    torch.manual_seed(0)
    batch = torch.randn(count, *given.shape)
    with torch.inference_mode():
        expected = make_engine(given, "torch", "fp32")(batch)
        found = make_engine(given, engine, precision)(batch)
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    assert 0 <= found.min() <= found.max() <= 1 + 1e-6
    assert (found - expected).abs().max() < TOLERANCE[precision]
    assert expected.std() > 0.01


@each_engine
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("members", [1, 2])
def test_probabilities_are_those_of_torch(
    kind: str, engine: EngineName, precision: FloatPrecision, members: int
) -> None:
    expected, image = made(kind, members), picture(plan_of(kind))
    found = expected.with_mirroring(expected.plan.prediction.mirror)
    found.engine = make_engine(expected.net, engine, precision)
    assert (found.engine.name, found.engine.precision, found.engine.members) == (engine, precision, members)
    theirs, ours = (each.probabilities(image).astype(np.float32) for each in (expected, found))
    assert np.ptp(theirs) > 0.5
    half = 1e-3 * (found.plan.data.axes == 3)  # volumes' are kept in half precision
    assert np.abs(theirs - ours).max() < max(TOLERANCE[precision], half)


@each_engine
@pytest.mark.parametrize(
    "settings",
    [
        {"input_channels": 3, "widths": (5, 7, 9)},
        {"input_channels": 5, "normalization": "batch", "residual": True},
        {"input_channels": 7, "output_channels": 4, "upsampling": "nearest", "stem": 2},
        {"encoder": "resnet18", "normalization": "batch", "widths": (3, 4, 5, 6, 7), "size": (32, 32)},
        {"size": (8, 16, 16), "strides": ((1, 2, 2), (2, 2, 2)), "widths": (3, 4, 5), "stem_depth": 2},
        {"size": (24, 40), "classes": 3},
    ],
    ids=["odd widths", "residual", "folded", "resnet", "volumes", "no square"],
)
def test_every_form_of_net(
    engine: EngineName, precision: FloatPrecision, settings: dict[str, object]
) -> None:
    assert_agreeing(of_settings(**settings), engine, precision)  # type: ignore[arg-type]  # as a table


@each_engine
def test_batches_of_any_size_one_after_another(engine: EngineName, precision: FloatPrecision) -> None:
    ready = make_engine(made("patches").net, engine, precision)
    torch.manual_seed(0)
    batch = torch.randn(5, 1, 16, 16)
    one_by_one = torch.cat([ready(each[None]) for each in batch])
    for count in (5, 1, 3, 2):
        assert torch.allclose(ready(batch[:count]), one_by_one[:count], atol=TOLERANCE[precision])


@each_engine
def test_what_was_found_is_not_overwritten(engine: EngineName, precision: FloatPrecision) -> None:
    ready = make_engine(made("patches").net, engine, precision)
    first = ready(torch.zeros(2, 1, 16, 16))
    kept = first.clone()
    ready(torch.ones(2, 1, 16, 16))
    assert torch.equal(first, kept)


@each_engine
def test_any_order_in_memory(engine: EngineName, precision: FloatPrecision) -> None:
    given = of_settings(input_channels=3)
    ready = make_engine(given, engine, precision)
    torch.manual_seed(0)
    batch = torch.randn(2, 3, 16, 16)
    expected = ready(batch)
    channels_last = batch.contiguous(memory_format=torch.channels_last)
    half_of_more = torch.stack([batch, batch], dim=-1)[..., 0]
    with torch.inference_mode():
        for other in (channels_last, half_of_more, batch.flip(-1).flip(-1)):
            assert torch.allclose(ready(other), expected, atol=TOLERANCE[precision])


@pytest.fixture
def threads() -> Iterator[list[int]]:
    """The threads that sessions are made with."""
    before = torch.get_num_threads()
    yield []
    torch.set_num_threads(before)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_as_many_threads_as_now_hold(
    engine: EngineName, threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def watched(*args: object, threads_given: list[int] = threads, **kwargs: object) -> object:
        threads_given.append(int(str(kwargs["threads"])))
        return open_session(*args, **kwargs)  # type: ignore[arg-type]  # whatever they are

    monkeypatch.setattr("delineate.inference.engines.making.open_session", watched)
    ready = make_engine(made("patches").net, engine, "fp32")
    batch = torch.ones(1, 1, 16, 16)
    found = []
    for number in (1, 1, 2, 1):
        torch.set_num_threads(number)
        found.append(ready(batch))
    assert threads == [1, 2, 1]
    assert all(torch.allclose(each, found[0], atol=1e-5) for each in found)


@pytest.mark.parametrize(
    ("engine", "precision", "told"),
    [
        ("onnxruntime", "bf16", "ONNX Runtime computes in fp32 on a processor"),
        ("onnxruntime", "int8", "delineate export MODEL --to openvino --precision int8"),
        ("openvino", "int8", "images to calibrate with"),
        ("torch", "int8", "so it is an export"),
    ],
)
def test_a_precision_that_an_engine_has_not(
    engine: EngineName, precision: PrecisionChoice, told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        make_engine(made("patches").net, engine, precision)


@pytest.mark.parametrize(
    ("engine", "missing", "told"),
    [
        ("onnxruntime", "onnxruntime", r"onnxruntime, which is not installed.*pip install .*onnxruntime"),
        ("openvino", "openvino", r"openvino, which is not installed.*pip install .*openvino"),
        ("openvino", "onnx", r"onnx, which is not installed.*pip install .*openvino"),
    ],
)
def test_a_package_that_is_not_installed(
    engine: EngineName, missing: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "delineate.inference.engines.packages.find_spec", lambda name: None if name == missing else object()
    )
    with pytest.raises(UsageError, match=f"--engine {engine} needs the package {told}"):
        make_engine(made("patches").net, engine, "auto")
