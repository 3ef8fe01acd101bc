"""The model people hold: a picture brought in any way is the same picture, or a refusal that helps."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image as Pillow
from same_weights import assert_same_weights

from delineate.augment.settings import AugmentationSettings
from delineate.errors import DataError, ImageError, ModelFileError, UsageError
from delineate.fingerprint import measure
from delineate.image import Geometry, Image, Mask
from delineate.inference.given import as_image
from delineate.inference.model import MODEL_NAME, Model, load, model_path
from delineate.inference.preprocess import resize
from delineate.losses import LossSettings
from delineate.model_file import ModelCard, TrainingFacts, save_model, weights_sha256
from delineate.networks.settings import UNetSettings
from delineate.networks.unet import UNet
from delineate.plan import DataPlan, Plan, PredictionPlan, PreprocessingPlan, TrainingPlan

NOISE = np.random.default_rng(4).integers(0, 256, (45, 70), dtype=np.uint8)
COLOURS = np.random.default_rng(5).integers(0, 256, (45, 70, 3), dtype=np.uint8)


def make(labels: int = 1, **data: Any) -> tuple[ModelCard, dict[str, torch.Tensor]]:
    described = DataPlan.model_validate(
        {"colour": "grey", "channels": 1, "labels": tuple(f"label {n}" for n in range(labels))} | data
    )
    outputs = 1 if labels == 1 else labels + 1
    plan = Plan(
        preset="auto",
        data=described,
        preprocessing=PreprocessingPlan(
            mode="whole", size=(32, 32), normalization="image" if described.pixels == "float" else "unit"
        ),
        network=UNetSettings(input_channels=described.channels, output_channels=outputs, widths=(8, 8)),
        augmentation=AugmentationSettings(),
        loss=LossSettings(),
        training=TrainingPlan(steps=1, batch_size=1, learning_rate=0.1),
        prediction=PredictionPlan(),
    )
    torch.manual_seed(1)
    network = UNet(plan.network).eval()
    with torch.no_grad():  # masks that hold every label
        network.head.weight.mul_(50)
        picture = NOISE[None] if described.channels == 1 else COLOURS.transpose(2, 0, 1)
        logits = network(resize(torch.from_numpy(picture / np.float32(255)), (32, 32))[None])
    weights = network.state_dict()
    weights["head.bias"] = -logits.mean((0, 2, 3))
    image = Image(np.zeros((described.channels, 8, 8), np.uint8))
    mask = Mask(np.eye(8, dtype=np.uint8), described.label_set)
    card = ModelCard(
        weights_sha256=weights_sha256(weights),
        plan=plan,
        fingerprint=measure([(image, mask)], mask.labels, described.colour),
        training=TrainingFacts(cases=1, steps=1, seconds=1, precision="fp32", seed=0),
        software={},
    )
    return card, weights


@pytest.fixture(scope="module")
def grey() -> Model:
    return Model(*make())


@pytest.fixture(scope="module")
def rgb() -> Model:
    return Model(*make(labels=2, colour="rgb", channels=3))


def test_the_masks_of_these_models_are_worth_comparing(grey: Model, rgb: Model) -> None:
    assert np.unique(grey.predict(NOISE)).tolist() == [0, 1]
    assert np.unique(rgb.predict(COLOURS)).tolist() == [0, 1, 2]


def test_a_mask_is_on_the_images_grid(grey: Model, rgb: Model) -> None:
    for model, array in ((grey, NOISE), (rgb, COLOURS), (grey, NOISE[:1]), (grey, NOISE[:, :1])):
        found = model.predict(array)
        assert found.dtype == np.uint8
        assert found.shape == array.shape[:2]


@pytest.mark.parametrize(
    "bring",
    [
        lambda a: a[..., None],
        np.asfortranarray,
        lambda a: a.astype(np.uint16) * 257,
        lambda a: (a.astype(np.uint16) * 257).astype(">u2"),
        lambda a: np.repeat(a[..., None], 3, axis=2),  # grey, stored as colours
        Pillow.fromarray,
        lambda a: Pillow.fromarray(np.repeat(a[..., None], 3, axis=2)),
        lambda a: Pillow.fromarray(a).convert("P"),
        lambda a: Image(a[None]),
        lambda a: torch.from_numpy(a.copy()),
    ],
)
def test_one_picture_in_many_ways(grey: Model, bring: Callable[[npt.NDArray[np.uint8]], Any]) -> None:
    assert np.array_equal(grey.predict(bring(NOISE)), grey.predict(NOISE))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_from_0_to_1_are_the_same_picture(grey: Model, dtype: npt.DTypeLike) -> None:
    found = grey.probabilities((NOISE / 255).astype(dtype))
    assert np.allclose(found, grey.probabilities(NOISE), atol=0.05 if dtype is np.float16 else 1e-3)
    assert np.allclose(grey.probabilities((NOISE / 255).tolist()), grey.probabilities(NOISE), atol=1e-3)


def test_true_is_white(grey: Model) -> None:
    bright = NOISE > 127
    assert np.array_equal(grey.predict(bright), grey.predict(bright.astype(np.uint8) * 255))
    assert np.array_equal(grey.predict(Pillow.fromarray(bright)), grey.predict(bright))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_a_path_is_its_picture(grey: Model, rgb: Model, tmp_path: Path, suffix: str) -> None:
    for model, array in ((grey, NOISE), (rgb, COLOURS)):
        path = tmp_path / f"picture{suffix}"
        Pillow.fromarray(array).save(path)
        assert np.array_equal(model.predict(path), model.predict(array))
        assert np.array_equal(model.predict(str(path)), model.predict(array))


def test_colours_from_pil_and_from_arrays(rgb: Model) -> None:
    assert np.array_equal(rgb.predict(Pillow.fromarray(COLOURS)), rgb.predict(COLOURS))
    assert np.array_equal(rgb.predict(NOISE), rgb.predict(np.repeat(NOISE[..., None], 3, axis=2)))
    assert not np.array_equal(rgb.predict(COLOURS[..., ::-1]), rgb.predict(COLOURS))


def test_the_callers_array_is_left_alone(grey: Model) -> None:
    for array in (NOISE.copy(), NOISE / 255, (NOISE > 3)):
        before = array.copy()
        grey.predict(array)
        assert np.array_equal(array, before)


def test_probabilities_and_mask_agree(grey: Model, rgb: Model) -> None:
    one = grey.probabilities(NOISE)
    assert one.shape == (1, 45, 70)
    assert np.array_equal(grey.predict(NOISE), (one[0] >= 0.5).astype(np.uint8))
    two = rgb.probabilities(COLOURS)
    assert two.shape == (2, 45, 70)
    every = np.concatenate([1 - two.sum(0, keepdims=True), two])
    clear = every.max(0) > 0.51
    assert clear.mean() > 0.2
    assert np.array_equal(rgb.predict(COLOURS)[clear], every.argmax(0)[clear].astype(np.uint8))


def test_both_in_one_pass(grey: Model) -> None:
    image = Image(NOISE[None], Geometry((0.5, 0.5)))
    found = grey.found_in(image)
    assert np.array_equal(found.mask.values, grey.predict(NOISE))
    assert found.probabilities is not None
    assert np.array_equal(found.probabilities, grey.probabilities(NOISE))
    assert found.mask.geometry == grey.predict_mask(image).geometry == Geometry((0.5, 0.5))
    assert found.mask.labels == grey.labels == grey.plan.data.label_set


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 200, 300), np.uint8), r"\(3, 200, 300\) has its channels first; give \(H, W, C\)"),
        (np.zeros((1, 65, 65), np.float32), r"channels first; .* array\.transpose\(1, 2, 0\)"),
        (np.zeros(5, np.uint8), r"an image is an array \(H, W\) or \(H, W, C\), not one of shape \(5,\)"),
        (np.uint8(3), r"not one of shape \(\)"),
        (np.zeros((2, 3, 4, 5), np.uint8), "not one of shape"),
        (np.zeros((0, 5), np.uint8), r"not one of shape \(0, 5\)"),
        (np.zeros((5, 5, 0), np.uint8), "not one of shape"),
        (np.full((4, 4), np.nan), "pixels that are not numbers"),
        (np.array([[0.0, np.inf]]), "pixels that are not numbers"),
        (np.array([[0.0, 1e300]]), "pixels that are not numbers"),
        (
            np.zeros((4, 4), np.int64),
            "pixels of type int64 have no known range; give uint8, uint16 or floats",
        ),
        (np.zeros((4, 4), np.int8), "type int8"),
        (np.zeros((4, 4), np.uint32), "type uint32"),
        (np.zeros((4, 4), np.complex64), "type complex64"),
        (np.array([["a", "b"]]), "have no known range"),
        (np.array([[None, 1]]), "type object"),
        (
            NOISE.astype(np.float32),
            r"float pixels from 0 to 255, but the model was trained on integer .* 0…1",
        ),
        (-(NOISE / 255), "float pixels from -1 to "),
        (np.zeros((40, 40, 2), np.uint8), "it has 2 channels, but 1 are expected"),
        (np.zeros((40, 40, 4), np.uint8), "it has 4 channels, but 1 are expected"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_arrays_without_a_clear_meaning(grey: Model, array: npt.NDArray[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        grey.predict(array)
    with pytest.raises(DataError, match=message):
        grey.probabilities(array)


def test_other_channels_than_three(rgb: Model) -> None:
    for channels in (2, 4):
        with pytest.raises(DataError, match=f"it has {channels} channels, but 3 are expected"):
            rgb.predict(np.zeros((40, 40, channels), np.uint8))


def test_channels_in_front_are_suspected(rgb: Model) -> None:
    with pytest.raises(
        DataError, match=r"40 channels, but 3 are expected\. An array .*\.transpose\(1, 2, 0\)$"
    ):
        rgb.predict(COLOURS[:40, :40].transpose(2, 0, 1))


def test_an_image_made_by_hand_is_looked_at_too(grey: Model) -> None:
    with pytest.raises(DataError, match="pixels that are not numbers"):
        grey.predict(Image(np.full((1, 8, 8), np.nan, np.float32)))
    with pytest.raises(DataError, match="pixels of type int64, which have no known range"):
        grey.predict(Image(np.zeros((1, 8, 8), np.int64)))


def test_a_model_of_float_images_takes_any_range() -> None:
    model = Model(*make(pixels="float"))
    values = NOISE * 10.0 - 1000
    assert np.allclose(model.probabilities(values), model.probabilities(values * 2 + 7), atol=1e-3)


def test_files_that_are_no_pictures(grey: Model, tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("no picture", encoding="utf-8")
    for path in (text, tmp_path / "none.png", tmp_path):
        with pytest.raises(ImageError, match=re.escape(str(path))):
            grey.predict(path)


def test_pictures_without_a_clear_meaning(grey: Model) -> None:
    clear = np.dstack([COLOURS, NOISE])
    for picture in (Pillow.fromarray(clear), Pillow.new("CMYK", (4, 4))):
        with pytest.raises(ImageError, match="the picture"):
            grey.predict(picture)


def test_as_image_keeps_values_and_takes_channels_to_the_front() -> None:
    found = as_image(COLOURS)
    assert np.array_equal(found.pixels, COLOURS.transpose(2, 0, 1))
    assert found.pixels.flags.c_contiguous
    image = Image(NOISE[None])
    assert as_image(image) is image
    assert as_image(np.zeros((65, 3, 64), np.uint8)).channels == 64


def test_saved_and_loaded_it_predicts_the_same(grey: Model, tmp_path: Path) -> None:
    path = tmp_path / MODEL_NAME
    save_model(path, *make())
    for place in (path, tmp_path, str(path), str(tmp_path)):
        model = load(place)
        assert np.array_equal(model.probabilities(NOISE), grey.probabilities(NOISE))
        assert model.card == grey.card


def test_predicting_leaves_the_random_state_and_the_weights_alone(grey: Model) -> None:
    before = {name: tensor.clone() for name, tensor in grey.network.state_dict().items()}
    state = torch.get_rng_state()
    first = grey.probabilities(NOISE)
    assert torch.equal(torch.get_rng_state(), state)
    assert_same_weights(grey.network.state_dict(), before)
    assert np.array_equal(grey.probabilities(NOISE), first)


def test_model_paths(tmp_path: Path) -> None:
    missing, empty, run, odd = (tmp_path / name for name in ("missing", "empty", "run", "odd"))
    with pytest.raises(
        UsageError, match=rf"There is no model at {re.escape(str(missing))}\. Give a model file"
    ):
        model_path(missing)
    for folder in (empty, run, odd):
        folder.mkdir()
    (run / "plan.yaml").touch()
    (odd / MODEL_NAME).mkdir()
    with pytest.raises(ModelFileError) as caught:
        model_path(empty)
    assert str(caught.value) == f"{empty} holds no {MODEL_NAME}."
    with pytest.raises(ModelFileError) as caught:
        model_path(run)
    assert str(caught.value) == (
        f"{run} holds no {MODEL_NAME}. Its training is not finished: delineate train --resume {run}"
    )
    with pytest.raises(ModelFileError, match="holds no"):
        model_path(odd)
    (run / MODEL_NAME).touch()
    assert model_path(run) == model_path(run / MODEL_NAME) == run / MODEL_NAME
    with pytest.raises(ModelFileError, match="is not a Delineate model file"):
        load(run)
