"""Every kind of plan as an ONNX file: what it says is what the model says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from exporting import PLANS, image_for, model_of, saved

from delineate.errors import DataError
from delineate.export.agreement import Agreement, compare
from delineate.export.onnx_model import onnx_model
from delineate.export.order import Form
from delineate.image import Image
from delineate.inference.exported import ExportedModel
from delineate.inference.model import Model
from delineate.inference.onnx_file import Channels, Pixels, read_onnx

PICTURES = [(16, 32), (37, 53), (5, 61), (61, 5), (1, 1), (1, 40), (40, 1), (15, 15), (70, 33)]
VOLUMES = [(4, 8, 8), (7, 19, 14), (1, 9, 30), (3, 1, 5), (13, 11, 1)]


def exported(model: Model, folder: Path, pixels: Pixels, channels: Channels = "last") -> ExportedModel:
    content = onnx_model(model, Form(pixels, channels))
    return ExportedModel(read_onnx(saved(folder / "model.onnx", content)))


def agreement_of(model: Model, other: ExportedModel, images: list[Image]) -> Agreement:
    found = compare(model, other, images)
    assert found.images == len(images)
    assert found.pixels == sum(int(np.prod(image.size)) for image in images)
    return found


@pytest.mark.parametrize("kind", PLANS)
@pytest.mark.parametrize("channels", ["last", "first"])
def test_every_plan_is_reproduced_for_every_size(kind: str, channels: Channels, tmp_path: Path) -> None:
    model = model_of(kind)
    pixels: Pixels = "float32" if model.plan.data.pixels == "float" else "uint8"
    sizes: list[Any] = VOLUMES if model.plan.data.axes == 3 else PICTURES
    if model.plan.preprocessing.normalization == "image":  # a constant is divided by next to nothing:
        sizes = [size for size in sizes if np.prod(size) > 1]  # what is left of it is rounding
    images = [image_for(model.plan, size, seed=at) for at, size in enumerate(sizes)]
    found = agreement_of(model, exported(model, tmp_path, pixels, channels), images)
    rounded = 5e-4 if model.plan.data.axes == 3 else 0  # volumes' probabilities are kept in half precision
    assert found.probability < 3e-5 + rounded
    assert found.differing <= 1  # of thousands: a tie


def test_the_nets_say_different_things_in_different_places() -> None:
    """Without this the agreement above might be one of constants."""
    for kind in PLANS:
        model = model_of(kind)
        size = (6, 20, 24) if model.plan.data.axes == 3 else (48, 40)
        found = model.probabilities(image_for(model.plan, size))
        assert float(found.std()) > 0.01, kind


@pytest.mark.parametrize("kind", ["stretched", "mirrored, sides swapped", "volumes"])
def test_several_nets_are_averaged(kind: str, tmp_path: Path) -> None:
    model = model_of(kind, members=3)
    pixels: Pixels = "float32" if kind == "volumes" else "uint8"
    image = image_for(model.plan, (7, 19, 14) if kind == "volumes" else (37, 53))
    found = agreement_of(model, exported(model, tmp_path, pixels), [image])
    assert found.probability < 5e-4
    assert found.differing == 0
    alone = compare(model_of(kind), exported(model, tmp_path, pixels), [image])
    assert alone.probability > 0.02


@pytest.mark.parametrize("pixels", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("kind", ["colour, several labels", "patches"])
def test_every_type_of_pixels_stands_for_the_same_shares(kind: str, pixels: Pixels, tmp_path: Path) -> None:
    model = model_of(kind)
    other = exported(model, tmp_path, pixels)
    image = image_for(model.plan, (37, 53), pixels)
    assert agreement_of(model, other, [image]).probability < 1e-5
    eight_bit = image_for(model.plan, (21, 30))
    assert agreement_of(model, other, [eight_bit]).probability < 1e-5  # more bits hold fewer


def test_fewer_bits_do_not_hold_more(tmp_path: Path) -> None:
    model = model_of("stretched")
    other = exported(model, tmp_path, "uint8")
    for kind in ("uint16", "float32"):
        with pytest.raises(DataError, match=rf"its pixels are {kind}.*takes uint8.*--pixels float32"):
            other.predict_mask(image_for(model.plan, (20, 20), kind))


@pytest.mark.parametrize("kind", ["patches", "channels", "clipped"])
def test_a_model_of_pictures_takes_volumes_slice_by_slice(kind: str, tmp_path: Path) -> None:
    model = model_of(kind)
    values = np.random.default_rng(0).normal(100, 40, (model.plan.data.channels, 5, 21, 30))
    image = Image(values.astype(np.float32), shares=False)
    other = exported(model, tmp_path, "float32")
    assert agreement_of(model, other, [image]).probability < 6e-4
    told: list[tuple[int, int]] = []
    found = other.found_in(image, progress=lambda done, total: told.append((done, total)))
    assert found.probabilities is None
    assert told == [(done, 5) for done in range(1, 6)]


def test_one_slice_is_no_volume(tmp_path: Path) -> None:
    model = model_of("slices")
    with pytest.raises(DataError, match="give the whole volume"):
        exported(model, tmp_path, "float32").predict_mask(
            Image(np.zeros((1, 8, 8), np.float32), shares=False)
        )


def test_a_volume_beyond_the_memory_is_refused(tmp_path: Path) -> None:
    model = model_of("volumes")
    with pytest.raises(DataError, match=r"GB are allowed by --memory"):
        exported(model, tmp_path, "float32").found_in(image_for(model.plan, (9, 9, 9)), memory_bytes=1000)


def test_the_file_has_one_graph_of_onnx_own_operators_and_no_other_file(tmp_path: Path) -> None:
    model = model_of("mirrored, sides swapped")
    content = onnx_model(model, Form("uint8", "last"))
    proto = onnx.load_model_from_string(content)
    onnx.checker.check_model(proto)
    assert [(each.domain, each.version) for each in proto.opset_import] == [("", 20)]
    assert not proto.functions
    assert b"external" not in content
    told = {each.key: each.value for each in proto.metadata_props}
    assert told["labels"] == '["left lung", "right lung", "heart"]'
    assert (told["channels"], told["pixels"], told["delineate_format"]) == ("last", "uint8", "1")
    assert content == onnx_model(model, Form("uint8", "last"))  # the same bytes again


def test_the_public_face_is_that_of_a_model(tmp_path: Path) -> None:
    model = model_of("colour, several labels")
    other = exported(model, tmp_path, "uint8")
    array = np.random.default_rng(0).integers(0, 256, (30, 25, 3), dtype=np.uint8)
    assert np.array_equal(model.predict(array), other.predict(array))
    assert np.allclose(model.probabilities(array), other.probabilities(array), atol=1e-5)
    assert (other.card, other.plan, other.labels) == (model.card, model.plan, model.labels)
    assert other.parameters == model.parameters
    grey = np.ascontiguousarray(array[..., 0])
    assert np.array_equal(model.predict(grey), other.predict(grey))
    pictures = [Image(array.transpose(2, 0, 1)), Image(np.zeros((2, 9, 9), np.uint8))]
    first, second = other.found_in_each(pictures)
    assert not isinstance(first, Exception)
    assert np.array_equal(first.mask.values, model.predict(array))
    assert isinstance(second, DataError)


def test_masks_lie_on_the_grid_of_their_image(tmp_path: Path) -> None:
    model = model_of("volumes of another spacing")
    image = image_for(model.plan, (7, 19, 14))
    mask = exported(model, tmp_path, "float32").predict_mask(image)
    assert mask.geometry == image.geometry
    assert mask.values.shape == (7, 19, 14)
    assert mask.values.flags.c_contiguous
