"""The model that a training starts from: what is taken over is said, and what it has seen is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from example_model import PLAN, example
from PIL import Image as Pictures
from same_weights import assert_same_weights

from delineate.dataset.pixel_digests import pixel_digest
from delineate.errors import ModelFileError, UsageError
from delineate.inference.model import Model
from delineate.jobs.ancestor import Ancestor, folds_with_leaks_of, with_leaks_of
from delineate.jobs.fold_parts import FoldParts
from delineate.jobs.imported import UNKNOWN_IMAGES, UNKNOWN_START, caution_of
from delineate.jobs.reporter import Reporter
from delineate.jobs.source import Parts, Source
from delineate.model_file import MODEL_NAME, Imported, ModelCard, save_model
from delineate.networks.unet import UNet
from delineate.plan import Plan
from delineate.training.start import Start


class Heard(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


def plan_for(*labels: str, channels: int = 1) -> Plan:
    values = PLAN.model_dump(mode="json")
    values["data"] |= {"labels": labels, "channels": channels, "colour": "channels"}
    values["preprocessing"] |= {"mean": [0.5] * channels, "standard_deviation": [0.1] * channels}
    values["network"] |= {
        "input_channels": channels,
        "output_channels": 1 if len(labels) == 1 else len(labels) + 1,
    }
    return Plan.model_validate(values)


def test_a_model_a_file_and_a_run_are_the_same_ancestor(tmp_path: Path) -> None:
    card, weights = example()
    save_model(tmp_path / MODEL_NAME, card, weights)
    for given in (Model(card, dict(weights)), tmp_path / MODEL_NAME, str(tmp_path)):
        found = Ancestor.of(given)
        assert found.card == card
        assert_same_weights(found.weights, weights)


def test_where_there_is_no_model_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no model at"):
        Ancestor.of(tmp_path / "none.safetensors")
    (tmp_path / "plan.yaml").touch()
    with pytest.raises(ModelFileError, match="--resume"):
        Ancestor.of(tmp_path)
    (tmp_path / "text.safetensors").write_text("no model")
    with pytest.raises(ModelFileError, match="not a Delineate model file"):
        Ancestor.of(tmp_path / "text.safetensors")


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (plan_for("lesion"), "from the model, the part that decides lesion too, as the names are the same."),
        (
            plan_for("polyp", channels=3),
            "from the model, but the part that decides polyp is new. "
            "Its first convolution is adapted from 1 to 3 channels.",
        ),
        (plan_for("lesion", "vein"), "but the part that decides lesion, vein is new."),
    ],
)
def test_what_is_taken_over_is_said(plan: Plan, said: str) -> None:
    card, weights = example()
    heard = Heard()
    start = Ancestor(card, weights).start_of(plan, heard)
    assert heard.said[0].endswith(said)
    assert (start.started_from, start.case_digests) == (card.weights_sha256, card.training.case_digests)
    again = Ancestor(card, weights).start_of(plan, heard)
    assert_same_weights(again.weights, start.weights)


def residual(plan: Plan) -> Plan:
    return plan.model_copy(update={"network": plan.network.model_copy(update={"residual": True})})


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            2,  # as many as its first block gives out
            1,
            "from 2 to 1 channels. The shortcut around its first block, which had no weights, starts from "
            "random ones.",
        ),
        (
            1,
            2,
            "from 1 to 2 channels. The weights of the shortcut around its first block, which needs none any "
            "more, are left out.",
        ),
        (1, 3, "from 1 to 3 channels."),
    ],
)
def test_what_starts_at_random_or_is_left_out_is_said(before: int, after: int, said: str) -> None:
    theirs, ours = (residual(plan_for("lesion", channels=channels)) for channels in (before, after))
    card = example()[0].model_copy(update={"plan": theirs})
    heard = Heard()
    Ancestor(card, UNet(theirs.network).state_dict()).start_of(ours, heard)
    assert heard.said[0].endswith(said)


def card_with(**facts: object) -> ModelCard:
    card, _ = example()
    return card.model_copy(update={"training": card.training.model_copy(update=facts)})


def imported() -> ModelCard:
    keras = Imported(program="keras", version=None, file_sha256="0" * 64)
    return card_with(case_digests=()).model_copy(update={"imported": keras})


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (card_with(), None),
        (card_with(started_from="ab" * 32), None),
        (card_with(encoder_sha256="ab" * 32), UNKNOWN_START),
        (card_with(unknown_images=True), UNKNOWN_START),
        (imported(), UNKNOWN_IMAGES),
    ],
)
def test_that_not_all_images_are_known_goes_on_from_model_to_model(card: ModelCard, said: str | None) -> None:
    assert caution_of(card) == said
    start = Ancestor(card, example()[1]).start_of(card.plan, Reporter())
    assert start.unknown_images == (said is not None)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    draw = np.random.default_rng(4)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(10):
        mask = np.zeros((16, 16), np.uint8)
        mask[2 + number % 5 : 9, 3:9] = 255
        Pictures.fromarray(draw.integers(0, 255, (16, 16), np.uint8)).save(tmp_path / f"images/{number}.png")
        Pictures.fromarray(mask).save(tmp_path / f"masks/{number}.png")
    return Parts.read(Source(tmp_path), Reporter())


def test_held_out_images_that_the_ancestor_learned_from_are_told(parts: Parts, tmp_path: Path) -> None:
    heard = Heard()
    held_out = [pixel_digest(case.image) for case in parts.scored]
    learned = [pixel_digest(case.image) for case in parts.train]
    innocent = with_leaks_of(Start({}, "ab" * 32, tuple(learned)), parts, heard)
    assert (innocent, heard.warned) == (parts, [])
    assert with_leaks_of(Start({}, "ab" * 32, ()), parts, heard) == parts
    marked = dataclasses.replace(parts, leaks=("Another.",))
    found = with_leaks_of(Start({}, "ab" * 32, (held_out[0], *learned)), marked, heard)
    assert found.leaks[0] == "Another."
    assert heard.warned == list(found.leaks[1:])
    assert heard.warned[0].startswith(
        f"The model that the training started from learned from 1 of these {len(held_out)} cases"
    )


def test_that_the_ancestor_may_have_learned_from_any_image_stands_beside_the_score(
    parts: Parts, tmp_path: Path
) -> None:
    heard = Heard()
    held_out = [pixel_digest(case.image) for case in parts.scored]
    start = Start({}, "ab" * 32, (), unknown_images=True)
    assert with_leaks_of(start, parts, heard).leaks == (UNKNOWN_START,)
    both = with_leaks_of(dataclasses.replace(start, case_digests=tuple(held_out)), parts, Heard()).leaks
    assert both[0].startswith("The model that the training started from learned from")
    assert both[1:] == (UNKNOWN_START,)
    folded = folds_with_leaks_of(start, FoldParts.read(Source(tmp_path), 2, Reporter()), heard)
    assert folded.of_fold(1).leaks == folded.of_fold(2).leaks == (UNKNOWN_START,)
    assert folded.leaks_in(folded.whole) == (UNKNOWN_START,)
    assert heard.warned == []  # it is told once for all parts
