"""Encoders from files: every form that is read, every one that is refused, and that nothing in them runs."""

from __future__ import annotations

import collections
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from delineate.errors import DelineateError, ModelFileError, UsageError
from delineate.files import sha256
from delineate.networks import UNetSettings
from delineate.networks.resnet import ARCHITECTURES, Architecture, ResNet
from delineate.networks.unet import UNet
from delineate.pretrained import state_dict
from delineate.pretrained.resnet import PretrainedEncoder, read_encoder

Weights = dict[str, Tensor]


def weights_of(architecture: Architecture, channels: int = 3) -> Weights:
    torch.manual_seed(3)
    return {
        **ResNet(architecture, channels).state_dict(),
        "fc.weight": torch.ones(1000, 8),
        "fc.bias": torch.ones(1000),
    }


@pytest.fixture(scope="module")
def resnet18() -> Weights:
    return weights_of("resnet18")


def kept(weights: Weights) -> Weights:
    return {
        name: tensor
        for name, tensor in weights.items()
        if not name.startswith("fc.") and not name.endswith("num_batches_tracked")
    }


def assert_equal(found: PretrainedEncoder, weights: Weights) -> None:
    expected = kept(weights)
    assert found.weights.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found.weights[name].dtype == torch.float32
        assert torch.equal(found.weights[name], tensor.float()), name


def saved(value: object, path: Path, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("form", ["safetensors", "pth"])
def test_the_architecture_is_recognised(architecture: Architecture, form: str, tmp_path: Path) -> None:
    weights, path = weights_of(architecture), tmp_path / f"anything.{form}"
    if form == "pth":
        torch.save(weights, path)
    else:
        safetensors.torch.save_file(weights, path)
    found = read_encoder(path)
    assert found.architecture == architecture
    assert found.sha256 == sha256(path)
    assert_equal(found, weights)


FORMS: dict[str, Callable[[Weights], object]] = {
    "ordered": collections.OrderedDict,
    "parameters": lambda weights: {
        name: nn.Parameter(tensor) if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    },
    "state_dict": lambda weights: {"epoch": 3, "state_dict": weights},
    "model": lambda weights: {"model": weights, "optimizer": {"lr": 0.1}},
    "wrapped twice": lambda weights: {"model": {"state_dict": weights}},
    "module": lambda weights: {f"module.{name}": tensor for name, tensor in weights.items()},
    "module.encoder": lambda weights: {
        **{f"module.encoder.{name}": tensor for name, tensor in weights.items()},
        "module.decoder.conv1.weight": torch.ones(2, 2),
        "module.segmentation_head.0.weight": torch.ones(2, 2),
    },
    "backbone": lambda weights: {f"backbone.{name}": tensor for name, tensor in weights.items()},
    "no counters": kept,
    "bfloat16": lambda weights: {
        name: tensor.bfloat16() if tensor.is_floating_point() else tensor for name, tensor in weights.items()
    },
    "other strides": lambda weights: {
        name: tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        for name, tensor in weights.items()
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_state_dicts(form: str, resnet18: Weights, tmp_path: Path) -> None:
    found = read_encoder(saved(FORMS[form](resnet18), tmp_path / "weights.pt"))
    if form == "bfloat16":
        resnet18 = {name: tensor.bfloat16() for name, tensor in resnet18.items()}
    assert_equal(found, resnet18)
    assert all(tensor.is_contiguous() for tensor in found.weights.values())


def settings(channels: int, encoder: Architecture = "resnet18") -> UNetSettings:
    return UNetSettings(
        encoder=encoder,
        input_channels=channels,
        output_channels=1,
        widths=(2, 2, 2, 2, 2),
        normalization="batch",
    )


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_first_convolution_fits_any_image(channels: int, resnet18: Weights) -> None:
    encoder = PretrainedEncoder("resnet18", kept(resnet18), "")
    start = encoder.start_weights(settings(channels))
    network = UNet(settings(channels))
    found = network.load_state_dict(start, strict=False)
    assert not found.unexpected_keys
    assert all(re.match(r"decoders|head|.*num_batches", name) for name in found.missing_keys)
    grey = torch.randn(1, 1, 64, 32, generator=torch.Generator().manual_seed(5))
    original = ResNet("resnet18", 3).eval()
    original.load_state_dict(encoder.weights, strict=False)
    with torch.no_grad():
        expected = original(grey.expand(-1, 3, -1, -1))
        levels = network.eval().encoder(grey.expand(-1, channels, -1, -1))
    for ours, theirs in zip(levels, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))
    if channels == 3:
        assert torch.equal(start["encoder.conv1.weight"], resnet18["conv1.weight"])


def test_a_file_of_grey_images_fits_coloured_ones(tmp_path: Path) -> None:
    weights = weights_of("resnet18", channels=1)
    found = read_encoder(saved(weights, tmp_path / "grey.pth"))
    first = found.start_weights(settings(3))["encoder.conv1.weight"]
    assert first.shape == (64, 3, 7, 7)
    torch.testing.assert_close(first.sum(1, keepdim=True), weights["conv1.weight"])
    assert torch.equal(first[:, 0], first[:, 2])


def test_weights_of_another_architecture_are_none(resnet18: Weights) -> None:
    with pytest.raises(ValueError, match="resnet18"):
        PretrainedEncoder("resnet18", kept(resnet18), "").start_weights(settings(3, "resnet34"))


def refusal(path: Path, kind: type[DelineateError] = ModelFileError) -> str:
    with pytest.raises(kind) as caught:
        read_encoder(path)
    message = str(caught.value)
    assert str(path) in message
    return message


def test_there_must_be_a_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.pth", UsageError)
    assert "is a folder" in refusal(tmp_path, UsageError)


def without(weights: Weights, *names: str) -> Weights:
    return {name: tensor for name, tensor in weights.items() if name not in names}


OTHERS: dict[str, tuple[Callable[[Weights], object], str]] = {
    "vision transformer": (
        lambda _: {
            "a.num_batches_tracked": torch.ones(1),
            "cls\ntoken": torch.ones(1),
            "blocks.0.attn.qkv.weight": torch.ones(2),
        },
        "holds 3 tensors, first: 'cls\\ntoken', blocks.0.attn.qkv.weight.",
    ),
    "deep stem": (
        lambda weights: {**without(weights, "conv1.weight"), "conv1.0.weight": torch.ones(1)},
        "first: bn1.weight",
    ),
    "none": (lambda _: {}, "first: none"),
    "deeper": (
        lambda weights: {**weights, "layer3.6.conv1.weight": torch.ones(1)},
        "has what a resnet18 has not, layer3.6.conv1.weight.",
    ),
    "attention": (
        lambda weights: {**weights, "layer1.0.se.fc1.weight": torch.ones(1), "layer1.0.\n": torch.ones(1)},
        "layer1.0.se.fc1.weight and 1 more",
    ),
    "incomplete": (
        lambda weights: without(weights, "layer2.1.bn2.bias"),
        "lacks what a resnet18 has, layer2.1.bn2.bias.",
    ),
    "wide": (
        lambda weights: {**weights, "layer2.0.conv1.weight": torch.ones(256, 64, 3, 3)},
        "its layer2.0.conv1.weight has the shape (256, 64, 3, 3)",
    ),
    "of volumes": (
        lambda weights: {**weights, "conv1.weight": torch.ones(64, 1, 7, 7, 7)},
        "(64, 1, 7, 7, 7)",
    ),
    "two": (
        lambda weights: {f"{part}.{name}": tensor for part in "qk" for name, tensor in weights.items()},
        "several encoders, named q.…, k.…",
    ),
    "not a number": (
        lambda weights: {**weights, "bn1.weight": torch.full((64,), torch.nan)},
        "bn1.weight holds values that are not numbers",
    ),
    "infinite in float16": (
        lambda weights: {**weights, "bn1.weight": torch.full((64,), torch.inf, dtype=torch.float16)},
        "bn1.weight holds values that are not numbers",
    ),
    "variance": (
        lambda weights: {**weights, "bn1.running_var": torch.full((64,), -1.0)},
        "bn1.running_var holds variances below zero",
    ),
    "integers": (
        lambda weights: {**weights, "bn1.bias": torch.ones(64, dtype=torch.int64)},
        "bn1.bias is no plain tensor",
    ),
    "sparse": (
        lambda weights: {**weights, "bn1.bias": torch.ones(64).to_sparse()},
        "bn1.bias is no plain tensor",
    ),
    "without values": (
        lambda weights: {**weights, "bn1.bias": torch.ones(64, device="meta")},
        "bn1.bias is no plain tensor",
    ),
    "a tensor": (lambda _: torch.ones(3), "holds no state dict, but Tensor"),
    "a list": (lambda weights: list(weights.values())[:2], "holds no state dict, but list"),
    "a whole model": (lambda _: nn.Linear(1, 1), "save(model.state_dict(), NEW)"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_refused(kind: str, resnet18: Weights, tmp_path: Path) -> None:
    make, said = OTHERS[kind]
    assert said in refusal(saved(make(resnet18), tmp_path / "other.pth"))


def test_a_model_of_ours_is_given_otherwise(resnet18: Weights, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(dict(resnet18), path, metadata={"delineate": "{}"})
    assert "is a model of Delineate: give it with --from" in refusal(path)


class Harmful:
    """A pickle of it makes a file when it is read without care."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("inside", [False, True])
def test_nothing_in_a_file_is_run(
    inside: bool, resnet18: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    mark = tmp_path / "mark"
    value: object = {**resnet18, "harm": Harmful(mark)} if inside else Harmful(mark)
    message = refusal(saved(value, tmp_path / "harm.pth"))
    assert "holds more than tensors" in message
    assert not mark.exists()
    saved(value, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert "before version 1.6" in refusal(tmp_path / "old.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Harmful(mark), protocol=2))
    assert "before version 1.6" in refusal(tmp_path / "plain.pth")
    assert not mark.exists()


def test_damaged_files_are_refused(resnet18: Weights, tmp_path: Path) -> None:
    for name, content in (
        ("weights.pth", saved(resnet18, tmp_path / "a").read_bytes()),
        ("weights.safetensors", safetensors.torch.save(resnet18)),
    ):
        path = tmp_path / name
        for length in (len(content) // 2, len(content) - 1, 600, 20):
            path.write_bytes(content[:length])
            assert "damaged" in refusal(path)
        path.write_bytes(content[:3])
        assert "neither" in refusal(path)
    (tmp_path / "image.pth").write_bytes(b"\x89PNG\r\n" + bytes(600))
    assert "neither" in refusal(tmp_path / "image.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    assert "neither" in refusal(tmp_path / "empty.pth")
    (tmp_path / "old.pth").write_bytes(bytes(257) + b"ustar" + bytes(600))
    assert "before version 1.6" in refusal(tmp_path / "old.pth")


def test_archives_of_others_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "slides.zip", "w") as archive:
        archive.writestr("notes.txt", "nothing")
    assert "none that torch.save wrote" in refusal(tmp_path / "slides.zip")


def test_archives_that_grow_are_refused(tmp_path: Path) -> None:
    plain = saved({"conv1.weight": torch.ones(3)}, tmp_path / "plain.pth")
    path = tmp_path / "packed.pth"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in source.namelist():
            packed.writestr(entry, source.read(entry))
    assert "compressed" in refusal(path)


def test_too_large_files_are_refused(
    resnet18: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sparse.safetensors"
    with path.open("wb") as stream:
        stream.truncate(state_dict.MAXIMUM_BYTES + 1)
    assert "at most 1,073,741,824" in refusal(path)
    monkeypatch.setattr(state_dict, "MAXIMUM_PICKLE_BYTES", 1000)
    assert "larger inside" in refusal(saved(resnet18, tmp_path / "long.pth"))


def mutated(content: bytes, draw: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 8])):
        place = int(draw.integers(len(changed)))
        match int(draw.integers(3)):
            case 0:
                changed[place] = int(draw.integers(256))
            case 1:
                del changed[place : place + int(draw.integers(1, 50))]
            case _:
                changed[place:place] = draw.bytes(int(draw.integers(1, 20)))
    return bytes(changed)


@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_whatever_befalls_a_file_is_read_or_refused(form: str, tmp_path: Path) -> None:
    weights, path, draw = (
        {"conv1.weight": torch.randn(8, 3, 7, 7)},
        tmp_path / "file",
        np.random.default_rng(4),
    )
    content = saved(weights, path).read_bytes() if form == "pth" else safetensors.torch.save(weights)
    messages = []
    for _ in range(60):
        path.write_bytes(mutated(content, draw))
        try:
            state_dict.read_state_dict(path)
        except DelineateError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert all(str(path) in message for message in messages)
